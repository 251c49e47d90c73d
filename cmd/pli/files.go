package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pli-mail/pli/internal/spool"
)

// source is input that is read more than once. What cannot be read twice, such
// as standard input, is kept in an encrypted scratch file, so that no plain
// text reaches the disk.
type source struct {
	file  *os.File
	spool *spool.File
}

// source opens the file called name; "-" is standard input.
func (a *app) source(name string) (*source, error) {
	in := a.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, notFound(err, name)
		}
		info, err := f.Stat()
		if err == nil && info.IsDir() {
			err = fmt.Errorf("%s is a directory", name)
		}
		if err != nil {
			f.Close()
			return nil, err
		}
		if info.Mode().IsRegular() {
			return &source{file: f}, nil
		}
		defer f.Close()
		in = f
	} else if err := a.takeInput("-"); err != nil {
		return nil, err
	}
	s := spool.New(os.TempDir())
	_, err := io.Copy(s, in)
	if err == nil {
		err = s.Finish()
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return &source{spool: s}, nil
}

// Open reads the source from its start. One reader may be used at a time.
func (s *source) Open() (io.ReadCloser, error) {
	if s.spool != nil {
		return s.spool.Reader()
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return io.NopCloser(s.file), nil
}

func (s *source) Close() error {
	if s.spool != nil {
		return s.spool.Close()
	}
	return s.file.Close()
}

// takeInput reserves standard input for one use.
func (a *app) takeInput(use string) error {
	if a.inputUsed != "" {
		return usage("cli.usage.stdintwice", "first", a.inputUsed, "second", use)
	}
	a.inputUsed = use
	return nil
}

func notFound(err error, name string) error {
	if errors.Is(err, fs.ErrNotExist) {
		f := failed("cli.nofile", "file", name)
		f.code = exitNotFound
		return f
	}
	return err
}

// folderOf reports a folder that is not there, before any work is done for the
// file that is to be in it.
func folderOf(path string) error {
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		f := failed("cli.nofolder", "folder", dir)
		f.code = exitNotFound
		return f
	}
	return nil
}

// outputs are files that appear together, complete, or not at all.
type outputs struct {
	files []*output
}

type output struct {
	*os.File
	path    string
	replace bool
	placed  bool
}

// create begins a file that will be at path. Without replace, it is an error
// at commit if something is there by then.
func (o *outputs) create(path string, mode fs.FileMode, replace bool) (*output, error) {
	if err := folderOf(path); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".pli-*")
	if err != nil {
		return nil, err
	}
	out := &output{File: f, path: path, replace: replace}
	o.files = append(o.files, out)
	return out, f.Chmod(mode)
}

// commit puts every file in its place. If one cannot be, none stays.
func (o *outputs) commit() error {
	for _, f := range o.files {
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	for _, f := range o.files {
		if f.replace {
			if err := os.Rename(f.Name(), f.path); err != nil {
				return err
			}
		} else {
			if err := os.Link(f.Name(), f.path); errors.Is(err, fs.ErrExist) {
				return exists(f.path)
			} else if err != nil {
				return err
			}
			os.Remove(f.Name()) // the second name of a file that is in its place
		}
		f.placed = true
	}
	o.files = nil
	return nil
}

// abort removes what was begun. After commit it does nothing.
func (o *outputs) abort() {
	for _, f := range o.files {
		f.Close()
		os.Remove(f.Name())
		if f.placed && !f.replace {
			os.Remove(f.path)
		}
	}
	o.files = nil
}

func exists(path string) error {
	f := failed("cli.exists", "file", path)
	f.code = exitConflict
	return f
}

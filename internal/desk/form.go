package desk

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"

	"github.com/pli-mail/pli/internal/fault"
	"github.com/pli-mail/pli/internal/sealing"
	"github.com/pli-mail/pli/internal/web"
)

const maxFields = 8 << 20 // bytes of all fields in memory: more than any text that sealing lets pass

// form is what was typed, read as it arrives: fields first, files after them.
type form struct {
	values url.Values
	parts  *multipart.Reader
	next   *multipart.Part // the first file, already begun
	files  bool            // there are some; otherwise everything has been read
}

// readForm reads the fields, and stops where the first file begins.
func readForm(r *web.Request) (*form, error) {
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, fault.New(fault.Invalid, "desk.badform").Because(err)
	}
	f := &form{values: url.Values{}, parts: parts}
	left := int64(maxFields)
	for {
		p, err := parts.NextPart()
		if err == io.EOF {
			return f, nil
		}
		if err != nil {
			return f, unreadable(err)
		}
		if p.FileName() != "" {
			f.next, f.files = p, true
			return f, nil
		}
		var b bytes.Buffer
		n, err := io.Copy(&b, io.LimitReader(p, left+1))
		if err != nil {
			return f, unreadable(err)
		}
		if left -= n; left < 0 {
			return f, fault.New(fault.TooLarge, "web.toolarge.p").With("n", maxFields>>20)
		}
		f.values.Add(p.FormName(), b.String())
	}
}

// file returns the message's files one after the other, io.EOF after the last.
// Each is read before the next is asked for.
func (f *form) file() (*sealing.File, error) {
	for {
		p := f.next
		f.next = nil
		if !f.files {
			return nil, io.EOF
		}
		if p == nil {
			var err error
			if p, err = f.parts.NextPart(); err != nil {
				return nil, unreadable(err)
			}
		}
		if p.FileName() == "" { // an empty file input, or a field out of place
			continue
		}
		return &sealing.File{Name: p.FileName(), Type: p.Header.Get("Content-Type"), Reader: content{p}}, nil
	}
}

// content is a part's content.
type content struct{ *multipart.Part }

func (c content) Read(b []byte) (int, error) {
	n, err := c.Part.Read(b)
	return n, unreadable(err)
}

// unreadable is what reading the form's parts fails with: what was sent is no
// such form, or broke off. The form's end, and its limit, stay what they are.
func unreadable(err error) error {
	var big *http.MaxBytesError
	if err == nil || err == io.EOF || errors.As(err, &big) {
		return err
	}
	return fault.New(fault.Invalid, "desk.badform").Because(err)
}

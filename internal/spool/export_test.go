package spool

// Disk gives tests the open file, which has no name.
func (s *File) Disk() interface {
	ReadAt(p []byte, off int64) (int, error)
	WriteAt(p []byte, off int64) (int, error)
	Truncate(size int64) error
} {
	return s.f
}

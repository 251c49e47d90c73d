package server

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

const certificatePeriod = 30 * time.Second

// certificate is the pair of files that TLS shows, as last read.
type certificate struct {
	certFile, keyFile string
	current           atomic.Pointer[loaded]
}

type loaded struct {
	pair     tls.Certificate
	modified [2]time.Time // of both files
}

func openCertificate(certFile, keyFile string) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile}
	_, err := c.reload(true)
	return c, err
}

// reload reads the files if they changed. After an error the last pair stays.
func (c *certificate) reload(force bool) (changed bool, err error) {
	next := &loaded{}
	for i, path := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(path)
		if err != nil {
			return false, fmt.Errorf("read certificate: %w", err)
		}
		next.modified[i] = info.ModTime()
	}
	if last := c.current.Load(); last != nil && !force && last.modified == next.modified {
		return false, nil
	}
	if next.pair, err = tls.LoadX509KeyPair(c.certFile, c.keyFile); err != nil {
		return false, fmt.Errorf("read certificate: %w", err)
	}
	c.current.Store(next)
	return true, nil
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return &c.current.Load().pair, nil
}

func (c *certificate) until() time.Time { return c.current.Load().pair.Leaf.NotAfter }

package config

import (
	"os"
	"path/filepath"

	"github.com/pelletier/go-toml/v2"
)

// Client is where somebody administers a server from elsewhere: client.toml.
type Client struct {
	Server    string `toml:"server"`     // its address
	TokenFile string `toml:"token_file"` // with the API token; beside client.toml unless it is absolute
}

// ReadClient reads one. Where there is no such file the error is fs.ErrNotExist.
func ReadClient(path string) (c Client, err error) {
	f, err := os.Open(path)
	if err != nil {
		return c, err
	}
	defer f.Close()
	if err := toml.NewDecoder(f).DisallowUnknownFields().Decode(&c); err != nil {
		return Client{}, err
	}
	if c.TokenFile != "" && !filepath.IsAbs(c.TokenFile) {
		c.TokenFile = filepath.Join(filepath.Dir(path), c.TokenFile)
	}
	return c, nil
}

package web

import (
	"net/http"
	"strings"
)

// policy is a Content-Security-Policy, in the order in which it is written.
type policy []directive

type directive struct {
	name    string
	sources []string
}

// defaultPolicy allows what a page of ours needs, and nothing from anywhere
// else (security.md 5.4). "app" is the Trusted Types policy of swap.js.
func defaultPolicy() policy {
	return policy{
		{"default-src", []string{"'none'"}},
		{"script-src", []string{"'self'"}},
		{"style-src", []string{"'self'"}},
		{"connect-src", []string{"'self'"}},
		{"img-src", []string{"'self'"}},
		{"frame-src", []string{"'self'"}},
		{"form-action", []string{"'self'"}},
		{"base-uri", []string{"'none'"}},
		{"frame-ancestors", []string{"'none'"}},
		{"require-trusted-types-for", []string{"'script'"}},
		{"trusted-types", []string{"app"}},
	}
}

func (p policy) String() string {
	parts := make([]string, len(p))
	for i, d := range p {
		parts[i] = d.name + " " + strings.Join(d.sources, " ")
	}
	return strings.Join(parts, "; ")
}

// AllowContent adds sources to one directive of this answer's
// Content-Security-Policy: r.AllowContent("img-src", "data:", "blob:").
func (r *Request) AllowContent(name string, sources ...string) {
	header := r.answer().Get("Content-Security-Policy")
	var p policy
	for part := range strings.SplitSeq(header, "; ") {
		words := strings.Fields(part)
		if words[0] == name {
			words = append(words, sources...)
		}
		p = append(p, directive{words[0], words[1:]})
	}
	r.answer().Set("Content-Security-Policy", p.String())
}

// headers are on every answer, also on failures.
// An entry page has no Cross-Origin-Opener-Policy, also when it ends in the page
// of a failure: with one, the envelope's page could not hand over (AT-15). The
// others allow popups, of which they open none that may look back: Firefox keeps
// a tab's policy for a file that is opened in it next, and with same-origin alone
// the file's button would open a page that cannot be handed anything.
func (k *Kit) headers(h http.Header, p policy, entry bool) {
	h.Set("Content-Security-Policy", p.String())
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	if h.Set("Cross-Origin-Opener-Policy", "same-origin-allow-popups"); entry {
		h.Del("Cross-Origin-Opener-Policy")
	}
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	h.Set("Permissions-Policy", "accelerometer=(), autoplay=(), camera=(), display-capture=(), fullscreen=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), usb=()")
	h.Set("X-DNS-Prefetch-Control", "off")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Vary", "Cookie, Accept-Language")
	if k.secure {
		h.Set("Strict-Transport-Security", "max-age=63072000; includeSubDomains")
	}
}

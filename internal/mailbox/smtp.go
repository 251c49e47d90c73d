package mailbox

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
)

// ServeSMTP takes mail on l until ctx ends.
func (b *Box) ServeSMTP(ctx context.Context, l net.Listener) error {
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{box: b}, nil }))
	s.Domain = "mailbox.localhost"
	s.MaxMessageBytes = maxMail
	s.MaxRecipients = 1000
	s.ReadTimeout = time.Minute
	s.WriteTimeout = time.Minute
	s.EnableSMTPUTF8 = true
	s.ErrorLog = slog.NewLogLogger(b.conf.Log.Handler(), slog.LevelWarn)
	stop := context.AfterFunc(ctx, func() {
		// What has been sent to the end is kept: whoever sent it was told so.
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if s.Shutdown(drain) != nil {
			s.Close()
		}
	})
	defer stop()
	err := s.Serve(l)
	if errors.Is(err, net.ErrClosed) || errors.Is(err, smtp.ErrServerClosed) {
		return nil
	}
	return err
}

type session struct {
	box  *Box
	from string
	to   []string
}

func (s *session) Reset()        { s.from, s.to = "", nil }
func (s *session) Logout() error { return nil }

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if strings.HasSuffix(strings.ToLower(to), "@"+refusedDomain) {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such mailbox: addresses at " + refusedDomain + " are for trying a refusal"}
	}
	s.to = append(s.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	m, err := s.box.deliver(s.from, s.to, r)
	if err != nil {
		var answer *smtp.SMTPError
		if errors.As(err, &answer) { // such as a mail that is too large
			return answer
		}
		s.box.conf.Log.Error("keep mail", "error", err)
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "The mail could not be kept"}
	}
	s.box.conf.Log.Debug("mail arrived", "id", m.ID, "size", m.Size)
	return nil
}

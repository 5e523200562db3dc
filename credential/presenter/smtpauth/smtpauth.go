// Package smtpauth sends mail with a login that rotates. A connection is made for each
// message; when the server refuses the login another one is asked for, once for all that
// were refused, and the message is tried once more.
//
//	login, err := smtpauth.Presenter(mailLogin) // a *credential.Credential
//	mailer := &smtpauth.Mailer{Addr: "mail.internal:587", Login: login}
//	err = mailer.Send(ctx, "parley@example.com", []string{"ann@example.com"}, message)
package smtpauth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"net/textproto"
	"slices"
	"time"

	"github.com/parley-backend/parley/credential"
)

// Login is who Parley is to a mail server.
type Login struct {
	User     string
	Password credential.Secret
}

// Presenter makes a presenter of logins. The credential is a group with username (or
// user) and password, or the password alone, for Mailer.User.
func Presenter(c *credential.Credential) (*credential.Presenter[Login], error) {
	return credential.NewPresenter(c, func(m credential.Material) (Login, error) { return decode(m.Value, m.Fields) })
}

// Check is for Config.Check: it refuses half of a pair.
func Check(value credential.Secret, fields map[string]credential.Secret) error {
	_, err := decode(value, fields)
	return err
}

func decode(value credential.Secret, fields map[string]credential.Secret) (Login, error) {
	if len(fields) == 0 {
		return Login{Password: value}, nil
	}
	user, found := fields["username"]
	if !found {
		user = fields["user"]
	}
	login := Login{User: string(user.Reveal()), Password: fields["password"]}
	if login.User == "" || login.Password.Len() == 0 {
		return Login{}, credential.Errorf(credential.Invalid, "a login to a mail server is a group with username and password")
	}
	return login, nil
}

// Auth returns how to log in: PLAIN, LOGIN or CRAM-MD5, the first that the server offers. PLAIN
// and LOGIN show the password, so they are refused on a connection without TLS unless
// its other end is this machine.
func Auth(login Login) smtp.Auth { return &auth{login: login} }

type auth struct {
	login Login
	how   smtp.Auth // once the server has said what it offers
}

var errOpen = errors.New("smtpauth: the server offers no login that is safe without TLS")

// Start implements smtp.Auth.
func (a *auth) Start(server *smtp.ServerInfo) (proto string, toServer []byte, err error) {
	offers := func(name string) bool { return slices.Contains(server.Auth, name) }
	safe := server.TLS || loopback(server.Name)
	password := string(a.login.Password.Reveal())
	switch {
	case safe && offers("PLAIN"):
		return "PLAIN", []byte("\x00" + a.login.User + "\x00" + password), nil
	case safe && offers("LOGIN"):
		a.how = &loginAuth{answers: []string{a.login.User, password}}
	case offers("CRAM-MD5"):
		a.how = smtp.CRAMMD5Auth(a.login.User, password)
	case offers("PLAIN") || offers("LOGIN"):
		return "", nil, errOpen
	default:
		return "", nil, errors.New("smtpauth: the server offers no login that this client knows")
	}
	return a.how.Start(server)
}

// Next implements smtp.Auth.
func (a *auth) Next(fromServer []byte, more bool) ([]byte, error) {
	if a.how == nil {
		if more {
			return nil, errors.New("smtpauth: the server asks for more than PLAIN has")
		}
		return nil, nil
	}
	return a.how.Next(fromServer, more)
}

// loginAuth answers the two questions of LOGIN, whatever their words.
type loginAuth struct{ answers []string }

func (*loginAuth) Start(*smtp.ServerInfo) (string, []byte, error) { return "LOGIN", nil, nil }

func (a *loginAuth) Next(_ []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	if len(a.answers) == 0 {
		return nil, errors.New("smtpauth: the server asks for more than LOGIN has")
	}
	answer := a.answers[0]
	a.answers = a.answers[1:]
	return []byte(answer), nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Refusal is the error of a login that the server refused. It has the server's code and
// not its words, which may quote anything.
type Refusal struct{ Code int }

func (r *Refusal) Error() string {
	return fmt.Sprintf("smtpauth: the server refused the login: %d", r.Code)
}

// Refused reports whether an error is a Refusal.
func Refused(err error) bool {
	var refusal *Refusal
	return errors.As(err, &refusal)
}

// Mailer sends messages through one server.
type Mailer struct {
	Addr  string // host:port
	Login *credential.Presenter[Login]
	User  string // of a Login that is a password alone
	// TLS is for STARTTLS, and for Implicit; its ServerName is the host of Addr by default.
	TLS *tls.Config
	// Implicit: TLS from the first byte, as on port 465. Otherwise STARTTLS is used
	// where the server offers it, and without it no password is shown (see Auth).
	Implicit bool
	// Name is how this machine introduces itself: "localhost" by default.
	Name string
	// Timeout bounds one message: 30 s by default.
	Timeout time.Duration
}

// Send sends one message, headers and body with lines that end in CR LF. It is tried a second
// time only when the login was refused: nothing has been sent by then.
func (m *Mailer) Send(ctx context.Context, from string, to []string, message []byte) error {
	timeout := m.Timeout
	if timeout <= 0 {
		timeout = 30 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return credential.Use(ctx, m.Login, func(ctx context.Context, login Login) error {
		return m.send(ctx, login, from, to, message)
	}, Refused)
}

func (m *Mailer) send(ctx context.Context, login Login, from string, to []string, message []byte) error {
	client, end, err := m.dial(ctx)
	if err != nil {
		return err
	}
	defer end()
	if login.User == "" {
		login.User = m.User
	}
	if err := logIn(client, login); err != nil {
		return err
	}
	if err := client.Mail(from); err != nil {
		return err
	}
	for _, recipient := range to {
		if err := client.Rcpt(recipient); err != nil {
			return err
		}
	}
	body, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := body.Write(message); err != nil {
		return err
	}
	if err := body.Close(); err != nil {
		return err
	}
	_ = client.Quit() // the message is the server's
	return nil
}

func (m *Mailer) name() string {
	if m.Name == "" {
		return "localhost"
	}
	return m.Name
}

// dial connects, with TLS if that can be had.
func (m *Mailer) dial(ctx context.Context) (*smtp.Client, func(), error) {
	host, _, err := net.SplitHostPort(m.Addr)
	if err != nil {
		return nil, nil, err
	}
	config := m.TLS.Clone()
	if config == nil {
		config = &tls.Config{}
	}
	if config.ServerName == "" {
		config.ServerName = host
	}
	dialer := &net.Dialer{}
	conn, err := dialer.DialContext(ctx, "tcp", m.Addr)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // net/smtp knows no context
	end := func() {
		stop()
		_ = conn.Close()
	}
	if m.Implicit {
		conn = tls.Client(conn, config)
	}
	client, err := smtp.NewClient(conn, host)
	if err == nil {
		err = client.Hello(m.name())
	}
	if err == nil && !m.Implicit {
		if offered, _ := client.Extension("STARTTLS"); offered {
			err = client.StartTLS(config)
		}
	}
	if err != nil {
		end()
		return nil, nil, err
	}
	return client, end, nil
}

func logIn(client *smtp.Client, login Login) error {
	if offered, _ := client.Extension("AUTH"); !offered {
		return errors.New("smtpauth: the server offers no login")
	}
	err := client.Auth(Auth(login))
	var answer *textproto.Error
	switch {
	case !errors.As(err, &answer):
		return err
	case answer.Code == 535 || answer.Code == 534: // RFC 4954, section 6
		return &Refusal{Code: answer.Code}
	}
	return fmt.Errorf("smtpauth: the server did not take the login: %d", answer.Code)
}

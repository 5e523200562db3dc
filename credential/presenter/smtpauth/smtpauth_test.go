package smtpauth_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/smtp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/presenter/smtpauth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const canary = "canary-3e55"

func group(user, password string) credential.Version {
	return credential.Version{Fields: map[string]credential.Secret{"username": credential.NewSecret(user), "password": credential.NewSecret(password)}}
}

func open(t *testing.T, v credential.Version) (*credentialtest.Source, *credential.Presenter[smtpauth.Login]) {
	t.Helper()
	source := credentialtest.New(credential.Info{}, "")
	source.SetVersions(v)
	c, err := credential.New(credential.Config{Name: "mail", Source: source, Present: true, TTL: time.Hour, Check: smtpauth.Check})
	if err != nil {
		t.Fatal(err)
	}
	p, err := smtpauth.Presenter(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return source, p
}

// server is a mail server that takes one login.
type server struct {
	addr      string
	auth      string // what it offers: "PLAIN LOGIN"; "" for no AUTH
	user      string
	code      int // of a refusal
	tls       *tls.Config
	implicit  bool
	afterAuth string // its answer to MAIL, "" for well

	mu       sync.Mutex
	password string
	conns    int
	refused  int
	how      []string // of the logins it took
	mail     []string
}

func serve(t *testing.T, s *server) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = listener.Addr().String()
	if s.code == 0 {
		s.code = 535
	}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
				if s.implicit {
					conn = tls.Server(conn, s.tls)
				}
				s.talk(conn)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		work.Wait()
	})
	return s
}

func (s *server) talk(conn net.Conn) {
	s.mu.Lock()
	s.conns++
	s.mu.Unlock()
	lines := bufio.NewScanner(conn)
	say := func(text string) { fmt.Fprint(conn, text+"\r\n") }
	ask := func(question string) string {
		say("334 " + base64.StdEncoding.EncodeToString([]byte(question)))
		lines.Scan()
		answer, _ := base64.StdEncoding.DecodeString(lines.Text())
		return string(answer)
	}
	say("220 mail.example")
	loggedIn, encrypted := false, s.implicit
	for lines.Scan() {
		verb, rest, _ := strings.Cut(lines.Text(), " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			say("250-mail.example")
			if s.tls != nil && !encrypted {
				say("250-STARTTLS")
			}
			if s.auth != "" && (s.tls == nil || encrypted) {
				say("250-AUTH " + s.auth)
			}
			say("250 well")
		case "STARTTLS":
			say("220 go on")
			conn, encrypted = tls.Server(conn, s.tls), true
			lines = bufio.NewScanner(conn)
		case "AUTH":
			how, first, _ := strings.Cut(rest, " ")
			var ok bool
			switch how {
			case "PLAIN":
				text, _ := base64.StdEncoding.DecodeString(first)
				ok = string(text) == "\x00"+s.user+"\x00"+s.current()
			case "LOGIN":
				user, password := ask("Username:"), ask("Password:")
				ok = user == s.user && password == s.current()
			case "CRAM-MD5":
				mac := hmac.New(md5.New, []byte(s.current()))
				mac.Write([]byte("<challenge>"))
				ok = ask("<challenge>") == s.user+" "+hex.EncodeToString(mac.Sum(nil))
			}
			s.mu.Lock()
			if loggedIn = ok; ok {
				s.how = append(s.how, how)
			} else {
				s.refused++
			}
			s.mu.Unlock()
			if ok {
				say("235 welcome")
			} else {
				say(fmt.Sprintf("%d no: %s", s.code, lines.Text())) // quotes what it was sent
			}
		case "MAIL", "RCPT":
			switch {
			case !loggedIn:
				say("530 who are you")
			case s.afterAuth != "":
				say(s.afterAuth)
			default:
				say("250 well")
			}
		case "DATA":
			say("354 go on")
			var text strings.Builder
			for lines.Scan() && lines.Text() != "." {
				text.WriteString(lines.Text() + "\n")
			}
			s.mu.Lock()
			s.mail = append(s.mail, text.String())
			s.mu.Unlock()
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 well")
		}
	}
}

func (s *server) current() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.password
}

// certificate returns the two sides of TLS for 127.0.0.1.
func certificate(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, &tls.Config{RootCAs: pool}
}

var message = []byte("Subject: hello\r\n\r\nhello\r\n")

func send(t *testing.T, m *smtpauth.Mailer) error {
	t.Helper()
	err := m.Send(t.Context(), "parley@example.com", []string{"ann@example.com", "bob@example.com"}, message)
	if err != nil && (strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), base64.StdEncoding.EncodeToString([]byte(canary))[:12])) {
		t.Error("the error holds the password")
	}
	return err
}

func TestSend(t *testing.T) {
	serverTLS, clientTLS := certificate(t)
	for _, test := range []struct {
		name   string
		server *server
		mailer smtpauth.Mailer
		v      credential.Version
		want   string // how it logs in
	}{
		{"PLAIN to this machine", &server{auth: "LOGIN PLAIN CRAM-MD5"}, smtpauth.Mailer{}, group("parley", canary), "PLAIN"},
		{"LOGIN", &server{auth: "LOGIN"}, smtpauth.Mailer{}, group("parley", canary), "LOGIN"},
		{"CRAM-MD5", &server{auth: "CRAM-MD5"}, smtpauth.Mailer{}, group("parley", canary), "CRAM-MD5"},
		{"STARTTLS", &server{auth: "PLAIN", tls: serverTLS}, smtpauth.Mailer{TLS: clientTLS}, group("parley", canary), "PLAIN"},
		{"TLS from the first byte", &server{auth: "PLAIN", tls: serverTLS, implicit: true}, smtpauth.Mailer{TLS: clientTLS, Implicit: true}, group("parley", canary), "PLAIN"},
		{"a password alone", &server{auth: "PLAIN"}, smtpauth.Mailer{User: "parley"}, credential.Version{Value: credential.NewSecret(canary)}, "PLAIN"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := test.server
			s.user, s.password = "parley", canary
			serve(t, s)
			_, p := open(t, test.v)
			m := test.mailer
			m.Addr, m.Login = s.addr, p
			if err := send(t, &m); err != nil {
				t.Fatalf("Send failed: %v", err)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(s.mail) != 1 || s.mail[0] != "Subject: hello\n\nhello\n" || len(s.how) != 1 || s.how[0] != test.want {
				t.Errorf("the server took %d messages, logged in by %v; want 1 by %s", len(s.mail), s.how, test.want)
			}
		})
	}
}

// The password was rotated: one reading for all messages that were refused, one retry each, and each arrives once.
func TestI20RefusedMessagesShareOneReading(t *testing.T) {
	for _, code := range []int{535, 534} {
		s := serve(t, &server{auth: "PLAIN", user: "parley", password: canary + "-b", code: code})
		source, p := open(t, group("parley", canary+"-a"))
		source.SetVersions(group("parley", canary+"-b"))
		m := &smtpauth.Mailer{Addr: s.addr, Login: p}
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() {
				if err := send(t, m); err != nil {
					t.Errorf("Send failed: %v", err)
				}
			})
		}
		group.Wait()
		s.mu.Lock()
		if source.Fetches() != 2 || s.conns > 20 || len(s.mail) != 10 {
			t.Errorf("%d: %d readings, %d connections, %d messages; want 2, 20 at most, 10", code, source.Fetches(), s.conns, len(s.mail))
		}
		s.mu.Unlock()
	}
}

func TestI20NothingToRetryWith(t *testing.T) {
	s := serve(t, &server{auth: "PLAIN", user: "parley", password: canary + "-b"})
	source, p := open(t, group("parley", canary+"-a"))
	m := &smtpauth.Mailer{Addr: s.addr, Login: p}
	for range 5 {
		err := send(t, m)
		if !smtpauth.Refused(err) || !errors.Is(err, credential.Denied) {
			t.Errorf("Send = %v, want a refusal and Denied", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if source.Fetches() != 2 || s.conns != 5 || s.refused != 5 {
		t.Errorf("%d readings, %d connections, %d refused; want 2, 5, 5", source.Fetches(), s.conns, s.refused)
	}
}

// What a server says after the login, and a login that it could not check, have nothing to do with the credential.
func TestOtherErrorsAskNobody(t *testing.T) {
	for _, s := range []*server{
		{auth: "PLAIN", user: "parley", password: canary, afterAuth: "550 not here"},
		{auth: "PLAIN", user: "parley", password: canary + "-b", code: 454},
		{user: "parley", password: canary},
	} {
		serve(t, s)
		source, p := open(t, group("parley", canary))
		if err := send(t, &smtpauth.Mailer{Addr: s.addr, Login: p}); err == nil || smtpauth.Refused(err) {
			t.Errorf("Send = %v, want an error that is no refusal", err)
		}
		s.mu.Lock()
		if source.Fetches() != 1 || s.conns != 1 {
			t.Errorf("%d readings, %d connections; want 1, 1", source.Fetches(), s.conns)
		}
		s.mu.Unlock()
	}
}

// The password is not shown in the clear but to this machine.
func TestNoPasswordInTheClear(t *testing.T) {
	login := smtpauth.Login{User: "parley", Password: credential.NewSecret(canary)}
	for _, test := range []struct {
		name string
		tls  bool
		auth []string
		want string // the mechanism, or the error
	}{
		{"mail.example.com", true, []string{"PLAIN", "CRAM-MD5"}, "PLAIN"},
		{"mail.example.com", false, []string{"PLAIN", "LOGIN", "CRAM-MD5"}, "CRAM-MD5"},
		{"mail.example.com", false, []string{"PLAIN"}, "smtpauth: the server offers no login that is safe without TLS"},
		{"10.0.0.1", false, []string{"LOGIN"}, "smtpauth: the server offers no login that is safe without TLS"},
		{"localhost.example.com", false, []string{"PLAIN"}, "smtpauth: the server offers no login that is safe without TLS"},
		{"127.0.0.1", false, []string{"PLAIN"}, "PLAIN"},
		{"::1", false, []string{"PLAIN"}, "PLAIN"},
		{"localhost", false, []string{"LOGIN"}, "LOGIN"},
		{"mail.example.com", true, []string{"GSSAPI"}, "smtpauth: the server offers no login that this client knows"},
	} {
		got, sent, err := smtpauth.Auth(login).Start(&smtp.ServerInfo{Name: test.name, TLS: test.tls, Auth: test.auth})
		if err != nil {
			if got = err.Error(); len(sent) > 0 {
				t.Errorf("%s: something was sent", test.name)
			}
		}
		if got != test.want {
			t.Errorf("%s, TLS %v, %v: Start = %s, want %s", test.name, test.tls, test.auth, got, test.want)
		}
	}
}

func TestCheck(t *testing.T) {
	const half = "credential: invalid: a login to a mail server is a group with username and password"
	for _, test := range []struct {
		name   string
		fields map[string]credential.Secret
		want   string
	}{
		{"a pair", group("parley", canary).Fields, ""},
		{"user", map[string]credential.Secret{"user": credential.NewSecret("parley"), "password": credential.NewSecret(canary)}, ""},
		{"a password alone", nil, ""},
		{"half of a pair", map[string]credential.Secret{"password": credential.NewSecret(canary)}, half},
		{"the other half", map[string]credential.Secret{"username": credential.NewSecret(canary)}, half},
	} {
		got := ""
		if err := smtpauth.Check(credential.NewSecret(canary), test.fields); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: Check = %q, want %q", test.name, got, test.want)
		}
	}
}

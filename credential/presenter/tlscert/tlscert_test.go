package tlscert_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/presenter/tlscert"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// authority signs certificates for 127.0.0.1.
type authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	pool        *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, pool: x509.NewCertPool()}
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.certificate)
	return a
}

// pair returns a certificate and its key in PEM.
func (a *authority) pair(t testing.TB, name string, from, to time.Duration) (certificate, key string) {
	t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(from),
		NotAfter: time.Now().Add(to), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &own.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

func (a *authority) version(t testing.TB, name string) credential.Version {
	t.Helper()
	certificate, key := a.pair(t, name, -time.Minute, time.Hour)
	return group("cert", certificate, "key", key)
}

func group(pairs ...string) credential.Version {
	v := credential.Version{Fields: map[string]credential.Secret{}}
	for i := 0; i < len(pairs); i += 2 {
		v.Fields[pairs[i]] = credential.NewSecret(pairs[i+1])
	}
	return v
}

func open(t *testing.T, v credential.Version) (*credentialtest.Source, *credential.Credential, *credential.Presenter[*tls.Certificate]) {
	t.Helper()
	source := credentialtest.New(credential.Info{}, "")
	source.SetVersions(v)
	c, err := credential.New(credential.Config{Name: "certificate", Source: source, Present: true, TTL: time.Hour, Check: tlscert.Check})
	if err != nil {
		t.Fatal(err)
	}
	p, err := tlscert.Presenter(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return source, c, p
}

// serve echoes lines over TLS, and says before each whose certificate the client has.
func serve(t *testing.T, config *tls.Config) (addr string) {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	work.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			work.Go(func() {
				defer conn.Close()
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					who := ""
					if peers := conn.(*tls.Conn).ConnectionState().PeerCertificates; len(peers) > 0 {
						who = peers[0].Subject.CommonName
					}
					if _, err := fmt.Fprintf(conn, "%s %s\n", lines.Text(), who); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		for _, conn := range open {
			conn.Close()
		}
		mu.Unlock()
		work.Wait()
	})
	return listener.Addr().String()
}

// echo sends a line and returns the answer.
func echo(conn net.Conn, line string) (string, error) {
	if _, err := fmt.Fprintln(conn, line); err != nil {
		return "", err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(answer), err
}

// A server's certificate rotates while connections are open: they go on, and new ones see the new certificate.
func TestServerRotates(t *testing.T) {
	a := newAuthority(t)
	source, c, p := open(t, a.version(t, "first"))
	addr := serve(t, &tls.Config{GetCertificate: tlscert.GetCertificate(p)})
	client := &tls.Config{RootCAs: a.pool}
	dial := func() *tls.Conn {
		conn, err := tls.Dial("tcp", addr, client)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	name := func(conn *tls.Conn) string { return conn.ConnectionState().PeerCertificates[0].Subject.CommonName }
	first := dial()
	source.SetVersions(a.version(t, "second"))
	if err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := dial()
	if name(first) != "first" || name(second) != "second" {
		t.Errorf("certificates %s, %s; want first, second", name(first), name(second))
	}
	for _, conn := range []*tls.Conn{first, second} {
		if got, err := echo(conn, "hello"); err != nil || got != "hello" {
			t.Errorf("the connection with the %s certificate: %q, %v; want hello", name(conn), got, err)
		}
	}
	at, err := tlscert.Expires(t.Context(), p)
	if want := second.ConnectionState().PeerCertificates[0].NotAfter; err != nil || !at.Equal(want) {
		t.Errorf("Expires = %v, %v; want %v", at, err, want)
	}
}

// It is parsed once for each generation, not for each handshake.
func TestParsedOnce(t *testing.T) {
	a := newAuthority(t)
	_, _, p := open(t, a.version(t, "first"))
	get := tlscert.GetCertificate(p)
	first, err := get(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	if second, err := get(&tls.ClientHelloInfo{}); err != nil || second != first {
		t.Errorf("another certificate for the second handshake, %v; want the same", err)
	}
}

// I20: a server that has come to refuse a client's certificate: one reading for all connections, and one retry each.
func TestI20ClientRefused(t *testing.T) {
	old, now := newAuthority(t), newAuthority(t)
	_, _, p := open(t, old.version(t, "old"))
	serverPair := now.version(t, "server")
	_, _, serving := open(t, serverPair)
	addr := serve(t, &tls.Config{GetCertificate: tlscert.GetCertificate(serving), ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: now.pool})
	var dials atomic.Int64
	talk := func(_ context.Context, certificate *tls.Certificate) error {
		dials.Add(1)
		conn, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: now.pool, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }})
		if err != nil {
			return err
		}
		defer conn.Close()
		got, err := echo(conn, "hello")
		if err == nil && got != "hello new" {
			t.Errorf("the server sees %q, want the new certificate", got)
		}
		return err
	}
	if err := credential.Use(t.Context(), p, talk, tlscert.Refused); !tlscert.Refused(err) || !errors.Is(err, credential.Denied) {
		t.Errorf("with the old certificate = %v, want a refusal and Denied", err)
	}
	source, _, rotated := open(t, old.version(t, "old"))
	source.SetVersions(now.version(t, "new"))
	dials.Store(0)
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() {
			if err := credential.Use(t.Context(), rotated, talk, tlscert.Refused); err != nil {
				t.Errorf("after the rotation = %v", err)
			}
		})
	}
	group.Wait()
	if source.Fetches() != 2 || dials.Load() > 10 {
		t.Errorf("%d readings, %d connections; want 2, 10 at most", source.Fetches(), dials.Load())
	}
	conn, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: now.pool, GetClientCertificate: tlscert.GetClientCertificate(rotated)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got, err := echo(conn, "hello"); err != nil || got != "hello new" {
		t.Errorf("with GetClientCertificate: %q, %v; want hello new", got, err)
	}
}

// A certificate that has expired is not served, and another one is asked for.
func TestExpired(t *testing.T) {
	a := newAuthority(t)
	certificate, key := a.pair(t, "old", -time.Hour, -time.Minute)
	source := credentialtest.New(credential.Info{}, "")
	source.SetVersions(group("cert", certificate, "key", key))
	c, err := credential.New(credential.Config{Name: "certificate", Source: source, Present: true, TTL: time.Hour}) // without Check
	if err != nil {
		t.Fatal(err)
	}
	p, err := tlscert.Presenter(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	if _, err := tlscert.GetCertificate(p)(&tls.ClientHelloInfo{}); !errors.Is(err, credential.Denied) {
		t.Errorf("GetCertificate = %v, want Denied", err)
	}
	source.SetVersions(a.version(t, "new"))
	if err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := tlscert.GetCertificate(p)(&tls.ClientHelloInfo{}); err != nil || got.Leaf.Subject.CommonName != "new" {
		t.Errorf("GetCertificate = %v, want the new one", err)
	}
}

func TestCheck(t *testing.T) {
	a := newAuthority(t)
	certificate, key := a.pair(t, "one", -time.Minute, time.Hour)
	other, otherKey := a.pair(t, "other", -time.Minute, time.Hour)
	expired, expiredKey := a.pair(t, "expired", -2*time.Hour, -time.Hour)
	early, earlyKey := a.pair(t, "early", time.Hour, 2*time.Hour)
	for _, test := range []struct {
		name  string
		value string
		v     credential.Version
		want  string // the error begins so, "" for none
	}{
		{"cert and key", "", group("cert", certificate, "key", key), ""},
		{"tls.crt and tls.key", "", group("tls.crt", certificate, "tls.key", key), ""},
		{"certificate and private_key", "", group("certificate", certificate, "private_key", key), ""},
		{"one text", key + certificate, credential.Version{}, ""},
		{"a chain", certificate + other + key, credential.Version{}, ""},
		{"half of a pair", "", group("cert", certificate), "credential: invalid: a certificate without its private key in PEM"},
		{"half of a text", certificate, credential.Version{}, "credential: invalid: a certificate without its private key in PEM"},
		{"the other half", "", group("key", key), "credential: invalid: no certificate in PEM"},
		{"no PEM", "nonsense", credential.Version{}, "credential: invalid: no certificate in PEM"},
		{"another's key", "", group("cert", certificate, "key", otherKey), "credential: invalid: the certificate cannot be read, or the private key is not the certificate's"},
		{"expired", "", group("cert", expired, "key", expiredKey), "credential: invalid: the certificate expired at "},
		{"too early", "", group("cert", early, "key", earlyKey), "credential: invalid: the certificate is not valid before "},
	} {
		err := tlscert.Check(credential.NewSecret(test.value), test.v.Fields)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if test.want == "" && got != "" || !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: Check = %q, want %q", test.name, got, test.want)
		}
		for line := range strings.Lines(key + otherKey + expiredKey + earlyKey) {
			if len(line) > 20 && !strings.HasPrefix(line, "-----") && strings.Contains(got, strings.TrimSpace(line)) {
				t.Errorf("%s: the error holds a private key", test.name)
			}
		}
	}
}

// Half of a pair never displaces a whole one.
func TestHalfOfAPairIsNotInstalled(t *testing.T) {
	a := newAuthority(t)
	source, c, p := open(t, a.version(t, "first"))
	certificate, _ := a.pair(t, "second", -time.Minute, time.Hour)
	source.SetVersions(group("cert", certificate, "key", string(a.version(t, "third").Fields["key"].Reveal())))
	if err := c.Refresh(t.Context()); !errors.Is(err, credential.Invalid) {
		t.Errorf("Refresh = %v, want Invalid", err)
	}
	if lease, err := p.Acquire(t.Context()); err != nil || lease.Value.Leaf.Subject.CommonName != "first" {
		t.Errorf("Acquire = generation %d, %v; want the first certificate", lease.Generation, err)
	}
}

// Whatever a store holds: no panic, and no error that quotes it.
func FuzzCheck(f *testing.F) {
	a := newAuthority(f)
	certificate, key := a.pair(f, "seed", -time.Minute, time.Hour)
	for _, seed := range [][2]string{{certificate, key}, {key, certificate}, {certificate + certificate, key}, {certificate, strings.ToLower(key)}, {"-----BEGIN CERTIFICATE-----", "x"}, {"", ""}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, certificate, key string) {
		for _, err := range []error{
			tlscert.Check(credential.Secret{}, group("cert", certificate, "key", key).Fields),
			tlscert.Check(credential.NewSecret(certificate+key), nil),
		} {
			if err != nil && (!errors.Is(err, credential.Invalid) || len(key) > 12 && strings.Contains(err.Error(), key)) {
				t.Error("an error of another class, or one that quotes the key")
			}
		}
	})
}

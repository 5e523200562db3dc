package postgres

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	encoding "encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-backend/parley/internal/pgtest"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

// locked is a log that may be written from several goroutines.
type locked struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestStatementTimeout: a statement that takes too long is told to the client as code 124, and its connection is used on.
func TestStatementTimeout(t *testing.T) {
	db := open(t, Config{MaxConns: 2, StatementTimeout: 50 * time.Millisecond})
	class := save(t, db, thing())
	ctx := t.Context()
	if err := db.Create(ctx, class, object("Thing", "x", "n", 1.0)); err != nil {
		t.Fatal(err)
	}
	err := db.Transact(ctx, func(ctx context.Context, tx storage.Store) error {
		if _, err := tx.Update(ctx, class, byID("x"), parse.NewMap("s", "locked"), 1); err != nil {
			return err
		}
		_, err := db.Update(ctx, class, byID("x"), parse.NewMap("n", 2.0), 1)
		var told *parse.Error
		if !errors.Is(err, storage.Unavailable) || !errors.As(err, &told) || told.Code != parse.Timeout {
			t.Errorf("Update that waits too long = %v, want Unavailable with code 124", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if changed, err := db.Update(ctx, class, byID("x"), parse.NewMap("n", 3.0), 1); len(changed) != 1 || err != nil {
		t.Errorf("Update afterwards = %v, %v", changed, err)
	}
	if n := db.pool.Stat().NewConnsCount(); n > 2 {
		t.Errorf("%d connections were made, want 2", n)
	}
}

// TestSlowQuery: the log tells of a statement, and of no value in it.
func TestSlowQuery(t *testing.T) {
	log := &locked{}
	db := open(t, Config{SlowQuery: time.Nanosecond, Logger: slog.New(slog.NewTextHandler(log, nil))})
	class := save(t, db, thing())
	ctx := t.Context()
	if err := db.Create(ctx, class, object("Thing", "x", "s", "a value"), object("Thing", "y", "s", "a value")); err != nil {
		t.Fatal(err)
	}
	for _, err := range db.Find(ctx, class, &query.Find{Limit: 3, Where: &query.Constraint{Key: "s", Op: query.Eq, Arg: "a value"}}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Create(ctx, class, object("Thing", "x", "s", "a value")); !errors.Is(err, storage.Duplicate) {
		t.Fatal(err)
	}
	text := log.String()
	for _, want := range []string{"slow query", "FROM", "andMore=1", "rows=2", "sqlstate=23505"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log = %s, want %s in it", text, want)
		}
	}
	if strings.Contains(text, "a value") {
		t.Errorf("the log = %s, want no value in it", text)
	}
}

// TestSettings: parameters of the server hold for each connection.
func TestSettings(t *testing.T) {
	db := open(t, Config{Settings: map[string]string{"application_name": "other", "lock_timeout": "1234"}})
	var name, lock string
	err := db.outside(t.Context(), func(ctx context.Context, s *session) error {
		return s.row(ctx, "SELECT current_setting('application_name'), current_setting('lock_timeout')", nil, &name, &lock)
	})
	if name != "other" || lock != "1234ms" || err != nil {
		t.Errorf("the settings = %s, %s, %v, want other and 1234ms", name, lock, err)
	}
}

// TestNoIndex: indexes that are not wanted are not made, also not when the database is opened again; the others are.
func TestNoIndex(t *testing.T) {
	uri := pgtest.Shared(t).Schema(t)
	all := []string{"_User_pkey", "_User_unique_authData_anonymous_id", "_User_unique_authData_x_id", "_User_unique_email", "_User_unique_username", "_email_verify_token", "_perishable_token", "case_insensitive_email", "case_insensitive_username"}
	for _, none := range [][]string{{"_User_unique_email", "case_insensitive_email", "_perishable_token", AuthDataIndexes}, nil} {
		db := open(t, Config{URI: uri, NoIndex: none})
		class := save(t, db, schema.New(schema.UserClass))
		id := rand.Text()
		if err := db.Create(t.Context(), class, object(schema.UserClass, id, schema.AuthDataPrefix+"x", parse.NewMap("id", id))); err != nil {
			t.Fatal(err)
		}
		var got []string
		err := db.outside(t.Context(), func(ctx context.Context, s *session) (err error) {
			got, err = s.indexesOf(ctx, db.layout(class))
			return err
		})
		for i, name := range got {
			_, plain, _ := strings.Cut(name, "_User.")
			if plain != "" {
				got[i] = plain
			}
		}
		slices.Sort(got)
		want := slices.DeleteFunc(slices.Clone(all), func(name string) bool {
			return slices.Contains(none, name) || len(none) > 0 && strings.Contains(name, "authData")
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("the indexes without %v = %v, %v, want %v", none, got, err, want)
		}
	}
}

// authority makes certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	text string
}

func newAuthority(t *testing.T) *authority {
	a := &authority{cert: &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}}
	a.text, _ = a.sign(t, a.cert)
	return a
}

// sign returns a certificate and its key, in PEM.
func (a *authority) sign(t *testing.T, cert *x509.Certificate) (string, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if a.key == nil {
		a.key = key
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoding.EncodeToMemory(&encoding.Block{Type: "CERTIFICATE", Bytes: der})), string(encoding.EncodeToMemory(&encoding.Block{Type: "PRIVATE KEY", Bytes: text}))
}

// TestTLS: the server is who its certificate says, as far as the mode asks, and is shown ours.
func TestTLS(t *testing.T) {
	ours, others := newAuthority(t), newAuthority(t)
	serverCert, serverKey := ours.sign(t, &x509.Certificate{SerialNumber: big.NewInt(2), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(time.Hour)})
	cert, key := ours.sign(t, &x509.Certificate{SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "guest"}, NotAfter: time.Now().Add(time.Hour)})
	server := pgtest.Start(t, pgtest.Options{Auth: "scram-sha-256 clientcert=verify-ca", Files: map[string]string{"server.crt": serverCert, "server.key": serverKey, "ca.crt": ours.text},
		Settings: map[string]string{"ssl": "on", "ssl_cert_file": "../server.crt", "ssl_key_file": "../server.key", "ssl_ca_file": "../ca.crt"}})
	server.Exec(t, "CREATE ROLE guest LOGIN PASSWORD 'secret'", "CREATE SCHEMA guest AUTHORIZATION guest")
	base, _, _ := strings.Cut(server.URI("guest", "secret", ""), "?")
	byName := strings.Replace(base, "127.0.0.1", "localhost", 1)
	for _, tt := range []struct {
		name, uri string
		tls       TLS
		ok        bool
	}{
		{"full", base, TLS{Mode: "verify-full", CA: ours.text, Cert: cert, Key: key}, true},
		{"both in one", base, TLS{Mode: "verify-full", CA: ours.text, Cert: cert + key}, true},
		{"the URI says nothing", base, TLS{CA: ours.text, Cert: cert, Key: key}, true},
		{"another authority", base, TLS{Mode: "verify-full", CA: others.text, Cert: cert, Key: key}, false},
		{"those of the system", base, TLS{Mode: "verify-full", Cert: cert, Key: key}, false},
		{"anybody", base, TLS{Mode: "require", Cert: cert, Key: key}, true},
		{"another name", byName, TLS{Mode: "verify-full", CA: ours.text, Cert: cert, Key: key}, false},
		{"any name", byName, TLS{Mode: "verify-ca", CA: ours.text, Cert: cert, Key: key}, true},
		{"any name of others", byName, TLS{Mode: "verify-ca", CA: others.text, Cert: cert, Key: key}, false},
		{"no certificate of ours", base, TLS{Mode: "verify-full", CA: ours.text}, false},
		{"no encryption", base, TLS{Mode: "disable", Cert: cert, Key: key}, false},
	} {
		db, err := Open(t.Context(), Config{URI: tt.uri + "?search_path=guest", TLS: tt.tls})
		if (err == nil) != tt.ok {
			t.Errorf("%s: Open = %v, want ok %v", tt.name, err, tt.ok)
		}
		if err == nil {
			db.Close()
		}
	}
}

package postgres_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/presenter/postgres"
)

func fields(pairs ...string) map[string]credential.Secret {
	m := map[string]credential.Secret{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = credential.NewSecret(pairs[i+1])
	}
	return m
}

func TestCheck(t *testing.T) {
	for _, test := range []struct {
		name   string
		value  string
		fields map[string]credential.Secret
		want   string // "" for none
	}{
		{"a password", canary, nil, ""},
		{"a URI", "postgres://u:" + canary + "@127.0.0.1:5432/db?sslmode=disable&pool_max_conns=3", nil, ""},
		{"the other scheme", "postgresql://u:" + canary + "@127.0.0.1/db", nil, ""},
		{"a broken URI", "postgres://u:" + canary + "@127.0.0.1:port/db", nil, "credential: invalid: not a URI that PostgreSQL clients understand"},
		{"username and password", "", fields("username", "u", "password", canary), ""},
		{"user and password", "", fields("user", "u", "password", canary, "host", "db.internal"), ""},
		{"password only", "", fields("password", canary), ""},
		{"both names, one user", "", fields("user", "u", "username", "u", "password", canary), ""},
		{"half of a pair", "", fields("username", canary), "credential: invalid: a login without the field password"},
		{"two users", "", fields("user", "u", "username", canary, "password", canary), "credential: invalid: the fields username and user differ"},
		{"an empty user", "", fields("user", " ", "password", canary), "credential: invalid: a login with an empty user"},
	} {
		got := ""
		if err := postgres.Check(credential.NewSecret(test.value), test.fields); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: Check = %q, want %q", test.name, got, test.want)
		}
	}
}

// Half of a pair never displaces a whole one.
func TestHalfOfAPairIsNotInstalled(t *testing.T) {
	source := credentialtest.New(credential.Info{}, "")
	source.SetVersions(group("a", password("1")))
	c, err := credential.New(credential.Config{Name: "database", Source: source, Present: true, Check: postgres.Check})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	login, err := postgres.Presenter(c)
	if err != nil {
		t.Fatal(err)
	}
	source.SetVersions(credential.Version{Fields: fields("username", canary)})
	if err := c.Refresh(t.Context()); err == nil || err.Error() != "credential database: invalid: a login without the field password" {
		t.Errorf("Refresh = %v, want Invalid", err)
	}
	if lease, err := login.Acquire(t.Context()); err != nil || lease.Value.User != "a" || lease.Generation != 1 {
		t.Errorf("Acquire = %q of generation %d, %v; want the first login", lease.Value.User, lease.Generation, err)
	}
}

// One connection: whatever shape the login has, and with a refusal that is mended.
func TestConnect(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		login      func(b *bed, password string) credential.Version
		configured bool // the user, in the configuration
	}{
		{"user and password", func(b *bed, p string) credential.Version { return group(b.a, p) }, false},
		{"password", func(_ *bed, p string) credential.Version { return credential.Version{Value: credential.NewSecret(p)} }, true},
		{"password in a group", func(_ *bed, p string) credential.Version { return credential.Version{Fields: fields("password", p)} }, true},
		{"URI", func(b *bed, p string) credential.Version {
			return credential.Version{Value: credential.NewSecret(b.server.URI(b.a, p, "postgres"))}
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := open(t, server(t), credential.Config{TTL: time.Hour})
			user := "nobody"
			if test.configured {
				user = b.a
			}
			config, err := pgx.ParseConfig(b.server.URI(user, "nothing", "postgres"))
			if err != nil {
				t.Fatal(err)
			}
			b.source.SetVersions(test.login(b, password("1")))
			if err := b.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, n := range []string{"1", "2"} {
				if n == "2" {
					b.server.Exec(t, "ALTER ROLE "+b.a+" PASSWORD '"+password(n)+"'")
					b.source.SetVersions(test.login(b, password(n)))
				}
				conn, err := postgres.Connect(t.Context(), config, b.login)
				if err != nil {
					t.Fatalf("Connect failed: %v", err)
				}
				var user string
				if err := conn.QueryRow(t.Context(), "SELECT current_user").Scan(&user); err != nil || user != b.a {
					t.Errorf("current_user = %q, %v; want %q", user, err, b.a)
				}
				lease, ok := postgres.LeaseOf(conn)
				if now, _ := b.login.Acquire(t.Context()); !ok || lease.Generation != now.Generation {
					t.Errorf("LeaseOf = generation %d, %v; want %d", lease.Generation, ok, now.Generation)
				}
				if err := conn.Close(t.Context()); err != nil {
					t.Error(err)
				}
			}
			b.server.Exec(t, "ALTER ROLE "+b.a+" PASSWORD '"+password("3")+"'")
			if _, err = postgres.Connect(t.Context(), config, b.login); !postgres.Refused(err) {
				t.Errorf("Connect = %v, want a refusal", err)
			}
			clean(t, err)
		})
	}
}

// Whatever a store holds: a login that can be put into a configuration, or an error that does not quote it.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{canary, "postgres://u:p@127.0.0.1:5432/db?sslmode=disable", "postgresql://", "postgres://u:p@[::1]:1/db?pool_max_conns=0", "postgres://%zz", "postgres://h/?sslmode=nonsense"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		err := postgres.Check(credential.NewSecret(text), nil)
		if err != nil && (!errors.Is(err, credential.Invalid) || strings.Contains(err.Error(), text)) {
			t.Error("an error of another class, or one that quotes the login")
		}
		if err == nil && strings.HasPrefix(text, "postgres://") {
			if _, err := pgxpool.ParseConfig(text); err != nil {
				t.Error("Check let a URI pass that cannot be read")
			}
		}
	})
}

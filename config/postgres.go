package config

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-backend/parley/credential"
	presenter "github.com/parley-backend/parley/credential/presenter/postgres"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/storage/postgres"
)

// postgres reads what databaseOptions say of PostgreSQL.
func (b *builder) postgres() postgres.Config {
	v := b.v
	cfg := postgres.Config{
		MaxConns: b.amount("maxPoolSize", "max", "poolSize"), MinConns: b.amount("minPoolSize", "min"),
		IdleTime: b.milliseconds("maxIdleTimeMS", "idleTimeoutMillis"), LifeTime: 1000 * b.milliseconds("maxLifetimeSeconds"),
		ConnectTimeout: b.milliseconds("connectTimeoutMS", "connectionTimeoutMillis"), AcquireTimeout: b.milliseconds("waitQueueTimeoutMS"),
		StatementTimeout: b.milliseconds("maxTimeMS", "statement_timeout", "query_timeout"),
		MaxStaleness:     1000 * b.milliseconds("maxStalenessSeconds"),
		SlowQuery:        b.milliseconds("slowQueryMS"),
		NoListen:         !v.Bool("databaseOptions.enableSchemaHooks"),
		Settings:         map[string]string{}, TLS: b.databaseTLS(), NoIndex: b.noIndex(),
	}
	if cfg.MaxConns > 0 && cfg.MinConns > cfg.MaxConns {
		b.problem("databaseOptions.minPoolSize", "must not be greater than maxPoolSize")
	}
	for _, name := range []string{"lock_timeout", "idle_in_transaction_session_timeout"} {
		if n := b.amount(name); n > 0 {
			cfg.Settings[name] = strconv.Itoa(n)
		}
	}
	if cfg.ReadPreference = strings.ToUpper(v.String("databaseOptions.readPreference")); cfg.ReadPreference != "" && !slices.Contains(query.ReadPreferences, cfg.ReadPreference) {
		b.problem("databaseOptions.readPreference", "must be one of %s", strings.Join(query.ReadPreferences, ", "))
	}
	if name := b.first("appName", "application_name"); name != "" {
		cfg.Settings["application_name"] = v.String(name)
	}
	return cfg
}

// first returns the first of some members of databaseOptions that is set, with its whole name, "" for none.
func (b *builder) first(names ...string) string {
	for _, name := range names {
		if name = "databaseOptions." + name; b.v.Has(name) {
			return name
		}
	}
	return ""
}

// amount reads the first of some members of databaseOptions that is set.
func (b *builder) amount(names ...string) int {
	name := b.first(names...)
	if name == "" {
		return 0
	}
	n := b.v.Int(name)
	if n < 0 || n > 1<<31-1 {
		b.problem(name, "must not be negative, nor more than 2147483647")
		return 0
	}
	return n
}

func (b *builder) milliseconds(names ...string) time.Duration {
	return time.Duration(b.amount(names...)) * time.Millisecond
}

// indexOptions are the options that have an index of a system class made.
var indexOptions = []struct{ option, index string }{
	{"createIndexAuthDataUniqueness", postgres.AuthDataIndexes},
	{"createIndexRoleName", "_Role_unique_name"},
	{"createIndexUserEmail", "_User_unique_email"},
	{"createIndexUserEmailCaseInsensitive", "case_insensitive_email"},
	{"createIndexUserEmailVerifyToken", "_email_verify_token"},
	{"createIndexUserPasswordResetToken", "_perishable_token"},
	{"createIndexUserUsername", "_User_unique_username"},
	{"createIndexUserUsernameCaseInsensitive", "case_insensitive_username"},
}

func (b *builder) noIndex() []string {
	var names []string
	for _, o := range indexOptions {
		if !b.v.Bool("databaseOptions." + o.option) {
			names = append(names, o.index)
		}
	}
	return names
}

// sslMembers are those of databaseOptions.ssl.
var sslMembers = []Option{{Name: "ca"}, {Name: "cert"}, {Name: "key"}, {Name: "rejectUnauthorized"}}

// databaseTLS reads how connections to the database are encrypted.
func (b *builder) databaseTLS() postgres.TLS {
	v := b.v
	t := postgres.TLS{CA: v.String("databaseOptions.tlsCAFile"), Cert: v.String("databaseOptions.tlsCertificateKeyFile")}
	t.Key = t.Cert
	if v.Has("databaseOptions.tls") {
		t.Mode = encryption(v.Bool("databaseOptions.tls"))
	}
	switch ssl := v.JSON("databaseOptions.ssl").(type) {
	case nil:
	case bool:
		t.Mode = encryption(ssl)
	case map[string]any:
		b.sslObject(&t, ssl)
	default:
		b.problem("databaseOptions.ssl", "must be true, false, or an object with ca, cert, key and rejectUnauthorized")
	}
	if t.Mode != "disable" {
		switch {
		case v.Bool("databaseOptions.tlsAllowInvalidCertificates"), v.Bool("databaseOptions.tlsInsecure"):
			t.Mode = "require"
		case v.Bool("databaseOptions.tlsAllowInvalidHostnames"):
			t.Mode = "verify-ca"
		}
	}
	return t
}

func encryption(on bool) string {
	if on {
		return "verify-full"
	}
	return "disable"
}

func (b *builder) sslObject(t *postgres.TLS, ssl map[string]any) {
	t.Mode = "verify-full"
	for name, value := range ssl {
		text, isText := value.(string)
		yes, isBool := value.(bool)
		switch {
		case name == "rejectUnauthorized" && isBool && !yes:
			t.Mode = "require"
		case name == "rejectUnauthorized" && isBool:
		case name == "ca" && isText:
			t.CA = text
		case name == "cert" && isText:
			t.Cert = text
		case name == "key" && isText:
			t.Key = text
		case slices.ContainsFunc(sslMembers, func(o Option) bool { return o.Name == name }):
			b.problem("databaseOptions.ssl."+name, "must be a text in PEM or the name of a file; rejectUnauthorized true or false")
		default:
			if near := Closest(name, sslMembers); near != "" {
				b.problem("databaseOptions.ssl."+name, "unknown option; did you mean %s?", near)
			} else {
				b.problem("databaseOptions.ssl."+name, "unknown option; there are ca, cert, key and rejectUnauthorized")
			}
		}
	}
}

// replica is one of databaseReplicaURI.
type replica struct {
	uri   string
	login *credential.Config // nil for that of the database, or what the URI says
}

// replicas reads databaseReplicaURI and databaseReplicaCredentials.
func (v *Values) replicas(registry credential.Registry) ([]replica, error) {
	texts := v.Secret("databaseReplicaURI")
	if len(texts) == 1 && strings.HasPrefix(texts[0], "[") {
		var list []string
		if json.Unmarshal([]byte(texts[0]), &list) != nil {
			return nil, Problem{"databaseReplicaURI", "must be a URI, or a JSON array of them"}
		}
		texts = list
	}
	var own *credential.Config
	if logins := v.Secret("databaseReplicaCredentials"); len(logins) > 0 {
		var err error
		if own, err = databaseLogin("databaseReplicaCredentials", registry, logins); err != nil {
			return nil, Problem{"databaseReplicaCredentials", err.Error()}
		}
		if len(texts) == 0 {
			return nil, Problem{"databaseReplicaCredentials", "is the login for databaseReplicaURI, which names none"}
		}
	}
	var all []replica
	for i, text := range texts {
		if credential.IsReference(text, uriSchemes...) {
			name := "databaseReplicaURI"
			if i > 0 {
				name += "-" + strconv.Itoa(i+1)
			}
			login, err := databaseLogin(name, registry, []string{text})
			if err != nil {
				return nil, Problem{"databaseReplicaURI", err.Error()}
			}
			all = append(all, replica{uri: "postgres:///", login: login})
			continue
		}
		scheme, _, _ := strings.Cut(text, ":")
		if _, err := pgx.ParseConfig(text); err != nil || scheme != "postgres" && scheme != "postgresql" {
			return nil, Problem{"databaseReplicaURI", "is not understood; write postgres://USER:PASSWORD@HOST:PORT/DATABASE"}
		}
		all = append(all, replica{uri: text, login: own})
	}
	if len(all) > 0 && !v.wantsPostgres() {
		return nil, Problem{"databaseReplicaURI", "is for a databaseURI that begins with postgres://"}
	}
	return all, nil
}

// presentTo begins to present the logins of the replicas. Those without a login of their own use that of the database, unless that is a whole URI.
func (b *Built) presentTo(ctx context.Context, cfg *postgres.Config, log *slog.Logger) error {
	begun := map[*credential.Config]*credential.Presenter[presenter.Login]{nil: cfg.Login}
	if b.database.login != nil && b.database.login.Name == "databaseURI" {
		begun[nil] = nil
	}
	for _, r := range b.database.replicas {
		login, ok := begun[r.login]
		if !ok {
			c, err := b.present(ctx, *r.login, log)
			if err != nil {
				return err
			}
			if login, err = presenter.Adjusted(c, cfg.TLS.Apply); err != nil {
				return Problem{r.login.Name, err.Error()}
			}
			begun[r.login] = login
		}
		cfg.Replicas = append(cfg.Replicas, postgres.Replica{URI: r.uri, Login: login})
	}
	return nil
}

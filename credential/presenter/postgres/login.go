// Package postgres opens connections to PostgreSQL with a login that rotates: the
// password, the user, or the whole URI is a credential that is asked for when a
// connection is made.
//
//	login, err := postgres.Presenter(database)             // a *credential.Credential
//	pool, err := postgres.NewPool(ctx, config, login, postgres.Options{})
//
// New connections use the newest login, old ones are drained. A login that the server
// refuses is asked for again, once for all who were refused, and the connection is tried
// once more, so that whoever uses the pool does not notice a rotation.
package postgres

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-backend/parley/credential"
)

// Login is who Parley is to a database. What is empty stays as it is in the
// configuration of the connection.
type Login struct {
	User     string
	Password credential.Secret
	// URI replaces host, port, database, user, password and the TLS settings.
	URI credential.Secret
	// adjust changes the configuration of a connection after the login was put into it; may be nil.
	adjust func(*pgx.ConnConfig) error
}

// String never shows a secret.
func (l Login) String() string { return fmt.Sprintf("{%s %v %v}", l.User, l.Password, l.URI) }

// Presenter makes a presenter of logins. The credential is one of these:
//
//	a group with username (or user) and password
//	a group with password only, for the user of the configuration
//	a URI that begins with postgres:// or postgresql://
//	any other single value: the password
func Presenter(c *credential.Credential) (*credential.Presenter[Login], error) {
	return credential.NewPresenter(c, func(m credential.Material) (Login, error) { return decode(m.Value, m.Fields) })
}

// Adjusted is [Presenter] for logins after which the configuration of a connection is adjusted: where a URI replaces the TLS settings,
// for instance, but not the certificates that are trusted.
func Adjusted(c *credential.Credential, adjust func(*pgx.ConnConfig) error) (*credential.Presenter[Login], error) {
	return credential.NewPresenter(c, func(m credential.Material) (Login, error) {
		login, err := decode(m.Value, m.Fields)
		login.adjust = adjust
		return login, err
	})
}

// Check is for Config.Check: it refuses what is no login, half of a pair for instance,
// so that it never displaces one that is.
func Check(value credential.Secret, fields map[string]credential.Secret) error {
	_, err := decode(value, fields)
	return err
}

func decode(value credential.Secret, fields map[string]credential.Secret) (Login, error) {
	if len(fields) > 0 {
		return group(fields)
	}
	text := value.Reveal()
	defer clear(text)
	if !bytes.HasPrefix(text, []byte("postgres://")) && !bytes.HasPrefix(text, []byte("postgresql://")) {
		return Login{Password: value}, nil
	}
	if _, err := pgxpool.ParseConfig(string(text)); err != nil { // its text may quote the URI
		return Login{}, credential.Errorf(credential.Invalid, "not a URI that PostgreSQL clients understand")
	}
	return Login{URI: value}, nil
}

func group(fields map[string]credential.Secret) (Login, error) {
	user, hasUser := fields["username"]
	if short, hasShort := fields["user"]; hasShort {
		if hasUser && string(short.Reveal()) != string(user.Reveal()) {
			return Login{}, credential.Errorf(credential.Invalid, "the fields username and user differ")
		}
		user, hasUser = short, true
	}
	password, hasPassword := fields["password"]
	switch {
	case !hasPassword || password.Len() == 0:
		return Login{}, credential.Errorf(credential.Invalid, "a login without the field password")
	case hasUser && strings.TrimSpace(string(user.Reveal())) == "":
		return Login{}, credential.Errorf(credential.Invalid, "a login with an empty user")
	}
	return Login{User: string(user.Reveal()), Password: password}, nil
}

// apply puts the login into the configuration of one connection.
func (l Login) apply(config *pgx.ConnConfig) error {
	if l.URI.Len() > 0 {
		parsed, err := pgxpool.ParseConfig(string(l.URI.Reveal()))
		if err != nil {
			return credential.Errorf(credential.Invalid, "not a URI that PostgreSQL clients understand")
		}
		from := parsed.ConnConfig
		config.Host, config.Port, config.Database = from.Host, from.Port, from.Database
		config.User, config.Password = from.User, from.Password
		config.TLSConfig, config.Fallbacks = from.TLSConfig, from.Fallbacks
		if from.ValidateConnect != nil { // it asks for one of its hosts
			config.ValidateConnect = from.ValidateConnect
		}
	} else {
		if l.User != "" {
			config.User = l.User
		}
		config.Password = string(l.Password.Reveal())
	}
	if l.adjust != nil {
		return l.adjust(config)
	}
	return nil
}

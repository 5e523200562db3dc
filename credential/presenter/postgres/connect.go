package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parley-backend/parley/credential"
)

// Refused reports whether an error says that the server refused a login: a wrong
// password, a role that does not exist, may not log in, or may not connect to the
// database. Other errors of a connection have nothing to do with the credential.
func Refused(err error) bool {
	var connect *pgconn.ConnectError
	var server *pgconn.PgError
	if !errors.As(err, &connect) || !errors.As(err, &server) || server.SeverityUnlocalized != "" && server.SeverityUnlocalized != "FATAL" {
		return false
	}
	switch server.Code {
	case "28P01", // invalid_password; with SCRAM also for a role that does not exist
		"28000", // invalid_authorization_specification: no such role, not permitted to log in
		"42501": // insufficient_privilege: no CONNECT on the database any more
		return true
	}
	return false
}

// unmended is the error of a refusal for which there is nothing to retry with.
func unmended(refusal, why error) error { return fmt.Errorf("%w (%w)", refusal, why) }

// Connect opens one connection, for LISTEN or a migration. A refused login is asked for
// again and tried once more. LeaseOf says until when it may be used.
func Connect(ctx context.Context, config *pgx.ConnConfig, login *credential.Presenter[Login]) (*pgx.Conn, error) {
	lease, err := login.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := dial(ctx, config, lease)
	if err == nil || !Refused(err) {
		return conn, err
	}
	next, why := login.Instead(ctx, lease.Generation)
	if why != nil {
		return nil, unmended(err, why)
	}
	return dial(ctx, config, next)
}

func dial(ctx context.Context, config *pgx.ConnConfig, lease credential.Lease[Login]) (*pgx.Conn, error) {
	own := config.Copy()
	if err := prepare(own, lease, nil); err != nil {
		return nil, err
	}
	return pgx.ConnectConfig(ctx, own)
}

// LeaseOf returns the login with which Connect or a Pool opened a connection.
func LeaseOf(conn *pgx.Conn) (credential.Lease[Login], bool) {
	t := tagOf(conn)
	if t == nil {
		return credential.Lease[Login]{}, false
	}
	return t.lease, true
}

// tag is what is known of one connection.
type tag struct {
	lease      credential.Lease[Login]
	made       time.Time
	share      float64      // where in the time of draining its own end is, in (0, 1]
	superseded atomic.Int64 // Unix nanoseconds; 0 while its login is the newest
	ends       atomic.Int64 // Unix nanoseconds; 0 for no end
	sweeps     int          // since its end; of the one goroutine that sweeps
}

const tagName = "github.com/parley-backend/parley/credential/presenter/postgres"

func tagOf(conn *pgx.Conn) *tag {
	t, _ := conn.PgConn().CustomData()[tagName].(*tag)
	return t
}

// prepare puts the login of a lease into config, and sees to it that the connection
// carries its tag from the first moment. The drain may be nil.
func prepare(config *pgx.ConnConfig, lease credential.Lease[Login], d *drain) error {
	if err := lease.Value.apply(config); err != nil {
		return err
	}
	t := &tag{lease: lease, share: 1 - rand.Float64()}
	then := config.AfterConnect
	config.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		t.made = time.Now()
		conn.CustomData()[tagName] = t
		if then != nil {
			return then(ctx, conn)
		}
		return nil
	}
	if d == nil {
		return nil
	}
	heard := config.OnPgError
	config.OnPgError = func(conn *pgconn.PgConn, err *pgconn.PgError) bool {
		d.failed(conn, err)
		return heard == nil || heard(conn, err)
	}
	return nil
}

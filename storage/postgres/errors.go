package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
	"github.com/parley-backend/parley/storage/sqlgen"
)

var errDamaged = errors.New("stored value cannot be read")

// meanings says which kind of error a code of PostgreSQL is, by the code or its class (the first two characters; appendix A of
// the manual of PostgreSQL).
var meanings = map[string]storage.Kind{
	"08":    storage.Unavailable, // connection
	"28":    storage.Unavailable, // the login is refused
	"3D":    storage.Unavailable, // no such database
	"3F":    storage.Unavailable, // no such schema
	"53":    storage.Unavailable, // disk full, out of memory, too many connections
	"57":    storage.Unavailable, // shutdown, canceled, starting up
	"58":    storage.Unavailable, // I/O
	"25006": storage.Unavailable, // read-only: a replica, or a primary that is none any more
	"42501": storage.Unavailable, // the role may not
	"55P03": storage.Transient,   // a lock is not to be had
	"40":    storage.Transient,   // serialization failure, deadlock
	"23505": storage.Duplicate,
	"22":    storage.Unsupported, // a value that a column cannot hold
	"54":    storage.Unsupported, // a statement, row or index entry that is too large
	"XX001": storage.Corrupt,
	"XX002": storage.Corrupt,
}

// wrap makes a *storage.Error of any error; op is the method that failed.
func wrap(op, class string, err error) error {
	if err == nil {
		return nil
	}
	var known *storage.Error
	if errors.As(err, &known) {
		return err
	}
	wrapped := &storage.Error{Kind: storage.Internal, Op: "postgres." + op, Class: class, Err: err}
	var unsupported *sqlgen.UnsupportedError
	var unstorable *sqlgen.UnstorableError
	var asked *parse.Error
	var server *pgconn.PgError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, errClosed), errors.Is(err, storage.ErrBusy):
		wrapped.Kind = storage.Unavailable
	case errors.Is(err, errDamaged):
		wrapped.Kind = storage.Corrupt
	case errors.As(err, &unstorable): // a client may know
		wrapped.Kind = storage.Unsupported
		wrapped.Err = &parse.Error{Code: parse.IncorrectType, Err: err,
			Message: "The database cannot store the value of " + unstorable.Field + ": it has no character U+0000 and no date before the year -4713."}
	case errors.As(err, &unsupported), errors.As(err, &asked):
		wrapped.Kind = storage.Unsupported
	case codeOf(err) == "57014": // statement_timeout: a context that ended is above
		wrapped.Kind = storage.Unavailable
		wrapped.Err = &parse.Error{Code: parse.Timeout, Message: "The database did not finish the request in time.", Err: err}
	case errors.As(err, &server):
		if kind, ok := meanings[server.Code]; ok {
			wrapped.Kind = kind
		} else if kind, ok := meanings[server.Code[:min(2, len(server.Code))]]; ok {
			wrapped.Kind = kind
		}
	case broken(err):
		wrapped.Kind = storage.Unavailable
	}
	return wrapped
}

func codeOf(err error) string {
	var server *pgconn.PgError
	if errors.As(err, &server) {
		return server.Code
	}
	return ""
}

// lacks tells whether a statement failed because a table or column is not there: the class was never saved, or another
// process dropped it.
func lacks(err error) bool {
	code := codeOf(err)
	return code == "42P01" || code == "42703"
}

// stale tells whether a statement may have failed because it was prepared for a table as it was before another node changed it.
func stale(err error) bool {
	switch code := codeOf(err); code {
	case "0A000", "26000", "22P02", "22P03", "42804", "42883", "42846":
		return true
	case "":
		return err != nil && strings.Contains(err.Error(), "failed to encode args")
	}
	return false
}

// again tells whether a statement failed because of a conflict and may succeed when it is repeated.
func again(err error) bool {
	switch codeOf(err) {
	case "40001", "40P01":
		return true
	}
	return false
}

// broken tells whether the connection is gone.
func broken(err error) bool {
	var network net.Error
	var connect *pgconn.ConnectError
	switch code := codeOf(err); {
	case strings.HasPrefix(code, "57P"), strings.HasPrefix(code, "08"):
		return true
	case code != "":
		return false
	}
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) ||
		pgconn.SafeToRetry(err) || strings.Contains(err.Error(), "conn closed")
}

// readOnly tells whether a write met a server that takes none: a primary that became a replica, to which nothing was written.
func readOnly(err error) bool { return codeOf(err) == "25006" }

// unsent tells whether the connection was gone before anything was sent.
func unsent(err error) bool { return codeOf(err) == "" && pgconn.SafeToRetry(err) }

// interrupted gives an error the cause why the context ended, if that is the reason.
func interrupted(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || errors.Is(err, ctx.Err()) {
		return err
	}
	var known *storage.Error
	if code := codeOf(err); errors.As(err, &known) || code != "" && code != "57014" {
		return err
	}
	return fmt.Errorf("%w: %w", ctx.Err(), err)
}

// explain names the fields of the index that refused a write.
func explain(op string, layout *sqlgen.Layout, err error) error {
	var server *pgconn.PgError
	if !errors.As(err, &server) || server.Code != "23505" {
		return err
	}
	var known *storage.Error
	if errors.As(err, &known) {
		return err
	}
	d := &storage.Error{Kind: storage.Duplicate, Op: "postgres." + op, Class: layout.Class.Name, Err: err}
	name := server.ConstraintName
	for _, ix := range layout.Indexes() {
		if ix.Unique && (ix.SQLName == sqlgen.Quote(name) || ix.Name == name) {
			d.Fields = ix.Fields
			return d
		}
	}
	if _, rest, ok := strings.Cut(name, "_User_unique_authData_"); ok {
		d.Fields = schema.AuthDataIndex(strings.TrimSuffix(rest, "_id")).Fields
		return d
	}
	switch {
	case !strings.HasSuffix(name, "_pkey"): // made by somebody else
	case schema.IsJoin(layout.Class.Name):
		d.Fields = []string{"owningId", "relatedId"}
	default:
		d.Fields = []string{"objectId"}
	}
	return d
}

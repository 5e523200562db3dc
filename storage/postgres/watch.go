package postgres

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-backend/parley/credential"
	presenter "github.com/parley-backend/parley/credential/presenter/postgres"
)

// channel is the one on which Parse Server tells other nodes of changed classes, with its option enableSchemaHooks, and listens.
const channel = "schema.change"

const (
	// quiet is how long a connection may hear nothing before it is asked whether it still is one.
	quiet = 30 * time.Second
	// shortPause and longPause are what lies between attempts to connect again.
	shortPause, longPause = 100 * time.Millisecond, 30 * time.Second
)

// Watch listens on a connection of its own. After each new one, changed is called: what was told in between was not heard. See
// [storage.Watcher].
func (db *DB) Watch(ctx context.Context, changed func()) {
	if db.cfg.NoListen {
		<-ctx.Done()
		return
	}
	pause := shortPause
	for ctx.Err() == nil {
		heard, err := db.listen(ctx, changed)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil: // its login was replaced
			pause = shortPause
			continue
		case heard:
			pause = shortPause
		}
		if pause == shortPause { // once for each outage
			db.log.WarnContext(ctx, "changes of the schema by other servers are not told until a connection is made again; they are looked for", "error", err.Error())
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause/2 + rand.N(pause)):
		}
		pause = min(2*pause, longPause)
	}
}

// errReplaced says that the login of a connection is not the newest any more, or about to end.
var errReplaced = errors.New("the login was replaced")

// listen hears what one connection is told, until that ends; heard says that there was one. It ends without an error when there is another login.
func (db *DB) listen(ctx context.Context, changed func()) (heard bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if db.cfg.Login != nil {
		end := db.cfg.Login.OnChange(func(_, _ credential.Lease[presenter.Login]) { cancel(errReplaced) })
		defer end()
	}
	conn, err := dial(ctx, db.single, db.cfg.Login)
	if err != nil {
		return false, replaced(ctx, err)
	}
	defer func() {
		last, done := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer done()
		_ = conn.Close(last)
	}()
	if lease, ok := presenter.LeaseOf(conn); ok && !lease.NotAfter.IsZero() {
		left := time.Until(lease.NotAfter)
		timer := time.AfterFunc(left-left/10, func() { cancel(errReplaced) })
		defer timer.Stop()
	}
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{channel}.Sanitize()); err != nil {
		return false, replaced(ctx, err)
	}
	changed()
	for {
		told, err := next(ctx, conn)
		switch {
		case err != nil:
			return true, replaced(ctx, err)
		case told != "" && !strings.Contains(told, `"`+db.sender+`"`):
			changed()
		}
	}
}

// replaced returns nil for an error whose cause is that there is another login.
func replaced(ctx context.Context, err error) error {
	if context.Cause(ctx) == errReplaced {
		return nil
	}
	return err
}

// next returns what was told, "" when nothing was for a while and the connection still stands.
func next(ctx context.Context, conn *pgx.Conn) (string, error) {
	limited, cancel := context.WithTimeout(ctx, quiet)
	defer cancel()
	told, err := conn.WaitForNotification(limited)
	switch {
	case err == nil:
		return told.Payload, nil
	case ctx.Err() != nil || limited.Err() == nil:
		return "", err
	}
	asked, done := context.WithTimeout(ctx, quiet/3)
	defer done()
	return "", conn.Ping(asked)
}

package postgres

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/parley-backend/parley/storage"
)

// Lock holds an advisory lock on a connection of its own, with which it ends. It is of this database and schema. See [storage.Locker].
func (db *DB) Lock(ctx context.Context, name string) (unlock func(), err error) {
	conn, err := dial(ctx, db.single, db.cfg.Login)
	if err != nil {
		return nil, wrap("Lock", "", err)
	}
	end := func() {
		last, done := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer done()
		_, _ = conn.Exec(last, "SELECT pg_advisory_unlock_all()") // who asks next need not wait for the connection to end
		_ = conn.Close(last)
	}
	_, err = conn.Exec(ctx, "SET statement_timeout = 0; SET lock_timeout = "+strconv.Itoa(lockPatience))
	if err == nil {
		_, err = conn.Exec(ctx, "SELECT pg_advisory_lock($1, hashtext($2))", int32(tablesLock&(1<<31-1)), db.dialect.Schema+"."+name)
	}
	if codeOf(err) == "55P03" {
		err = &storage.Error{Kind: storage.Transient, Op: "postgres.Lock", Err: fmt.Errorf("%s: %w", name, storage.ErrLocked)}
	}
	if err != nil {
		end()
		return nil, wrap("Lock", "", err)
	}
	return end, nil
}

// lockPatience is how long to wait, in milliseconds: the server takes a moment to see that a process was killed.
const lockPatience = 2000

// Identity names the cluster by its system identifier, which its replicas share, the database and the schema. See [storage.Identified].
func (db *DB) Identity(ctx context.Context) (identity string, err error) {
	err = db.reading(ctx, func(ctx context.Context, s *session) error {
		return s.row(ctx, "SELECT 'the database ' || current_database() || ', schema ' || $1::text || ', of the PostgreSQL cluster ' || system_identifier FROM pg_control_system()",
			[]any{db.dialect.Schema}, &identity)
	})
	if codeOf(err) == "42501" { // a provider may keep it to itself
		return "", nil
	}
	return identity, wrap("Identity", "", err)
}

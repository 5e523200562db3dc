package postgres

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-backend/parley/credential"
)

// Options of a Pool; a zero option means its default.
type Options struct {
	// Drain is how long connections of a login that was replaced are used on: one
	// minute. Their ends are spread over it. A revoked login ends at once.
	Drain time.Duration
	// Margin is how long before the end of its login's lease a connection ends: 10 s,
	// or a tenth of what was left of the lease when it was opened, if that is less.
	Margin time.Duration
	// Sweep is how often idle connections are looked at for their end: each second.
	Sweep time.Duration
}

// Pool is a pgxpool.Pool whose connections follow a login. Its methods are those of
// pgxpool.Pool.
type Pool struct {
	pool  *pgxpool.Pool
	login *credential.Presenter[Login]
	drain *drain
	end   func() // of the presenter's OnChange
}

// NewPool makes a pool. The config comes from pgxpool.ParseConfig, is not changed, and its hooks are
// called as usual; user and password in it need not be right. Like pgxpool, it does not wait for a
// connection. Close it.
func NewPool(ctx context.Context, config *pgxpool.Config, login *credential.Presenter[Login], o Options) (*Pool, error) {
	p := &Pool{login: login, drain: newDrain(login, o)}
	own := config.Copy()
	own.BeforeConnect = func(ctx context.Context, c *pgx.ConnConfig) error {
		if config.BeforeConnect != nil {
			if err := config.BeforeConnect(ctx, c); err != nil {
				return err
			}
		}
		return p.choose(ctx, c)
	}
	own.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if config.AfterConnect != nil {
			if err := config.AfterConnect(ctx, conn); err != nil {
				return err
			}
		}
		p.drain.add(tagOf(conn))
		return nil
	}
	prepareConn := config.PrepareConn
	//lint:ignore SA1019 it is deprecated and not gone: with PrepareConn set, pgxpool would not call it
	if before := config.BeforeAcquire; prepareConn == nil && before != nil {
		prepareConn = func(ctx context.Context, conn *pgx.Conn) (bool, error) { return before(ctx, conn), nil }
	}
	own.PrepareConn = func(ctx context.Context, conn *pgx.Conn) (bool, error) {
		if p.drain.over(tagOf(conn)) {
			return false, nil
		}
		if prepareConn != nil && ctx.Value(sweeping{}) == nil {
			return prepareConn(ctx, conn)
		}
		return true, nil
	}
	own.AfterRelease = func(conn *pgx.Conn) bool {
		return !p.drain.over(tagOf(conn)) && (config.AfterRelease == nil || config.AfterRelease(conn))
	}
	own.BeforeClose = func(conn *pgx.Conn) {
		p.drain.remove(tagOf(conn))
		if config.BeforeClose != nil {
			config.BeforeClose(conn)
		}
	}
	p.end = login.OnChange(func(_, after credential.Lease[Login]) { p.drain.changed(after.Generation) })
	pool, err := pgxpool.NewWithConfig(ctx, own)
	if err != nil {
		p.end()
		return nil, err
	}
	p.pool = pool
	p.drain.start(pool)
	return p, nil
}

// Close closes all connections and returns when they are back and closed.
func (p *Pool) Close() {
	p.end()
	p.drain.stop()
	p.pool.Close()
}

// try is one call of pgxpool on behalf of a caller; it travels in the context.
type try struct {
	use        *credential.Lease[Login] // instead of the current one
	generation atomic.Uint64            // of the login with which a connection was tried
}

type tryKey struct{}

// choose puts the login for a new connection into its configuration.
func (p *Pool) choose(ctx context.Context, config *pgx.ConnConfig) error {
	t, _ := ctx.Value(tryKey{}).(*try)
	var lease credential.Lease[Login]
	if t != nil && t.use != nil {
		lease = *t.use
	} else {
		var err error
		if lease, err = p.login.Acquire(ctx); err != nil {
			return err
		}
	}
	if t != nil {
		t.generation.Store(lease.Generation)
	}
	return prepare(config, lease, p.drain)
}

// mended carries out what needs a connection. When the login of a new one is refused, it
// is carried out once more with another login, if there is one; nothing has been sent by
// then.
func (p *Pool) mended(ctx context.Context, do func(context.Context) error) error {
	first := &try{}
	err := do(context.WithValue(ctx, tryKey{}, first))
	if err == nil || !Refused(err) {
		return err
	}
	next, why := p.login.Instead(ctx, first.generation.Load())
	if why != nil {
		return unmended(err, why)
	}
	return do(context.WithValue(ctx, tryKey{}, &try{use: &next}))
}

// Acquire is that of pgxpool.Pool.
func (p *Pool) Acquire(ctx context.Context) (conn *pgxpool.Conn, err error) {
	err = p.mended(ctx, func(ctx context.Context) error {
		conn, err = p.pool.Acquire(ctx)
		return err
	})
	return conn, err
}

// AcquireFunc is that of pgxpool.Pool.
func (p *Pool) AcquireFunc(ctx context.Context, f func(*pgxpool.Conn) error) error {
	conn, err := p.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	return f(conn)
}

// Exec is that of pgxpool.Pool.
func (p *Pool) Exec(ctx context.Context, sql string, arguments ...any) (tag pgconn.CommandTag, err error) {
	err = p.mended(ctx, func(ctx context.Context) error {
		tag, err = p.pool.Exec(ctx, sql, arguments...)
		return err
	})
	return tag, err
}

// Query is that of pgxpool.Pool.
func (p *Pool) Query(ctx context.Context, sql string, arguments ...any) (rows pgx.Rows, err error) {
	err = p.mended(ctx, func(ctx context.Context) error {
		rows, err = p.pool.Query(ctx, sql, arguments...)
		return err
	})
	return rows, err
}

// QueryRow is that of pgxpool.Pool.
func (p *Pool) QueryRow(ctx context.Context, sql string, arguments ...any) pgx.Row {
	conn, err := p.Acquire(ctx)
	if err != nil {
		return row{err: err}
	}
	return row{conn: conn, row: conn.QueryRow(ctx, sql, arguments...)}
}

// row gives its connection back when it is scanned.
type row struct {
	conn *pgxpool.Conn
	row  pgx.Row
	err  error
}

func (r row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.conn.Release() // also when a Scanner panics
	return r.row.Scan(dest...)
}

// SendBatch is that of pgxpool.Pool.
func (p *Pool) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	conn, err := p.Acquire(ctx)
	if err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	sent := conn.SendBatch(ctx, b)
	r := &results{BatchResults: sent, conn: conn}
	if tx := sent.Tx(); tx != nil {
		r.tx = &batchTx{Tx: tx, conn: conn}
	}
	return r
}

// results give their connection back when they are closed, or leave that to the transaction that the batch began.
type results struct {
	pgx.BatchResults
	conn *pgxpool.Conn
	tx   pgx.Tx // nil if there is none
}

func (r *results) Close() error {
	err := r.BatchResults.Close()
	if r.tx == nil {
		r.conn.Release()
	}
	return err
}

func (r *results) Tx() pgx.Tx { return r.tx }

type batchTx struct {
	pgx.Tx
	conn *pgxpool.Conn
}

func (t *batchTx) Commit(ctx context.Context) error {
	defer t.conn.Release()
	return t.Tx.Commit(ctx)
}

func (t *batchTx) Rollback(ctx context.Context) error {
	defer t.conn.Release()
	return t.Tx.Rollback(ctx)
}

// Begin is that of pgxpool.Pool.
func (p *Pool) Begin(ctx context.Context) (pgx.Tx, error) { return p.BeginTx(ctx, pgx.TxOptions{}) }

// BeginTx is that of pgxpool.Pool.
func (p *Pool) BeginTx(ctx context.Context, o pgx.TxOptions) (tx pgx.Tx, err error) {
	err = p.mended(ctx, func(ctx context.Context) error {
		tx, err = p.pool.BeginTx(ctx, o)
		return err
	})
	return tx, err
}

// CopyFrom is that of pgxpool.Pool.
func (p *Pool) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (n int64, err error) {
	err = p.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		n, err = conn.CopyFrom(ctx, table, columns, rows)
		return err
	})
	return n, err
}

// Ping is that of pgxpool.Pool.
func (p *Pool) Ping(ctx context.Context) error {
	return p.AcquireFunc(ctx, func(conn *pgxpool.Conn) error { return conn.Ping(ctx) })
}

// Reset is that of pgxpool.Pool.
func (p *Pool) Reset() { p.pool.Reset() }

// Stat is that of pgxpool.Pool.
func (p *Pool) Stat() *pgxpool.Stat { return p.pool.Stat() }

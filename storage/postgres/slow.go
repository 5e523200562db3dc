package postgres

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

// slow tells of statements that take long: their text, which holds no values, and how long they took.
type slow struct {
	log  *slog.Logger
	than time.Duration
}

type slowKey struct{}

// begun is one statement, or several that were sent together.
type begun struct {
	sql  string
	more int
	at   time.Time
}

func (s *slow) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return context.WithValue(ctx, slowKey{}, &begun{sql: data.SQL, at: time.Now()})
}

func (s *slow) TraceQueryEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryEndData) {
	s.end(ctx, conn, data.CommandTag.RowsAffected(), data.Err)
}

func (s *slow) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	b := &begun{at: time.Now()}
	if data.Batch != nil && len(data.Batch.QueuedQueries) > 0 {
		b.sql, b.more = data.Batch.QueuedQueries[0].SQL, len(data.Batch.QueuedQueries)-1
	}
	return context.WithValue(ctx, slowKey{}, b)
}

func (s *slow) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (s *slow) TraceBatchEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchEndData) {
	s.end(ctx, conn, 0, data.Err)
}

func (s *slow) end(ctx context.Context, conn *pgx.Conn, rows int64, err error) {
	b, _ := ctx.Value(slowKey{}).(*begun)
	if b == nil {
		return
	}
	took := time.Since(b.at)
	if took < s.than {
		return
	}
	attributes := []any{"ms", took.Milliseconds(), "sql", b.sql, "rows", rows, "backend", conn.PgConn().PID()}
	if b.more > 0 {
		attributes = append(attributes, "andMore", b.more)
	}
	if code := codeOf(err); code != "" { // its text may quote a value
		attributes = append(attributes, "sqlstate", code)
	}
	s.log.WarnContext(ctx, "slow query", attributes...)
}

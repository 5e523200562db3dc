package sqlite

import (
	"context"
	"errors"
	"fmt"

	"zombiezen.com/go/sqlite"

	"github.com/parley-backend/parley/storage/sqlgen"
)

// conn is one connection with its prepared statements. One goroutine uses it at a time, for one statement at a time.
type conn struct {
	sql   *sqlite.Conn
	stmts map[string]*sqlite.Stmt
	// recent are the texts of stmts, oldest first, to know what to give up.
	recent []string
	// tests and keys are what the running statement asks Go about, by the number that stands in its arguments.
	tests []*test
	keys  []*key
	// failed is the first error of a function that the running statement called.
	failed error
	// interrupt, closed, makes the running statement end.
	interrupt chan struct{}
	buf       []byte
}

// maxStatements bounds the prepared statements of one connection; each takes some 10 KB.
const maxStatements = 256

// run executes a statement and calls visit for each row; visit may end it by returning false.
func (c *conn) run(st *sqlgen.Statement, visit func(*sqlite.Stmt) (bool, error)) (err error) {
	stmt, err := c.begin(st)
	if err != nil {
		return err
	}
	defer func() {
		if e := stmt.Reset(); e != nil && err == nil {
			err = e
		}
	}()
	for {
		row, err := stmt.Step()
		if err != nil || c.failed != nil {
			return c.cause(err)
		}
		if !row {
			return nil
		}
		if visit == nil {
			continue
		}
		more, err := visit(stmt)
		if err != nil || !more {
			return err
		}
	}
}

// cause prefers the error of a function to what SQLite made of it.
func (c *conn) cause(err error) error {
	if c.failed != nil {
		return c.failed
	}
	return err
}

// begin prepares a statement and binds its arguments.
func (c *conn) begin(st *sqlgen.Statement) (*sqlite.Stmt, error) {
	stmt, err := c.prepare(st.SQL)
	if err != nil {
		return nil, err
	}
	if err := c.bind(stmt, st.Args); err != nil {
		return nil, err
	}
	return stmt, nil
}

func (c *conn) prepare(text string) (*sqlite.Stmt, error) {
	if stmt := c.stmts[text]; stmt != nil {
		return stmt, nil
	}
	stmt, trailing, err := c.sql.PrepareTransient(text)
	if err != nil {
		return nil, err
	}
	if trailing != 0 {
		return nil, errors.Join(fmt.Errorf("statement with a tail of %d bytes", trailing), stmt.Finalize())
	}
	if len(c.recent) >= maxStatements {
		// Round robin is as good as least-recently-used here, and costs a hit nothing.
		oldest := c.recent[0]
		c.recent = append(c.recent[:0], c.recent[1:]...)
		err := c.stmts[oldest].Finalize()
		delete(c.stmts, oldest)
		if err != nil {
			return nil, errors.Join(err, stmt.Finalize())
		}
	}
	c.stmts[text] = stmt
	c.recent = append(c.recent, text)
	return stmt, nil
}

func (c *conn) bind(stmt *sqlite.Stmt, args []any) error {
	c.failed = nil
	c.tests = c.tests[:0]
	c.keys = c.keys[:0]
	for i, arg := range args {
		n := i + 1
		switch arg := arg.(type) {
		case nil:
			stmt.BindNull(n)
		case int64:
			stmt.BindInt64(n, arg)
		case float64:
			stmt.BindFloat(n, arg)
		case string:
			stmt.BindText(n, arg)
		case sqlgen.List:
			stmt.BindText(n, string(arg))
		case []byte:
			stmt.BindBytes(n, arg)
		case *sqlgen.Test:
			t, err := newTest(arg)
			if err != nil {
				return err
			}
			stmt.BindInt64(n, int64(len(c.tests)))
			c.tests = append(c.tests, t)
		case *sqlgen.Key:
			stmt.BindInt64(n, int64(len(c.keys)))
			c.keys = append(c.keys, newKey(arg))
		default:
			return fmt.Errorf("argument %d is a %T", n, arg)
		}
	}
	return nil
}

// exec runs SQL text without arguments that may be used again and again.
func (c *conn) exec(text string) error { return c.run(&sqlgen.Statement{SQL: text}, nil) }

// script runs statements once each, without keeping them.
func (c *conn) script(statements ...string) error {
	for _, text := range statements {
		stmt, _, err := c.sql.PrepareTransient(text)
		if err != nil {
			return err
		}
		for {
			var row bool
			if row, err = stmt.Step(); err != nil || !row {
				break
			}
		}
		if e := stmt.Finalize(); err == nil {
			err = e
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// query runs SQL text once and returns its rows as texts.
func (c *conn) query(text string, args ...any) ([][]string, error) {
	stmt, _, err := c.sql.PrepareTransient(text)
	if err != nil {
		return nil, err
	}
	var rows [][]string
	if err = c.bind(stmt, args); err == nil {
		for {
			var row bool
			if row, err = stmt.Step(); err != nil || !row {
				break
			}
			values := make([]string, stmt.ColumnCount())
			for i := range values {
				values[i] = stmt.ColumnText(i)
			}
			rows = append(rows, values)
		}
	}
	if e := stmt.Finalize(); err == nil {
		err = e
	}
	return rows, err
}

// watch makes the running statement end when the context does. The returned function has to be called when it has ended; it
// makes the connection usable again. There is no goroutine for each statement: the connection has one that sleeps.
func (c *conn) watch(ctx context.Context) (done func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		close(c.interrupt)
		close(fired)
	})
	return func() {
		if stop() {
			return
		}
		<-fired
		c.rearm()
	}
}

// rearm gives the connection a new channel to be interrupted through.
func (c *conn) rearm() {
	c.interrupt = make(chan struct{})
	c.sql.SetInterrupt(c.interrupt)
}

func (c *conn) close() error {
	var errs []error
	for _, stmt := range c.stmts {
		errs = append(errs, stmt.Finalize())
	}
	c.stmts, c.recent = nil, nil
	return errors.Join(append(errs, c.sql.Close())...)
}

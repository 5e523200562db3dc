package object

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/storage"
)

// retries is how often a transaction that met another is run again (contract parse-api.md, 2.8).
const retries = 5

// maxGrowth ends a transaction whose classes somebody else drops again and again.
const maxGrowth = 10_000

// transaction is what the objects of one running transaction share. It belongs to one goroutine.
type transaction struct {
	// committed are to run once the transaction is visible.
	committed []func(ctx context.Context)
	// grow is what the schema lacks: then the transaction is to be run again, whatever cloud code made of the error.
	grow *growth
}

// afterwards runs f once the transaction is visible, with the context of whoever began it.
func (tx *transaction) afterwards(f func(ctx context.Context)) {
	tx.committed = append(tx.committed, f)
}

// growth ends a transaction that needs a class or a field which does not exist yet. A schema changes outside of
// transactions only: another request may need the change whatever becomes of this one, and a database with one writer
// cannot change it while a transaction is open. The transaction is rolled back, the schema changed, and the whole run again.
type growth struct {
	class  string
	values *parse.Map
}

func (*growth) Error() string { return "object: the schema has to grow first" }

// RunsAgain tells whether an error ends a transaction only for it to be run once more: it is nothing to be told of.
func RunsAgain(err error) bool {
	var g *growth
	return errors.As(err, &g)
}

// Transact runs fn with a service whose reads and writes are one transaction; a Transient conflict runs it again, up to five times.
// So fn may run several times, and must begin anew each time. Within a transaction it runs fn as part of that.
//
// An error of fn is returned as it is: of a batch it is the error of the item that failed.
func (o *Objects) Transact(ctx context.Context, fn func(ctx context.Context, tx *Objects) error) error {
	if o.tx != nil {
		return fn(ctx, o)
	}
	grown := 0
	for attempt := 0; ; attempt++ {
		tx := &transaction{}
		err := o.cfg.Store.Transact(ctx, func(ctx context.Context, store storage.Store) error {
			err := fn(ctx, &Objects{core: o.core, store: store, tx: tx})
			if tx.grow != nil {
				return tx.grow
			}
			return err
		})
		var grow *growth
		switch {
		case err == nil:
			for _, f := range tx.committed {
				f(ctx)
			}
			return nil
		case errors.As(err, &grow) && grown < maxGrowth:
			// Permission to grow was asked when the need was found. Each round adds what the next object lacks,
			// and does not count as an attempt.
			grown++
			if _, err := o.cfg.Schemas.Evolve(ctx, grow.class, grow.values, nil); err != nil {
				return clientError(err)
			}
			attempt--
		case errors.Is(err, storage.Transient) && attempt < retries:
			if err := pause(ctx, attempt); err != nil {
				return clientError(err)
			}
		default:
			return clientError(err)
		}
	}
}

// pause keeps two transactions that met from meeting again at once.
func pause(ctx context.Context, attempt int) error {
	t := time.NewTimer(rand.N(time.Millisecond << attempt))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// AfterCommit runs f once what was written so far is visible to everybody: at once, or inside a transaction when it
// has been committed, and never when it is rolled back. Caches are to be cleared in it.
func (o *Objects) AfterCommit(f func()) {
	if o.tx == nil {
		f()
		return
	}
	o.tx.afterwards(func(context.Context) { f() })
}

package postgres_test

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/presenter/postgres"
)

// A pool whose login comes from a secrets store: a reference such as vault://database/creds/parley?format=json in place of
// the literal.
func Example() {
	database, err := credential.New(credential.Config{
		Name:    "database",
		Source:  credential.Literal("postgres://parley:password-of-the-day@127.0.0.1:5432/parley"),
		Present: true,
		Check:   postgres.Check,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	login, err := postgres.Presenter(database)
	if err != nil {
		fmt.Println(err)
		return
	}
	config, err := pgxpool.ParseConfig("postgres://127.0.0.1:5432/parley?pool_max_conns=10") // no login
	if err != nil {
		fmt.Println(err)
		return
	}
	pool, err := postgres.NewPool(context.Background(), config, login, postgres.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close() // and from here on it is used like a pgxpool.Pool

	lease, err := login.Acquire(context.Background())
	fmt.Printf("%v %v\n", lease.Value, err) // a login never prints its secrets
	// Output: { REDACTED REDACTED} <nil>
}

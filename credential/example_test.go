package credential_test

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-backend/parley/credential"
)

// A key from a function, verified while it is rotated.
func Example() {
	stored := "first-key-9d2e77a05b364f1c"
	fetch := func(context.Context) (string, error) { return stored, nil }

	master, err := credential.New(credential.Config{
		Name:    "masterKey",
		Source:  credential.Func(fetch),
		TTL:     5 * time.Minute,
		Overlap: 10 * time.Minute,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	if err := master.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer master.Stop()

	show := func(d credential.Decision) { fmt.Println(d.Verdict, d.State, d.Reason) }
	show(master.Verify("first-key-9d2e77a05b364f1c"))

	stored = "second-key-c2f6497ab80d3e51" // somebody rotates the key
	show(master.VerifyContext(ctx, "second-key-c2f6497ab80d3e51"))
	show(master.Verify("first-key-9d2e77a05b364f1c"))
	show(master.Verify("a-guess"))

	// Output:
	// accept current match
	// accept current match
	// accept previous match
	// reject current unknown
}

// A Presenter hands a credential to whoever must show it to a third party.
func ExamplePresenter() {
	database, err := credential.New(credential.Config{
		Name:    "databasePassword",
		Source:  credential.Literal("password-of-the-day"),
		Present: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	presenter, err := credential.Present(database)
	if err != nil {
		fmt.Println(err)
		return
	}
	lease, err := presenter.Acquire(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(lease.Value, lease.Generation) // a Secret never prints its value
	// Output: REDACTED 1
}

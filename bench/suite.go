package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
)

// operation is a row of the result.
type operation struct {
	name, title string
	clients     int    // 0 for the flag
	proof       string // a text that an answer to it holds, whoever gives it; none for a mix of others
	times       int    // how often
}

// suite is what is measured in one run.
type suite struct {
	// operations in the order in which they are measured. Those that write come last: they make the database larger.
	operations []operation
	// launch builds the servers. What it returns is stopped at the end, also after an error.
	launch func(ctx context.Context, dir string, o options) (peers []*peer, end func() error, err error)
}

var suites = map[string]suite{
	"pocketbase": {launch: launchPocketbase, operations: []operation{
		{"get", "get by id", 0, `"title":`, 1},
		{"find", "find 20 of the objects by an indexed field, in order", 0, `"title":`, 20},
		{"login", "log in (bcrypt, cost 10)", 4, `oken":"`, 1}, // sessionToken, token
		{"update", "update two fields", 0, `"updated`, 1},
		{"create", "create an object of ten fields", 0, `"created`, 1},
		{"mixed", "mixed: 60 % get, 20 % find, 10 % create, 10 % update", 50, "", 0},
	}},
	"postgres": {launch: launchPostgres, operations: []operation{
		{"get", "get by id", 0, `"title":`, 1},
		{"find", "find 20 of the objects, in order, each with the one its pointer names", 0, `"title":`, 40},
		{"count", "count 100 of the objects", 0, `"count":100`, 1},
		{"guarded", "find 20 of 10,000 that ACLs of roles guard, as a user with 5 roles", 0, `"title":`, 20},
		{"login", "log in (bcrypt, cost 10)", 4, `oken":"`, 1},
		{"update", "update with Increment", 0, `"updatedAt"`, 1},
		{"create", "create an object of ten fields", 0, `"createdAt"`, 1},
		{"batch", "batch that creates 20 objects", 0, `"success"`, 20},
		{"mixed", "mixed: 60 % get, 20 % find, 10 % create, 10 % update", 50, "", 0},
	}},
	"growth": {launch: launchPostgres, operations: growth()},
	"cloud": {launch: launchCloud, operations: []operation{
		{"call", "call a function that does nothing", 0, `"result":"ok"`, 1},
		{"plain", "create an object of a class without triggers", 0, `"createdAt"`, 1},
		{"checked", "create an object of a class with a beforeSave that sets a field", 0, `"createdAt"`, 1},
	}},
}

func launchPocketbase(ctx context.Context, dir string, _ options) ([]*peer, func() error, error) {
	say("building")
	err := errors.Join(
		build(ctx, "..", "./cmd/parley", filepath.Join(dir, "parley")),
		build(ctx, "peer/pocketbase", ".", filepath.Join(dir, "pocketbase")),
		build(ctx, ".", "./peer/bare", filepath.Join(dir, "bare")),
		os.MkdirAll(filepath.Join(dir, "parley-data"), 0o700),
	)
	return []*peer{parleyPeer(dir), pocketbasePeer(dir, false), pocketbasePeer(dir, true), barePeer(dir)}, nil, err
}

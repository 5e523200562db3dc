// Package parley is a backend for the Parse SDKs whose keys rotate while it runs.
//
//	db, err := sqlite.Open(ctx, sqlite.Config{Path: "app.db"})
//	…
//	server, err := parley.New(ctx, parley.Config{
//		AppID:     "app",
//		MasterKey: credential.Func(fetchFromVault),
//		Store:     db,
//	})
//	…
//	http.Handle("/parse/", server)
//
// A [Server] is an http.Handler; [Server.Run] serves it with the limits and the graceful shutdown that a server on the
// open Internet needs. This package opens no database and reads no file: package config does both for the command parley.
//
// # A tour
//
// One save goes through these files, top down:
//
//	internal/rest/routes.go      which handler takes the URL
//	internal/rest/exchange.go    headers, keys and body become a request and a caller
//	internal/auth/keys.go        is the key right: credential/verify.go answers from memory
//	internal/object/save.go      the steps of a save
//	internal/access              may the caller do that
//	internal/schemas             does it fit the schema, and may the schema grow
//	storage/…                    the database
//
// and one find through internal/rest/classes.go, query/parse.go, internal/object/find.go, internal/access, storage/sqlgen.
//
// Packages import downwards only; layers_test.go is the table of layers. ARCHITECTURE.md says where everything else lives.
package parley

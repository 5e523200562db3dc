package postgres_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage/postgres"
)

// A class with one object. It is compiled and not run: it needs a server at this address.
func Example() {
	ctx := context.Background()
	db, err := postgres.Open(ctx, postgres.Config{URI: "postgres://parley:secret@127.0.0.1:5432/parley", Logger: slog.Default()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	class := schema.New("Example")
	class.Fields["name"] = schema.Field{Type: schema.String}
	class.Fields["score"] = schema.Field{Type: schema.Number}
	if err := db.SaveClass(ctx, class); err != nil {
		fmt.Println(err)
		return
	}
	if err := db.Create(ctx, class, parse.NewObject("Example", "objectId", "x", "name", "Lisa", "score", 12.0)); err != nil {
		fmt.Println(err)
		return
	}
	for o, err := range db.Find(ctx, class, &query.Find{Where: &query.Constraint{Key: "score", Op: query.Gt, Arg: 10.0}, Limit: 20}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(o.Get("name"), o.Get("score"))
	}
}

// Command parleygo is Parley as a library, with the cloud code of the benchmark in Go.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/parley-backend/parley"
	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/storage/postgres"
)

func main() {
	uri := flag.String("db", "", "`URI` of the database")
	address := flag.String("listen", "", "`ADDRESS` to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *uri, *address); err != nil {
		log.Fatal(err)
	}
}

func serve(ctx context.Context, uri, address string) error {
	db, err := postgres.Open(ctx, postgres.Config{URI: uri})
	if err != nil {
		return err
	}
	defer db.Close()
	var code cloud.Code
	code.Define("empty", func(context.Context, *cloud.FunctionRequest) (any, error) { return "ok", nil })
	code.BeforeSave("Checked", func(_ context.Context, req *cloud.SaveRequest) error {
		title, _ := req.Object.Get("title").(string)
		req.Object.Set("category", strings.ToUpper(title))
		return nil
	})
	server, err := parley.New(ctx, parley.Config{
		AppID: "bench", MasterKey: credential.Literal(os.Getenv("PARSE_SERVER_MASTER_KEY")), Store: db, Cloud: &code,
	})
	if err != nil {
		return err
	}
	defer server.Close()
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return server.Run(ctx, l)
}

// Command pocketbase is the peer that Parley is measured beside: PocketBase as its module gives it, without plugins.
//
// It is a module of its own so that it is built with the versions that PocketBase was tested with.
package main

import (
	"log"
	"os"

	"github.com/pocketbase/dbx"
	"github.com/pocketbase/pocketbase"
)

// full are the settings of core.DefaultDBConnect, but for synchronous, which is NORMAL there and FULL in Parley.
const full = "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=journal_size_limit(200000000)&_pragma=synchronous(FULL)" +
	"&_pragma=foreign_keys(ON)&_pragma=temp_store(MEMORY)&_pragma=cache_size(-32000)"

func main() {
	var config pocketbase.Config
	if os.Getenv("BENCH_SYNCHRONOUS") == "FULL" {
		config.DBConnect = func(path string) (*dbx.DB, error) { return dbx.Open("sqlite", path+full) }
	}
	app := pocketbase.NewWithConfig(config)
	if err := app.Start(); err != nil {
		log.Fatal(err)
	}
}

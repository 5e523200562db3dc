package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-backend/parley"
	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/config"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/internal/pgtest"
	"github.com/parley-backend/parley/storage/postgres"
)

// TestParley replays the corpus against Parley, on each of its databases.
func TestParley(t *testing.T) {
	for _, database := range []struct{ name, uri string }{
		{"memory", "memory:"},
		{"sqlite", "sqlite::memory:"},
		{"postgres", postgresURI},
	} {
		t.Run(database.name, func(t *testing.T) {
			if database.uri == postgresURI {
				pgtest.Shared(t) // or skip all
			}
			for _, f := range corpus(t) {
				t.Run(f.Name, func(t *testing.T) {
					t.Parallel()
					r := &Runner{BaseURL: newServer(t, f.Options, database.uri), Client: client(t)}
					if database.uri == postgresURI {
						r.Expect = (*Exchange).ExpectedOnPostgres
					}
					failures, err := r.Run(context.Background(), f)
					for _, failure := range failures {
						t.Error(failure)
					}
					if err != nil {
						t.Fatal(err)
					}
				})
			}
		})
	}
}

// postgresURI stands for an empty schema of the server that the tests of this package share.
const postgresURI = "postgres:"

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// newServer starts Parley with the options of a corpus file and returns its mount point.
func newServer(t *testing.T, options, databaseURI string) string {
	t.Helper()
	return newLoggingServer(t, options, databaseURI, slog.New(slog.NewJSONHandler(watched{t, "the log"}, &slog.HandlerOptions{Level: slog.LevelDebug})))
}

// watched looks for the keys of the tests in all that is written to it.
type watched struct {
	t    *testing.T
	what string
}

func (w watched) Write(text []byte) (int, error) {
	if leaked := credentialtest.Leaks(string(text), MasterKey, ReadOnlyMasterKey, MaintenanceKey); leaked != nil {
		w.t.Errorf("%s holds %q: %s", w.what, leaked, text)
	}
	return len(text), nil
}

// watchAnswers looks for the keys of the tests in the headers and the body of every answer.
func watchAnswers(t *testing.T, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Accept-Encoding") // what is compressed cannot be searched
		answer := &watchedAnswer{ResponseWriter: w}
		handler.ServeHTTP(answer, r)
		_, _ = fmt.Fprint(watched{t, "the answer to " + r.Method + " " + r.URL.Path}, w.Header(), answer.body.String())
	})
}

type watchedAnswer struct {
	http.ResponseWriter
	body strings.Builder
}

func (w *watchedAnswer) Write(text []byte) (int, error) {
	w.body.Write(text)
	return w.ResponseWriter.Write(text)
}

func newLoggingServer(t *testing.T, options, databaseURI string, log *slog.Logger) string {
	t.Helper()
	return newCloudServer(t, options, databaseURI, log, nil)
}

func newCloudServer(t *testing.T, options, databaseURI string, log *slog.Logger, code *cloud.Code) string {
	t.Helper()
	return newServerWith(t, options, databaseURI, log, func(c *parley.Config) { c.Cloud = code })
}

// newServerWith starts Parley with options, and whatever else the test wants of its configuration.
func newServerWith(t *testing.T, options, databaseURI string, log *slog.Logger, change func(*parley.Config)) string {
	t.Helper()
	// What a user of the program would have in the configuration file; the file may say otherwise.
	all := map[string]any{
		"appId": ApplicationID, "masterKey": MasterKey, "readOnlyMasterKey": ReadOnlyMasterKey, "maintenanceKey": MaintenanceKey,
		"databaseURI": databaseURI,
	}
	if strings.HasPrefix(databaseURI, "postgres") {
		all["databaseURI"] = "memory:" // it is opened below
	}
	if err := json.Unmarshal([]byte(options), &all); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(nil)
	base := "http://" + server.Listener.Addr().String() + "/parse"
	all["serverURL"] = base
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	values, err := config.Read(config.Input{File: path})
	if err != nil {
		t.Fatal(err)
	}
	built, err := values.Build(log)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if strings.HasPrefix(databaseURI, "postgres") {
		if databaseURI == postgresURI {
			databaseURI = pgtest.Shared(t).Schema(t)
		}
		built.Config.Store, err = postgres.Open(ctx, postgres.Config{URI: databaseURI, MaxConns: 4, Logger: log})
	} else {
		built.Config.Store, err = built.OpenStore(ctx, log)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := built.Config.Store.Close(); err != nil {
			t.Errorf("Close of the database: %v", err)
		}
	})
	change(&built.Config)
	handler, err := parley.New(ctx, built.Config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(handler.Close)
	server.Config.Handler = watchAnswers(t, handler)
	server.Start()
	t.Cleanup(server.Close)
	return base
}

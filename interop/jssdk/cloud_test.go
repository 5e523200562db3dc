package jssdk

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-backend/parley"
	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/cloud/node"
	"github.com/parley-backend/parley/parse"
)

// TestCloud runs the cloud code of cloud/main.js, as an application of Parse Server has it, and an application that uses it.
func TestCloud(t *testing.T) {
	path := sdk(t)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/title" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"title":"Metropolis"}`)
	}))
	defer other.Close()
	var log bytes.Buffer
	url, _ := serveWith(t, func(c *parley.Config) {
		c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
		c.JavaScript = &node.Options{Main: "./cloud/main.js"}
	})
	cmd := exec.CommandContext(t.Context(), path, "--test", "--test-reporter=tap", "cloud.test.mjs")
	cmd.Env = append(os.Environ(), "PARLEY_TEST_URL="+url, "PARLEY_TEST_APP_ID="+appID, "PARLEY_TEST_MASTER_KEY="+masterKey, "PARLEY_TEST_OTHER="+other.URL)
	out, err := cmd.CombinedOutput()
	report(t, string(out), "cloud.test.mjs")
	if err != nil {
		t.Errorf("node --test: %v", err)
	}
	source, err := os.ReadFile(filepath.Join("cloud", "main.js"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), "\n"); n < 200 {
		t.Errorf("cloud/main.js has %d lines, want at least 200", n)
	}
}

// BenchmarkSave is a save in process: of a class without triggers, with a beforeSave in Go, and with one in JavaScript.
func BenchmarkSave(b *testing.B) {
	sdk(b)
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.js"), []byte("Parse.Cloud.beforeSave('Script', request => { request.object.set('b', 1); });"), 0o600); err != nil {
		b.Fatal(err)
	}
	modules, err := filepath.Abs("node_modules")
	if err != nil {
		b.Fatal(err)
	}
	var code cloud.Code
	code.BeforeSave("Go", func(_ context.Context, req *cloud.SaveRequest) error { req.Object.Set("b", 1); return nil })
	_, server := serveWith(b, func(c *parley.Config) {
		c.Cloud = &code
		c.JavaScript = &node.Options{Main: filepath.Join(dir, "main.js"), Env: append(os.Environ(), "NODE_PATH="+modules)}
	})
	for _, class := range []string{"Plain", "Go", "Script"} {
		b.Run(class, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := server.Client().Save(b.Context(), parse.NewObject(class, "a", 1.0)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

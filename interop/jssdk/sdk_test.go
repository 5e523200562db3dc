// Package jssdk runs the official Parse JavaScript SDK, as npm installs it, against a running server: sdk.test.mjs is what an
// application would do. `make test` installs the SDK; see the Makefile.
package jssdk

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/parley-backend/parley"
	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/storage/sqlite"
)

const (
	appID     = "sdk-tests"
	masterKey = "master-key-of-the-sdk-tests"
)

func TestSDK(t *testing.T) {
	node := sdk(t)
	url := serve(t)
	cmd := exec.CommandContext(t.Context(), node, "--test", "--test-reporter=tap", "sdk.test.mjs")
	cmd.Env = append(os.Environ(), "PARLEY_TEST_URL="+url, "PARLEY_TEST_APP_ID="+appID, "PARLEY_TEST_MASTER_KEY="+masterKey)
	out, err := cmd.CombinedOutput()
	report(t, string(out), "sdk.test.mjs")
	if err != nil {
		t.Errorf("node --test: %v", err)
	}
	source, err := os.ReadFile("sdk.test.mjs")
	if err != nil {
		t.Fatal(err)
	}
	if calls := distinctCalls(string(source)); calls < 60 {
		t.Errorf("the tests make %d distinct calls of the SDK, want at least 60", calls)
	}
}

// sdk returns the path of Node. Without it, or without the SDK, the test is skipped.
func sdk(t testing.TB) string {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("Node.js is not installed: the SDK tests need it")
	}
	if _, err := os.Stat("node_modules/parse"); err != nil {
		t.Skip("the SDK is not installed: run `make deps`")
	}
	return node
}

// serve starts a server on SQLite and returns the URL of its API.
func serve(t *testing.T) string {
	t.Helper()
	url, _ := serveWith(t, func(*parley.Config) {})
	return url
}

func serveWith(t testing.TB, change func(*parley.Config)) (string, *parley.Server) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "sdk.db")})
	if err != nil {
		t.Fatal(err)
	}
	config := parley.Config{AppID: appID, MasterKey: credential.Literal(masterKey), Store: db, AllowClientClassCreation: true}
	change(&config)
	server, err := parley.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		server.Close()
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return "http://" + listener.Addr().String() + "/parse", server
}

var outcome = regexp.MustCompile(`^\s+(not )?ok \d+ - (.*)$`)

// report turns the protocol of Node's test runner into subtests, and checks that there were as many as there should be.
func report(t *testing.T, tap, file string) {
	t.Helper()
	lines := strings.Split(tap, "\n")
	ran := 0
	for i, line := range lines {
		m := outcome.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		ran++
		t.Run(m[2], func(t *testing.T) {
			if m[1] != "" {
				t.Error(strings.Join(lines[i:min(i+30, len(lines))], "\n"))
			}
		})
	}
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Count(string(source), "\n  test("); ran != want {
		t.Errorf("%d tests ran, the file holds %d:\n%s", ran, want, tap)
	}
}

// distinctCalls counts the methods of the SDK that the tests call. Those of JavaScript itself and of the test runner do not count.
func distinctCalls(source string) int {
	others := map[string]bool{}
	for name := range strings.FieldsSeq("catch then every some equal deepEqual match ok rejects notEqual keys push replaceAll") {
		others[name] = true
	}
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile(`\.([a-zA-Z]+)\(|new (Parse\.[A-Za-z]+)`).FindAllStringSubmatch(source, -1) {
		if name := m[1] + m[2]; !others[name] {
			seen[name] = true
		}
	}
	return len(seen)
}

package credentialtest

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/parley-backend/parley/credential"
)

// elsewhere makes a program of tests the other process of ServeElsewhere.
const elsewhere = "PARLEY_TEST_SERVE_ELSEWHERE"

// HiddenKey returns a key that stands nowhere in the memory of a process that has not called it.
func HiddenKey() []byte {
	plain := []byte{0x7b, 0x1c, 0x61, 0x06, 0x33, 0x2b, 0x5e, 0x12, 0x71, 0x09, 0x64, 0x3d, 0x28, 0x57, 0x1b, 0x6e, 0x31, 0x05, 0x72, 0x2f, 0x11}
	for i, b := range plain {
		plain[i] = 'a' + (b^0x5a)%26
	}
	return plain
}

// Elsewhere is for TestMain: in the process that ServeElsewhere starts it serves a store, over HTTP or with TLS
// over HTTPS, until the test ends, and returns true; in any other it returns false at once.
func Elsewhere(store http.Handler, tls bool) bool {
	if os.Getenv(elsewhere) == "" {
		return false
	}
	serve := httptest.NewServer
	if tls {
		serve = httptest.NewTLSServer
	}
	fmt.Println(serve(store).URL)
	_, _ = io.ReadAll(os.Stdin)
	return true
}

// ServeElsewhere has the store of Elsewhere served by another process, in whose memory its secrets are, and returns its URL.
func ServeElsewhere(t testing.TB) string {
	t.Helper()
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), elsewhere+"=1")
	stdin, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close(); _ = other.Wait() })
	url, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(url)
}

// TestMemory tests that a process which verifies HiddenKey does not have it in memory: neither a source nor its connection keeps
// it. The sources that open returns read it from ServeElsewhere. That the test finds what is there is seen with a credential
// that is presented.
func TestMemory(t *testing.T, open func() credential.Source) {
	t.Helper()
	for _, present := range []bool{false, true} {
		c, err := credential.New(credential.Config{Name: "masterKey", Source: open(), Present: present})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		found := heapHolds(t)
		for try := 0; found && !present && try < 10; try++ {
			found = heapHolds(t) // a connection that was closed ends in its own time
		}
		if found != present {
			t.Errorf("the heap holds the plain key: %v, want %v (presented: %v)", found, present, present)
		}
		c.Stop()
	}
}

// heapHolds reports whether HiddenKey is in memory, as it is or in base64.
func heapHolds(t *testing.T) bool {
	t.Helper()
	runtime.GC()
	runtime.GC() // what a pool had is gone after the second
	f, err := os.Create(filepath.Join(t.TempDir(), "heap"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	debug.WriteHeapDump(f.Fd())
	dump, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	plain := HiddenKey()
	encoded := base64.StdEncoding.AppendEncode(nil, plain)
	found := bytes.Contains(dump, plain) || bytes.Contains(dump, encoded)
	clear(plain)
	clear(encoded)
	clear(dump) // the dump of the next call holds this one
	return found
}

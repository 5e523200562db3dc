package gcpsm_test

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

// serving makes this program the other process of TestHeapHoldsNoPlainKey.
const serving = "PARLEY_TEST_SERVE_SECRET"

// undisguised returns a key that stands nowhere in the memory of who does not call it.
func undisguised() []byte {
	plain := []byte{0x7b, 0x1c, 0x61, 0x06, 0x33, 0x2b, 0x5e, 0x12, 0x71, 0x09, 0x64, 0x3d, 0x28, 0x57, 0x1b, 0x6e, 0x31, 0x05, 0x72, 0x2f, 0x11}
	for i, b := range plain {
		plain[i] = 'a' + (b^0x5a)%26
	}
	return plain
}

// serveSecret is a service with one secret, until the test ends.
func serveSecret() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Path == "/token":
			fmt.Fprint(w, `{"access_token":"ya29.other","token_type":"Bearer","expires_in":3600}`)
		case strings.HasSuffix(r.URL.Path, "/versions"):
			fmt.Fprint(w, `{"versions":[{"name":"projects/1/secrets/parley/versions/1","state":"ENABLED","createTime":"2026-01-01T00:00:00Z"}]}`)
		default:
			fmt.Fprintf(w, `{"name":"projects/1/secrets/parley/versions/1","payload":{"data":%q}}`, base64.StdEncoding.EncodeToString(undisguised()))
		}
	}))
	fmt.Println(server.URL)
	_, _ = io.ReadAll(os.Stdin)
}

// The heap of a process that verifies a key of the service does not hold the key, neither as
// it is nor in base64.
func TestHeapHoldsNoPlainKey(t *testing.T) {
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), serving+"=1")
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
	defer func() { _ = stdin.Close(); _ = other.Wait() }()
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{addr: strings.TrimSpace(address)}
	for _, present := range []bool{false, true} {
		c, err := credential.New(credential.Config{Name: "masterKey", Source: f.source(t, ""), Present: present})
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
	plain := undisguised()
	encoded := base64.StdEncoding.AppendEncode(nil, plain)
	found := bytes.Contains(dump, plain) || bytes.Contains(dump, encoded)
	clear(plain)
	clear(encoded)
	clear(dump) // the dump of the next call holds this one
	return found
}

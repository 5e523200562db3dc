package azkv_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
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
	"github.com/parley-backend/parley/credential/source/azkv"
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

// serveSecret is a vault with one secret, until the test ends.
func serveSecret() {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") == "":
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(401)
		case strings.HasSuffix(r.URL.Path, "/versions"):
			fmt.Fprintf(w, `{"value":[{"id":"%s/%s","attributes":{"enabled":true,"created":1767225600}}]}`, location, id(1))
		default:
			fmt.Fprintf(w, `{"id":"%s/%s","value":%q,"attributes":{"enabled":true,"created":1767225600}}`, location, id(1), undisguised())
		}
	}))
	fmt.Println(server.Listener.Addr())
	_, _ = io.ReadAll(os.Stdin)
}

// The heap of a process that verifies a key of a vault does not hold the key: neither the
// library nor a connection keeps it.
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
	// Every name leads to the other process, whose certificate nobody signed.
	transport := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, strings.TrimSpace(address))
		},
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	for _, present := range []bool{false, true} {
		source := open(t, azkv.Opener(azkv.Options{Credential: startFake(), Transport: transport}), "azkv://myvault/parley")
		c, err := credential.New(credential.Config{Name: "masterKey", Source: source, Present: present})
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

package awssm_test

import (
	"bufio"
	"bytes"
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
	"github.com/parley-backend/parley/credential/source/awssm"
	"github.com/parley-backend/parley/credential/source/internal/awstest"
)

// disguised is a secret that stands nowhere in the memory of this process; undisguise returns it.
var disguised = []byte{0x7b, 0x1c, 0x61, 0x06, 0x33, 0x2b, 0x5e, 0x12, 0x71, 0x09, 0x64, 0x3d, 0x28, 0x57, 0x1b, 0x6e, 0x31, 0x05, 0x72, 0x2f}

func undisguise() string {
	plain := make([]byte, len(disguised))
	for i, b := range disguised {
		plain[i] = 'a' + (b^0x5a)%26
	}
	return string(plain)
}

// serveSecret is the other process: an AWS with one secret.
func serveSecret() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		text, _ := io.ReadAll(r.Body)
		switch {
		case strings.Contains(string(text), "AWSPREVIOUS"):
			w.WriteHeader(400)
			fmt.Fprint(w, `{"__type":"ResourceNotFoundException"}`)
		case strings.HasPrefix(r.Header.Get("X-Amz-Target"), "secretsmanager."):
			fmt.Fprintf(w, `{"VersionId":"1","SecretString":"{\"masterKey\":\"%s\"}","CreatedDate":1700000000}`, undisguise())
		default:
			fmt.Fprintf(w, `{"Parameter":{"Version":1,"Type":"SecureString","Value":"%s","LastModifiedDate":1700000000}}`, undisguise())
		}
	}))
	fmt.Println(server.URL)
	_, _ = io.ReadAll(os.Stdin) // until the test ends
}

// The heap of a process that verifies a key that AWS has does not hold the key: neither the SDK nor a connection keeps it.
func TestHeapHoldsNoPlainKey(t *testing.T) {
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), "PARLEY_TEST_SERVE_SECRET=1")
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
	b := &awstest.Bed{URL: strings.TrimSpace(address)}
	for name, open := range map[string]func() credential.Source{
		"awssm":  func() credential.Source { return b.Open(t, awssm.Opener(), "awssm://x#masterKey") },
		"awsssm": func() credential.Source { return b.Open(t, awssm.ParameterOpener(), "awsssm:///x") },
	} {
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
			if found := heapHolds(t); found != present {
				t.Errorf("%s: the heap holds the plain key: %v, want %v (presented: %v)", name, found, present, present)
			}
			c.Stop()
		}
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
	plain := []byte(undisguise())
	found := bytes.Contains(dump, plain)
	clear(plain)
	clear(dump) // the dump of the next call holds this one
	return found
}

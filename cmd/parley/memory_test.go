package main

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// unseenKey is a key that no request presents and no program holds, so that it is nowhere in a server but where its source was read.
var unseenKey = "canary-unseen-" + rand.Text()

// TestI14NoKeyInMemory reads the whole memory of a warm server, heap, stacks and all: a key that it verifies is nowhere in it, in no
// form, however often it was read. (The dump of a heap holds less.)
func TestI14NoKeyInMemory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plain, document := filepath.Join(dir, "master"), filepath.Join(dir, "keys.json")
	write(t, plain, unseenKey+"-0\n")
	write(t, document, `{"rest":"`+unseenKey+`-rest","other":"`+unseenKey+`-other"}`)
	p := startServer(t, dir, "--appId="+appID, "--masterKey=file://"+plain+"?ttl=1s", "--restAPIKey=file://"+document+"?ttl=1s#rest",
		"--readOnlyMasterKey="+readOnlyKey, "--metricsAddress=127.0.0.1:0", "--logLevel=silly", "--allowClientClassCreation=true")
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", p.cmd.Process.Pid))
	if err != nil {
		t.Skipf("the memory of another process cannot be read here: %v", err)
	}
	defer memory.Close()
	// Read it again and again, write it anew, present a key to it, and wrong ones.
	for i := range 3 {
		write(t, plain, fmt.Sprintf("%s-%d\n", unseenKey, i+1))
		fetches := p.metric(`parley_credential_fetches_total{credential="masterKey"}`)
		p.await("the key to be read again", func() bool {
			p.try(http.MethodGet, "/classes/A", "", "X-Parse-Master-Key", fmt.Sprintf("some-other-key-%d", i))
			return p.metric(`parley_credential_fetches_total{credential="masterKey"}`) > fetches+1
		})
	}
	p.do(http.StatusOK, http.MethodGet, "/keys", "", "X-Parse-Master-Key", readOnlyKey)

	found := search(t, memory, p.cmd.Process.Pid, unseenKey, base64.StdEncoding.EncodeToString([]byte(unseenKey))[:32], hex.EncodeToString([]byte(unseenKey)))
	for _, place := range found {
		t.Errorf("the memory of the server holds the key: %s", place)
	}
	// A test that cannot find what is there proves nothing.
	if search(t, memory, p.cmd.Process.Pid, plain) == nil {
		t.Error("the path of the key is not found in the memory of the server")
	}
}

// search looks for words in all that a process may read.
func search(t *testing.T, memory io.ReaderAt, pid int, words ...string) (found []string) {
	t.Helper()
	maps, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Skipf("the memory of another process cannot be read here: %v", err)
	}
	defer maps.Close()
	const piece = 4 << 20
	buffer := make([]byte, piece+128)
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var from, to int64
		var rights string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &rights); err != nil || rights[0] != 'r' || strings.Contains(lines.Text(), "[v") {
			continue
		}
		for at := from; at < to; at += piece {
			n, _ := memory.ReadAt(buffer[:min(int64(len(buffer)), to-at)], at) // what is not there is no leak
			for _, word := range words {
				if i := strings.Index(string(buffer[:n]), word); i >= 0 {
					found = append(found, fmt.Sprintf("%q at %x in %s: …%q…", word[:min(len(word), 12)], at+int64(i), lines.Text(), buffer[max(0, i-60):min(n, i+100)]))
				}
			}
		}
	}
	return found
}

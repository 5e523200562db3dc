package messaging

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of keys in docs/wasmcloud.md anew")

const (
	keysBegin = "<!-- keys: go test ./wasmcloud/messaging -run TestDocs -update -->\n"
	keysEnd   = "<!-- end of keys -->\n"
)

// The documents have the table of keys as it is, and every number that is exported.
func TestDocs(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "wasmcloud.md")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begun := strings.Cut(string(raw), keysBegin)
	got, after, ended := strings.Cut(rest, keysEnd)
	if !begun || !ended {
		t.Fatalf("%s has no place for the keys", path)
	}
	var want strings.Builder
	if err := WriteKeys(&want); err != nil {
		t.Fatal(err)
	}
	if *update && got != want.String() {
		if err := os.WriteFile(path, []byte(before+keysBegin+want.String()+keysEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		got = want.String()
	}
	if got != want.String() {
		t.Errorf("the keys in %s are not those of the table: go test ./wasmcloud/messaging -run TestDocs -update", path)
	}
	names := []string{failures}
	for _, n := range numbers {
		names = append(names, n.name)
	}
	for _, name := range names {
		if !strings.Contains(after, "`"+strings.TrimPrefix(name, "wasmcloud.messaging.")+"`") && !strings.Contains(after, "`"+name+"`") {
			t.Errorf("%s does not name %s", path, name)
		}
	}
}

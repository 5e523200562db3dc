package config

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The wrapping key is read where the option says, each time anew; a literal in the configuration file is warned of.
func TestLastKnownGoodKey(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "wrap")
	put := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "parley.json")
	build := func(option string) (*Built, *Values) {
		t.Helper()
		put(file, `{"appId":"a","masterKey":"a master key of this test"`+option+`}`)
		v, err := Read(Input{File: file})
		if err != nil {
			t.Fatal(err)
		}
		b, err := v.Build(slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return b, v
	}
	if b, _ := build(""); b.wrapKey != nil {
		t.Error("there is a wrapping key without the option")
	}
	b, v := build(`,"lastKnownGoodKey":"file://` + path + `"`)
	if w := v.Warnings(); len(w) != 0 {
		t.Errorf("warnings = %q", w)
	}
	if _, err := b.wrapKey(t.Context()); err == nil {
		t.Error("a key from a file that is not there")
	}
	for _, value := range []string{"the first wrapping key of this test", "the second wrapping key of this test"} {
		put(path, value+"\n")
		if got, err := b.wrapKey(t.Context()); err != nil || string(got.Reveal()) != value {
			t.Errorf("the key = %q %v, want %q", got.Reveal(), err, value)
		}
	}
	_, v = build(`,"lastKnownGoodKey":"a wrapping key that stands in the file"`)
	if w := v.Warnings(); len(w) != 1 || !strings.Contains(w[0], "lastKnownGoodKey stands in the configuration file") || strings.Contains(w[0], "wrapping key that") {
		t.Errorf("warnings = %q, want one of a literal", w)
	}
}

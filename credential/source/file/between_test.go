package file

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/parley-backend/parley/credential"
)

// A document that somebody else changes between the reading and the writing of it keeps their change.
func TestWriteLeavesOthersChangesAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	const ours, theirs = `{"a":"ours"}`, `{"a":"old","b":"theirs"}`
	put := func(content string) os.FileInfo {
		if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	before := put(`{"a":"old"}`)
	s := newSource(path, 0)
	_, read, err := s.settled(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	put(theirs)
	if err := s.replace([]byte(ours), before, read); !errors.Is(err, credential.Unavailable) {
		t.Errorf("replace = %v, want Unavailable", err)
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != theirs {
		t.Errorf("the file holds %s %v, want %s", content, err, theirs)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v %v, want the file alone", entries, err)
	}
}

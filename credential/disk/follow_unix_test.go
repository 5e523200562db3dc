//go:build unix

package disk_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-backend/parley/credential"
)

// What another process revokes, by a list of its own on the same file, is handed on; a damaged list is told once, and read again when
// it is whole.
func TestFollow(t *testing.T) {
	dir := t.TempDir()
	mine, theirs := open(t, dir).Revocations, open(t, dir).Revocations
	ctx, stop := context.WithCancel(t.Context())
	heard, failed, ended := make(chan string, 10), make(chan string, 10), make(chan struct{})
	go func() {
		defer close(ended)
		mine.Follow(ctx, time.Millisecond,
			func(_ context.Context, name string, ts credential.Tombstone) { heard <- name + " " + ts.VersionID },
			func(err error) { failed <- err.Error() })
	}()
	if err := theirs.Save(t.Context(), "masterKey", first); err != nil {
		t.Fatal(err)
	}
	if got := <-heard; got != "masterKey v1" {
		t.Errorf("heard of %s, want masterKey v1", got)
	}
	path := filepath.Join(dir, "revocations")
	whole := read(t, path)
	write(t, path, "nothing")
	if got := <-failed; !strings.Contains(got, "is damaged") {
		t.Errorf("failed = %s, want that the file is damaged", got)
	}
	temporary := filepath.Join(dir, "whole")
	write(t, temporary, whole)
	if err := os.Rename(temporary, path); err != nil {
		t.Fatal(err)
	}
	if got := <-heard; got != "masterKey v1" {
		t.Errorf("heard of %s, want masterKey v1 once more", got)
	}
	stop()
	<-ended
	if len(failed) > 0 {
		t.Errorf("failed once more: %s", <-failed)
	}
}

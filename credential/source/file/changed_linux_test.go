package file_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/parley-backend/parley/credential/source/file"
)

// Also a source that has seen nothing before knows when a file came into its place.
func TestCreatedAtTheFirstRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	before := time.Now().Add(-time.Second) // the clock of the file system is coarser
	write(t, path+".new", keyA)
	yesterday := before.Add(-24 * time.Hour)
	if err := os.Chtimes(path+".new", yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	rename(t, path+".new", path)
	payload, err := file.New(path, 0).Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if created := payload.Versions[0].Created; created.Before(before) {
		t.Errorf("Created = %v, want not before %v", created, before)
	}
}

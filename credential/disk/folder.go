package disk

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/parley-backend/parley/credential"
)

// The files of a folder.
const (
	installKeyFile  = "installKey"
	revocationsFile = "revocations"
)

// Folder is what one installation remembers of its credentials.
type Folder struct {
	// InstallKey is the key of this installation: of its files, and of the fingerprints in its logs. Servers with a copy of it name
	// versions alike.
	InstallKey  credential.Secret
	Revocations *Revocations
	LastGood    *LastGood
}

// Open opens the folder at dir. The first time it makes what is missing: the folder with mode 0700, an install key and an empty
// list of revocations. Later, a file that is missing or damaged is an error.
func Open(ctx context.Context, dir string) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	unlock, err := lock(ctx, filepath.Join(dir, installKeyFile)) // two first starts at once make one key
	if err != nil {
		return nil, err
	}
	defer unlock()
	f, err := Look(dir)
	if f != nil || err != nil {
		return f, err
	}
	key := credential.NewSecret(rand.Text() + rand.Text()) // 260 bits
	defer key.Wipe()
	// The key comes last: as long as it is not there, this was not a first start yet.
	if _, err := createRevocations(filepath.Join(dir, revocationsFile), key); err != nil {
		return nil, err
	}
	if err := replace(filepath.Join(dir, installKeyFile), append(key.Reveal(), '\n')); err != nil {
		return nil, err
	}
	return Look(dir)
}

// Look opens the folder at dir as it is and makes nothing. Where there was no first start yet, the folder is nil.
func Look(dir string) (*Folder, error) {
	path := filepath.Join(dir, installKeyFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer clear(text)
	value := bytes.TrimSpace(text)
	if len(value) < 32 {
		return nil, fmt.Errorf("%s is too short to be an install key: put it back from a copy", path)
	}
	f := &Folder{InstallKey: credential.NewSecret(value)}
	f.LastGood = &LastGood{dir: dir, key: f.InstallKey}
	f.Revocations, err = openRevocations(filepath.Join(dir, revocationsFile), f.InstallKey)
	if err != nil {
		return nil, err
	}
	return f, nil
}

package disk

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
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
	return OpenWith(ctx, dir, credential.Secret{})
}

// OpenWith is Open for an installation whose servers share an install key that is kept elsewhere: the folder holds a mark of it
// only. With an empty key it is Open. A folder that was used with another key is taken over as long as nothing is revoked in it;
// after that the key cannot be replaced, because the revocations are known by digests under it.
func OpenWith(ctx context.Context, dir string, key credential.Secret) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	unlock, err := lock(ctx, filepath.Join(dir, installKeyFile)) // two first starts at once make one key
	if err != nil {
		return nil, err
	}
	defer unlock()
	f, err := LookWith(dir, key)
	if f != nil || err != nil {
		return f, err
	}
	var text []byte
	seal := key
	if key.Len() > 0 {
		text = elsewhere(key)
	} else {
		seal = credential.NewSecret(rand.Text() + rand.Text()) // 260 bits
		defer seal.Wipe()
		text = seal.Reveal()
	}
	// The key comes last: as long as it is not there, this was not a first start yet.
	if _, err := createRevocations(filepath.Join(dir, revocationsFile), seal); err != nil {
		return nil, err
	}
	if err := replace(filepath.Join(dir, installKeyFile), append(text, '\n')); err != nil {
		return nil, err
	}
	return LookWith(dir, key)
}

// Look opens the folder at dir as it is and makes nothing. Where there was no first start yet, the folder is nil.
func Look(dir string) (*Folder, error) { return LookWith(dir, credential.Secret{}) }

// LookWith is Look for an install key that is kept elsewhere.
func LookWith(dir string, key credential.Secret) (*Folder, error) {
	if n := key.Len(); n > 0 && n < 32 {
		return nil, errors.New("the install key is too short: it needs 32 characters")
	}
	path := filepath.Join(dir, installKeyFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer clear(text)
	kept := bytes.TrimSpace(text)
	isMark := bytes.HasPrefix(kept, []byte(elsewhereWord))
	switch given := key.Reveal(); {
	case len(given) == 0 && isMark:
		return nil, fmt.Errorf("%s says that the install key is kept elsewhere, and none is configured", path)
	case len(given) == 0 && len(kept) < 32:
		return nil, fmt.Errorf("%s is too short to be an install key: put it back from a copy", path)
	case len(given) == 0:
		key = credential.NewSecret(kept)
	case !hmac.Equal(kept, given) && !hmac.Equal(kept, elsewhere(key)): // another key than before
		return nil, leftBehind(filepath.Join(dir, revocationsFile))
	}
	f := &Folder{InstallKey: key}
	f.LastGood = &LastGood{dir: dir, key: f.InstallKey}
	f.Revocations, err = openRevocations(filepath.Join(dir, revocationsFile), f.InstallKey)
	if err != nil {
		return nil, err
	}
	return f, nil
}

const elsewhereWord = "elsewhere "

// elsewhere is what the file of the install key holds when the key is not kept in the folder.
func elsewhere(key credential.Secret) []byte {
	value := key.Reveal()
	defer clear(value)
	h := hmac.New(sha256.New, value)
	io.WriteString(h, "parley install key")
	return hex.AppendEncode([]byte(elsewhereWord), h.Sum(nil))
}

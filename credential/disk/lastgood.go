package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/parley-backend/parley/credential"
)

// LastGood is a credential.LastGoodStore with a file for each credential. A file that was put back from an older copy is told by its
// serial number, of which the latest stands in a file of its own.
type LastGood struct {
	dir string
	key credential.Secret
	mu  sync.Mutex
}

// kept is the content of a file.
type kept struct {
	Serial  int64               `json:"serial"`
	Reading credential.LastGood `json:"reading"`
}

// serials is the content of the file of serial numbers, by credential.
type serials map[string]int64

func (l *LastGood) file(name string) sealed {
	escaped := url.PathEscape(name)
	return sealed{path: filepath.Join(l.dir, "lastGood-"+escaped), purpose: "lastGood-" + escaped, key: l.key}
}

func (l *LastGood) serials() sealed {
	return sealed{path: filepath.Join(l.dir, "lastGood"), purpose: "lastGood", key: l.key}
}

// LoadLastGood implements credential.LastGoodStore.
func (l *LastGood) LoadLastGood(ctx context.Context, name string) (*credential.LastGood, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	unlock, err := lock(ctx, l.serials().path)
	if err != nil {
		return nil, credential.Errorf(credential.Unavailable, "%s", l.serials().failed("cannot be locked", err))
	}
	defer unlock()
	var k kept
	if err := l.file(name).read(&k); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, credential.Errorf(credential.Invalid, "%s", err)
	}
	latest := serials{}
	if err := l.serials().read(&latest); err != nil {
		return nil, credential.Errorf(credential.Invalid, "%s", err)
	}
	if k.Serial < latest[name] {
		return nil, credential.Errorf(credential.Invalid, "%s is an older copy", l.file(name).path)
	}
	return &k.Reading, nil
}

// SaveLastGood implements credential.LastGoodStore.
func (l *LastGood) SaveLastGood(ctx context.Context, name string, reading credential.LastGood) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	unlock, err := lock(ctx, l.serials().path)
	if err == nil {
		defer unlock()
		err = l.save(name, reading)
	}
	if err == nil {
		return nil
	}
	// What is there now may say that something is accepted which no longer is.
	if left := os.Remove(l.file(name).path); left != nil && !errors.Is(left, fs.ErrNotExist) {
		err = fmt.Errorf("%w; and the one before cannot be removed", err)
	}
	return credential.Errorf(credential.Unavailable, "%s", err)
}

// save writes the reading before its number: a crash in between leaves a file that is newer than its number, which is believed.
func (l *LastGood) save(name string, reading credential.LastGood) error {
	latest := serials{}
	if l.serials().read(&latest) != nil { // missing or damaged: it begins anew, above whatever it was
		latest = serials{}
	}
	serial := max(latest[name]+1, time.Now().UnixNano())
	if err := l.file(name).write(kept{Serial: serial, Reading: reading}); err != nil {
		return err
	}
	latest[name] = serial
	return l.serials().write(latest)
}

package disk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/parley-backend/parley/credential"
)

// Revocations is a credential.Store in one file. Several processes may share the file: a write takes in what the others wrote,
// and Follow tells a process that runs what another one revokes.
type Revocations struct {
	mu   sync.Mutex
	file sealed
}

// revoked is the content of the file: tombstones by credential, in the order in which they were made.
type revoked map[string][]credential.Tombstone

func revocationsAt(path string, installKey credential.Secret) *Revocations {
	return &Revocations{file: sealed{path: path, purpose: "revocations", key: installKey}}
}

// createRevocations makes the file at path, with nothing revoked, in place of one that an interrupted first start or another
// install key left behind.
func createRevocations(path string, installKey credential.Secret) (*Revocations, error) {
	if err := leftBehind(path); err != nil {
		return nil, err
	}
	r := revocationsAt(path, installKey)
	return r, r.file.write(revoked{})
}

// leftBehind returns an error if the file at path holds revocations: it belongs to an install key that is not there, and may not
// be forgotten. The seal of that key cannot be checked; whether anything would be forgotten can be seen all the same.
func leftBehind(path string) error {
	file := revocationsAt(path, credential.Secret{}).file
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return file.failed("cannot be read", err)
	}
	left := revoked{}
	if body, _, ok := split(data, file.title()); !ok || json.Unmarshal(body, &left) != nil || len(left) > 0 {
		return fmt.Errorf("%s is there, but the install key that it was written with is missing: put that back from a copy", path)
	}
	return nil
}

// openRevocations opens the file at path. One that is missing, damaged or written with another install key is an error, never
// "nothing is revoked".
func openRevocations(path string, installKey credential.Secret) (*Revocations, error) {
	r := revocationsAt(path, installKey)
	if _, err := r.read(); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Revocations) read() (revoked, error) {
	all := revoked{}
	err := r.file.read(&all)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s, the list of revoked keys, is missing: put it back from a copy", r.file.path)
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for _, t := range all[name] {
			if t.VersionID == "" && t.Mark == "" {
				return nil, fmt.Errorf("%s holds a revocation of %s that names nothing", r.file.path, name)
			}
		}
	}
	return all, err
}

// Load implements credential.Store.
func (r *Revocations) Load(_ context.Context, name string) ([]credential.Tombstone, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all, err := r.read()
	if err != nil {
		return nil, credential.Errorf(credential.Misconfigured, "%s", err)
	}
	return all[name], nil
}

// Save implements credential.Store. A second revocation of the same version changes nothing.
func (r *Revocations) Save(ctx context.Context, name string, tombstone credential.Tombstone) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	unlock, err := lock(ctx, r.file.path)
	if err != nil {
		return credential.Errorf(credential.Unavailable, "the list of revoked keys is in use: %s", r.file.failed("cannot be locked", err))
	}
	defer unlock()
	all, err := r.read()
	if err != nil {
		return credential.Errorf(credential.Unavailable, "%s", err)
	}
	same := func(t credential.Tombstone) bool {
		return t.VersionID == tombstone.VersionID && t.Mark == tombstone.Mark
	}
	if slices.ContainsFunc(all[name], same) {
		return nil
	}
	all[name] = append(all[name], tombstone)
	if err := r.file.write(all); err != nil {
		return credential.Errorf(credential.Unavailable, "%s", err)
	}
	return nil
}

// Follow looks at the file at once and then every so often, until ctx ends, and hands on each revocation that is in it when it has changed; known
// ones come again. A file that cannot be read is told to failed, once until it can be.
func (r *Revocations) Follow(ctx context.Context, every time.Duration, revoked func(ctx context.Context, name string, t credential.Tombstone), failed func(error)) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	var last os.FileInfo
	told := false
	for {
		info, err := os.Stat(r.file.path)
		if err == nil && (last == nil || !os.SameFile(last, info) || !last.ModTime().Equal(info.ModTime()) || last.Size() != info.Size()) {
			if err = r.each(ctx, revoked); err == nil {
				last = info
			}
		}
		if err != nil && !told {
			failed(err)
		}
		told = err != nil
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (r *Revocations) each(ctx context.Context, revoked func(ctx context.Context, name string, t credential.Tombstone)) error {
	r.mu.Lock()
	all, err := r.read()
	r.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for _, t := range all[name] {
			revoked(ctx, name, t)
		}
	}
	return err
}

package natskv

import (
	"context"
	"errors"
	"time"

	"github.com/parley-backend/parley/credential"
)

// walk is what the history says of one revision. It holds no value.
type walk struct {
	revision uint64
	now, old run // the value that is current, and the one before it; old is zero if there is none
}

// run is one value as long as it did not change.
type run struct {
	mark    [32]byte // a digest of it
	created time.Time
	last    uint64 // revision
}

// before returns the value before the current one, so that the overlap is the same on a server that has just started, and sets
// the time since when the current one is current: a document has revisions in which another field changed. What was before a
// deletion stays deleted.
func (s *source) before(ctx context.Context, b *bucket, current *credential.Version, last entry, base uint64) ([]credential.Version, error) {
	s.mu.Lock()
	w := s.walk
	s.mu.Unlock()
	if w.revision != last.revision {
		var err error
		if w, err = s.look(ctx, b, last, s.digester.Version(current)); err != nil {
			return nil, err
		}
		s.mu.Lock()
		if s.seen.revision == last.revision && s.seen.made.Equal(b.made) {
			s.walk = w
		}
		s.mu.Unlock()
	}
	current.Created = w.now.created
	if w.old.last == 0 {
		return nil, nil
	}
	old, err := b.from(ctx, w.old.last)
	if err != nil {
		return nil, unlessAbsent(err)
	}
	defer clear(old.value)
	v := version(old, base)
	if s.decoder.Decode(old.value, &v) != nil || old.revision != w.old.last { // it is not kept any more
		return nil, nil
	}
	v.State, v.Created = credential.Previous, w.old.created
	return []credential.Version{v}, nil
}

// look goes through the history, from the oldest revision on: it can only be read forwards.
func (s *source) look(ctx context.Context, b *bucket, last entry, current [32]byte) (walk, error) {
	w := walk{revision: last.revision}
	for next, left := uint64(1), b.history; left > 1 && next < last.revision; left-- {
		e, err := b.from(ctx, next)
		if err != nil {
			if err = unlessAbsent(err); err != nil {
				return walk{}, err
			}
			break
		}
		if e.revision >= last.revision {
			clear(e.value)
			break
		}
		next = e.revision + 1
		v := version(e, 0)
		err = s.decoder.Decode(e.value, &v)
		clear(e.value)
		if e.deleted || err != nil {
			w.now, w.old = run{}, run{}
			continue
		}
		w.add(s.digester.Version(&v), e)
	}
	w.add(current, last)
	return w, nil
}

func (w *walk) add(mark [32]byte, e entry) {
	if w.now.last == 0 || w.now.mark != mark {
		w.old, w.now = w.now, run{mark: mark, created: e.created}
	}
	w.now.last = e.revision
}

// unlessAbsent returns err unless it says that there is nothing, or nothing that can be used.
func unlessAbsent(err error) error {
	if errors.Is(err, credential.Missing) || errors.Is(err, credential.Invalid) {
		return nil
	}
	return err
}

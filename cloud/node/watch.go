package node

import (
	"context"
	"io/fs"
	"path/filepath"
	"strings"
	"time"
)

// stamp is the state of a file, as far as it can be seen from outside.
type stamp struct {
	size int64
	time time.Time
}

// mostFiles bounds what is looked at: who keeps more beside the code than that does not want to wait for it.
const mostFiles = 10_000

// look returns the state of the files beside and below the main file that may be part of the code. What npm has installed is not looked at.
func (r *Runtime) look() map[string]stamp {
	seen := map[string]stamp{}
	filepath.WalkDir(filepath.Dir(r.main), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // it is gone already
		}
		if d.IsDir() {
			if name := d.Name(); name == "node_modules" || strings.HasPrefix(name, ".") && path != filepath.Dir(r.main) {
				return filepath.SkipDir
			}
			return nil
		}
		switch filepath.Ext(path) {
		case ".js", ".mjs", ".cjs", ".json":
		default:
			return nil
		}
		if info, err := d.Info(); err == nil {
			seen[path] = stamp{info.Size(), info.ModTime()}
		}
		if len(seen) >= mostFiles {
			return filepath.SkipAll
		}
		return nil
	})
	return seen
}

func same(a, b map[string]stamp) bool {
	if len(a) != len(b) {
		return false
	}
	for path, was := range a {
		if is, ok := b[path]; !ok || is.size != was.size || !is.time.Equal(was.time) {
			return false
		}
	}
	return true
}

// watch loads the code anew when its files change, once they have stopped changing.
func (r *Runtime) watch(ctx context.Context, loaded map[string]stamp) {
	tick := time.NewTicker(r.o.Every)
	defer tick.Stop()
	before := loaded
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := r.look()
		if !same(now, before) {
			before = now // still being written, perhaps
			continue
		}
		if same(now, loaded) {
			continue
		}
		loaded = now
		r.reload(ctx)
	}
}

// reload starts workers with the code as it is now. They take over when they have loaded it; when they cannot, the old ones go on.
func (r *Runtime) reload(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := r.newPool()
	if err := next.open(ctx); err != nil {
		if ctx.Err() == nil {
			r.log.Error("the changed cloud code cannot be loaded; the old one stays", "error", err.Error())
		}
		return
	}
	old := r.pool.Swap(next)
	if r.o.OnChange != nil {
		r.o.OnChange(r.code(next.registered()))
	}
	r.reloads.Add(1)
	r.log.Info("the changed cloud code is loaded")
	r.aside.Go(func() { old.close(r.o.Drain) })
}

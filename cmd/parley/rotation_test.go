package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// overlap is how long the server of the rotation test accepts a replaced key: long enough that a busy machine gets some requests
// with it through, short enough to see its end.
const overlap = 6 * time.Second

// TestRotation rewrites the file of the master key while a load runs: no request fails, the new key works at once, the old one for
// the overlap and then no more, and while the file is gone or holds nonsense nobody notices.
func TestRotation(t *testing.T) {
	for _, way := range []struct {
		name string
		// make writes the first value and returns the path of the file; the function that it returns replaces the value.
		make func(t *testing.T, value string) (path string, replace func(value string))
	}{
		{"in place", func(t *testing.T, value string) (string, func(string)) {
			path := filepath.Join(t.TempDir(), "master")
			write(t, path, value)
			return path, func(value string) { write(t, path, value) }
		}},
		{"renamed over", func(t *testing.T, value string) (string, func(string)) {
			dir := t.TempDir()
			path := filepath.Join(dir, "master")
			write(t, path, value)
			return path, func(value string) {
				write(t, path+".new", value)
				rename(t, path+".new", path)
			}
		}},
		{"Kubernetes volume", func(t *testing.T, value string) (string, func(string)) {
			dir := t.TempDir()
			generation := 0
			replace := func(value string) { // as the kubelet does: a new folder, then the link ..data renamed over
				generation++
				folder := fmt.Sprintf("..generation_%d", generation)
				if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
					t.Fatal(err)
				}
				write(t, filepath.Join(dir, folder, "master"), value)
				if err := os.Symlink(folder, filepath.Join(dir, "..data_tmp")); err != nil {
					t.Fatal(err)
				}
				rename(t, filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data"))
				if generation > 1 {
					if err := os.RemoveAll(filepath.Join(dir, fmt.Sprintf("..generation_%d", generation-1))); err != nil {
						t.Fatal(err)
					}
				}
			}
			replace(value)
			path := filepath.Join(dir, "master")
			if err := os.Symlink(filepath.Join("..data", "master"), path); err != nil {
				t.Fatal(err)
			}
			return path, replace
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			path, replace := way.make(t, firstKey+"\n")
			rotate(t, path, replace)
		})
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func rotate(t *testing.T, path string, replace func(string)) {
	const first, second = firstKey, secondKey
	p := startServer(t, t.TempDir(), "--appId="+appID, "--masterKey=file://"+path, fmt.Sprintf("--keyOverlap=%d", int(overlap.Seconds())),
		"--metricsAddress=127.0.0.1:0", "--allowClientClassCreation=true")
	l := newLoad(p, first)
	defer l.stop()
	l.progress("the load with the first key", masterRequests, sessionRequests, publicRequests)

	replacedAt := time.Now()
	replace(second + "\n")
	if a, err := p.try(http.MethodGet, "/schemas", "", "X-Parse-Master-Key", second); err != nil || a.status != http.StatusOK {
		t.Fatalf("the first request with the new key = %d %s %v, want 200", a.status, a.text, err)
	}
	l.use(first, second)
	l.progress("the load with both keys", masterRequests, sessionRequests, publicRequests)
	l.use(second) // from here on nobody sends the old key but the test

	var rejected time.Time
	p.await("the old key to be refused", func() bool {
		a, err := p.try(http.MethodGet, "/schemas", "", "X-Parse-Master-Key", first)
		if err != nil {
			t.Fatal(err)
		}
		rejected = time.Now()
		if a.status != http.StatusOK && (a.status != http.StatusForbidden || a.text != `{"error":"Permission denied"}`) {
			t.Fatalf("the old key = %d %s, want 200 or 403", a.status, a.text)
		}
		return a.status == http.StatusForbidden
	})
	if early := replacedAt.Add(overlap).Sub(rejected); early > time.Second { // clocks of file systems are coarse
		t.Errorf("the old key was refused %v before the end of the overlap", early)
	}
	if used := p.metric(`parley_credential_previous_uses_total{credential="masterKey"}`); used == 0 {
		t.Error("no use of the previous key was counted")
	}
	l.progress("the load with the second key", masterRequests, sessionRequests, publicRequests)

	for _, broken := range []struct {
		name  string
		spoil func() error
	}{
		{"deleted", func() error { return os.Remove(path) }},
		{"empty", func() error { return os.WriteFile(path, nil, 0o600) }},
		{"blank", func() error { return os.WriteFile(path, []byte(" \n"), 0o600) }},
		{"a folder", func() error { return os.Mkdir(path, 0o700) }},
		{"unreadable", func() error {
			if err := os.WriteFile(path, []byte(second), 0o600); err != nil {
				return err
			}
			return os.Chmod(path, 0)
		}},
	} {
		if broken.name == "unreadable" && os.Geteuid() == 0 {
			t.Log("not tried: a file that may not be read, since root reads everything")
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		if broken.name != "deleted" {
			if err := broken.spoil(); err != nil {
				t.Fatal(err)
			}
		}
		p.await("the server to notice that the file is "+broken.name, func() bool {
			return p.metric(`parley_credential_consecutive_failures{credential="masterKey"}`) > 0
		})
		l.progress("the load while the file is "+broken.name, masterRequests, sessionRequests, publicRequests)
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	write(t, path, thirdKey)
	p.await("the key of the mended file", func() bool {
		a, err := p.try(http.MethodGet, "/schemas", "", "X-Parse-Master-Key", thirdKey)
		return err == nil && a.status == http.StatusOK
	})
	l.progress("the load after all", masterRequests, sessionRequests, publicRequests)
	l.stop()
	for _, failure := range l.failures {
		t.Error(failure)
	}
	p.end()
	for _, secret := range []string{first, second, thirdKey} {
		if strings.Contains(p.errs.String()+p.out.String(), secret) {
			t.Errorf("the output holds the key %s", secret)
		}
	}
}

// load is many clients at once: with the master key, with a session, and with neither.
type load struct {
	p       *process
	session string
	id      string // of an object that everybody reads
	quit    chan struct{}
	once    sync.Once
	wg      sync.WaitGroup
	done    [3]atomic.Int64 // by kind
	// using is held for reading during a request, so that who changes the keys knows that no request is under way with another.
	using sync.RWMutex
	keys  []string

	mu       sync.Mutex
	failures []string
}

const (
	masterRequests = iota
	sessionRequests
	publicRequests
)

func newLoad(p *process, key string) *load {
	l := &load{p: p, quit: make(chan struct{}), keys: []string{key}}
	l.session = p.do(http.StatusCreated, http.MethodPost, "/users", `{"username":"ann","password":"secret"}`).body["sessionToken"].(string)
	l.id = p.do(http.StatusCreated, http.MethodPost, "/classes/Load", `{"n":0}`).body["objectId"].(string)
	for kind := range l.done {
		for range 4 {
			l.wg.Go(func() { l.work(kind) })
		}
	}
	return l
}

func (l *load) work(kind int) {
	for {
		select {
		case <-l.quit:
			return
		default:
		}
		l.using.RLock()
		l.one(kind)
		l.using.RUnlock()
	}
}

func (l *load) one(kind int) {
	var headers []string
	requests := [][3]string{
		{http.MethodGet, "/classes/Load/" + l.id, ""},
		{http.MethodPost, "/classes/Load", `{"n":1}`},
		{http.MethodPut, "/classes/Load/" + l.id, `{"n":{"__op":"Increment","amount":1}}`},
		{http.MethodGet, "/classes/Load?limit=2", ""},
	}
	switch kind {
	case masterRequests:
		headers = []string{"X-Parse-Master-Key", l.keys[rand.IntN(len(l.keys))]}
		requests = append(requests, [3]string{http.MethodGet, "/schemas", ""}, [3]string{http.MethodGet, "/sessions", ""})
	case sessionRequests:
		headers = []string{"X-Parse-Session-Token", l.session}
		requests = append(requests, [3]string{http.MethodGet, "/users/me", ""})
	case publicRequests:
		requests = append(requests, [3]string{http.MethodGet, "/health", ""})
	}
	r := requests[rand.IntN(len(requests))]
	a, err := l.p.try(r[0], r[1], r[2], headers...)
	if err != nil || a.status != http.StatusOK && a.status != http.StatusCreated {
		l.mu.Lock()
		l.failures = append(l.failures, fmt.Sprintf("%s %s (kind %d) = %d %s %v", r[0], r[1], kind, a.status, a.text, err))
		l.mu.Unlock()
	}
	l.done[kind].Add(1)
}

// use changes the keys that requests carry, and waits for those with others.
func (l *load) use(keys ...string) {
	l.using.Lock()
	defer l.using.Unlock()
	l.keys = keys
}

// progress waits until further requests of every kind were answered, and fails when one was not as it should be.
func (l *load) progress(what string, kinds ...int) {
	l.p.t.Helper()
	for _, kind := range kinds {
		want := l.done[kind].Load() + 20
		l.p.await(what, func() bool { return l.done[kind].Load() >= want })
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.failures) > 0 {
		l.p.t.Fatalf("%s: %d requests failed, the first: %s\n%s", what, len(l.failures), l.failures[0], l.p.errs)
	}
}

func (l *load) stop() {
	l.once.Do(func() { close(l.quit) })
	l.wg.Wait()
}

package credential_test

import (
	"context"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Keys for the tests, long enough not to be warned of.
const (
	keyA = "aaaa-key-of-the-first-version-aaaa"
	keyB = "bbbb-key-of-the-second-version-bbb"
	keyC = "cccc-key-of-the-third-version-cccc"
	keyD = "dddd-key-of-the-fourth-version-ddd"
)

// fixture is a started credential on a scripted source.
type fixture struct {
	*credential.Credential
	source *credentialtest.Source
	seen   *credentialtest.Recorder
	clock  *credentialtest.Clock
}

// start makes and starts a credential on a source that yields keyA. Call it in a
// bubble; the credential is stopped when the bubble ends.
func start(t *testing.T, cfg credential.Config, info credential.Info) *fixture {
	t.Helper()
	f := &fixture{source: credentialtest.New(info, keyA), seen: &credentialtest.Recorder{}, clock: &credentialtest.Clock{}}
	if cfg.Source == nil {
		cfg.Source = f.source
	}
	if cfg.Name == "" {
		cfg.Name = "masterKey"
	}
	cfg.Observer, cfg.Wall = f.seen, f.clock.Now
	var err error
	if f.Credential, err = credential.New(cfg); err != nil {
		t.Fatalf("New failed: %v", err)
	}
	t.Cleanup(f.Stop)
	if err := f.Start(t.Context()); err != nil {
		t.Fatalf("Start failed: %v", err)
	}
	synctest.Wait()
	return f
}

// rotate stores value and has the credential read it.
func (f *fixture) rotate(t *testing.T, value string) {
	t.Helper()
	f.source.Set(value)
	f.refresh(t)
}

func (f *fixture) refresh(t *testing.T) {
	t.Helper()
	if err := f.Refresh(t.Context()); err != nil {
		t.Errorf("Refresh failed: %v", err)
	}
	synctest.Wait()
}

// expect checks what Verify says of each key: "accept current", "reject retired", ….
func (f *fixture) expect(t *testing.T, when string, want map[string]string) {
	t.Helper()
	for key, answer := range want {
		if got := said(f.Verify(key)); got != answer {
			t.Errorf("%s: Verify(%.4s) = %s, want %s", when, key, got, answer)
		}
	}
}

func said(d credential.Decision) string {
	if d.OK() {
		return "accept " + d.State.String()
	}
	return d.Verdict.String() + " " + d.Reason.String()
}

func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// version is a version of a monotonic source.
func version(number uint64, value string, state credential.State) credential.Version {
	return credential.Version{ID: "v" + string(rune('0'+number)), Number: number, Value: credential.NewSecret(value), State: state}
}

// Whoever imports this package links nothing but the standard library.
func TestImportsStandardLibraryOnly(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, imported := range parsed.Imports {
			if first, _, _ := strings.Cut(strings.Trim(imported.Path.Value, `"`), "/"); strings.Contains(first, ".") {
				t.Errorf("%s imports %s", name, imported.Path.Value)
			}
		}
	}
}

// memoryStore is a Store that can refuse, for tests of revocation.
type memoryStore struct {
	saved map[string][]credential.Tombstone
	err   error
}

func (s *memoryStore) Load(_ context.Context, name string) ([]credential.Tombstone, error) {
	return s.saved[name], s.err
}

func (s *memoryStore) Save(_ context.Context, name string, tombstone credential.Tombstone) error {
	if s.err != nil {
		return s.err
	}
	if s.saved == nil {
		s.saved = make(map[string][]credential.Tombstone)
	}
	s.saved[name] = append(s.saved[name], tombstone)
	return nil
}

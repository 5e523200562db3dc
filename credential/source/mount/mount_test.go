package mount_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/source/mount"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	keyA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	keyB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

var sources = credential.Registry{"k8s-mount": mount.Open, "cred": mount.OpenCred}

func open(t testing.TB, text string) credential.Source {
	t.Helper()
	ref, err := credential.ParseReference(text)
	if err != nil {
		t.Fatal(err)
	}
	source, err := sources.Open(ref)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// value returns the one value, and fields those of a group.
func value(t *testing.T, s credential.Source) string {
	t.Helper()
	payload, err := s.Fetch(t.Context())
	if err != nil {
		t.Fatalf("Fetch failed: %v", err)
	}
	return string(payload.Versions[0].Value.Reveal())
}

func fields(p credential.Payload) map[string]string {
	got := make(map[string]string)
	for name, secret := range p.Versions[0].Fields {
		got[name] = string(secret.Reveal())
	}
	return got
}

func TestSource(t *testing.T) {
	credentialtest.TestSource(t, credentialtest.Harness{Open: func(t *testing.T, value string) credentialtest.Store {
		k := newVolume(t, map[string]string{"key": value + "\n", "other": "x"})
		return credentialtest.Store{
			Source: open(t, "k8s-mount://"+k.dir+"/key?poll=20ms"),
			Put:    func(t *testing.T, value string) { k.put(t, map[string]string{"key": value + "\n", "other": "x"}) },
			Remove: func(t *testing.T) { k.put(t, map[string]string{"other": "x"}) },
			Break: func(t *testing.T) func() {
				link := filepath.Join(k.dir, "..data")
				if err := errors.Join(os.Remove(link), os.Symlink("..data", link)); err != nil {
					t.Fatal(err)
				}
				return func() {
					if err := errors.Join(os.Remove(link), os.Symlink(filepath.Base(k.now), link)); err != nil {
						t.Fatal(err)
					}
				}
			},
		}
	}})
}

func TestCred(t *testing.T) {
	credentialtest.TestSource(t, credentialtest.Harness{Open: func(t *testing.T, value string) credentialtest.Store {
		dir := t.TempDir()
		t.Setenv("CREDENTIALS_DIRECTORY", dir)
		path := filepath.Join(dir, "masterKey")
		put := func(t *testing.T, value string) {
			if err := os.WriteFile(path, []byte(value), 0o400); err != nil {
				t.Fatal(err)
			}
		}
		put(t, value)
		return credentialtest.Store{
			Source: open(t, "cred:masterKey?poll=20ms"),
			Put:    func(t *testing.T, value string) { _ = os.Remove(path); put(t, value) },
			Remove: func(t *testing.T) { _ = os.Remove(path) },
		}
	}})
	if _, writable := open(t, "cred:masterKey").(credential.Writer); writable {
		t.Error("cred: can be written, and belongs to whoever started the service")
	}
}

func TestOpen(t *testing.T) {
	for _, test := range []struct {
		reference, systemd, location string
		want                         error
	}{
		{"k8s-mount:///etc/creds/masterKey", "", "/etc/creds/masterKey", nil},
		{"k8s-mount:///etc/creds/keys.json?poll=1s#masterKey", "", "/etc/creds/keys.json", nil},
		{"k8s-mount:///etc/creds?fields=username,password", "", "/etc/creds", nil},
		{"k8s-mount:///etc/creds?fields=db/user,db/password", "", "/etc/creds", nil},
		{"k8s-mount:///etc/creds?fields=*", "", "/etc/creds", nil},
		{"k8s-mount://etc/creds/masterKey", "", "", credential.Misconfigured},
		{"k8s-mount:///", "", "", credential.Misconfigured},
		{"k8s-mount:key", "", "", credential.Misconfigured},
		{"k8s-mount:///etc/creds/..data/key", "", "", credential.Misconfigured},
		{"k8s-mount:///etc/creds?fields=", "", "", credential.Misconfigured},
		{"k8s-mount:///etc/creds?fields=a,,b", "", "", credential.Misconfigured},
		{"k8s-mount:///etc/creds?fields=../x", "", "", credential.Misconfigured},
		{"k8s-mount:///etc/creds?fields=..data", "", "", credential.Misconfigured},
		{"k8s-mount:///etc/creds?fields=/x", "", "", credential.Misconfigured},
		{"k8s-mount:///etc/creds?fields=a#b", "", "", credential.Misconfigured},
		{"k8s-mount:///etc/creds?fields=a&format=json", "", "", credential.Misconfigured},
		{"k8s-mount:///etc/creds/key?poll=1ms", "", "", credential.Misconfigured},
		{"k8s-mount:///etc/creds/key?color=red", "", "", credential.Misconfigured},
		{"k8s-mount:///etc/creds/key?format=raw#field", "", "", credential.Misconfigured},
		{"cred:masterKey", "/run/credentials/parley.service", "/run/credentials/parley.service/masterKey", nil},
		{"cred:masterKey", "", "/run/secrets/masterKey", nil},
		{"cred:keys.json?poll=1s#masterKey", "", "/run/secrets/keys.json", nil},
		{"cred:masterKey", "credentials", "", credential.Misconfigured},
		{"cred:../masterKey", "", "", credential.Misconfigured},
		{"cred:..", "", "", credential.Misconfigured},
		{"cred:/etc/shadow", "", "", credential.Misconfigured},
		{"cred:///masterKey", "", "", credential.Misconfigured},
		{"cred:masterKey?color=red", "", "", credential.Misconfigured},
	} {
		t.Setenv("CREDENTIALS_DIRECTORY", test.systemd)
		ref, err := credential.ParseReference(test.reference)
		if err != nil {
			t.Errorf("ParseReference(%s) failed: %v", test.reference, err)
			continue
		}
		source, err := sources.Open(ref)
		if !errors.Is(err, test.want) {
			t.Errorf("Open(%s) = %v, want %v", test.reference, err, test.want)
			continue
		}
		if err != nil {
			continue
		}
		if got, want := source.Info(), (credential.Info{Scheme: ref.Scheme, Location: test.location}); !cmp.Equal(got, want) {
			t.Errorf("Info of %s = %+v, want %+v", test.reference, got, want)
		}
	}
}

// A group is for what Parley presents; a key that is verified is one value.
func TestGroupIsForPresenting(t *testing.T) {
	const reference = "k8s-mount:///etc/creds?fields=username,password"
	if err := sources.Configure(&credential.Config{Name: "db", Present: true}, reference); err != nil {
		t.Errorf("Configure of what is presented failed: %v", err)
	}
	if err := sources.Configure(&credential.Config{Name: "masterKey"}, reference); !errors.Is(err, credential.Misconfigured) {
		t.Errorf("Configure of a key = %v, want Misconfigured", err)
	}
}

func TestGroup(t *testing.T) {
	k := newVolume(t, map[string]string{"username": "parley", "password": keyA, "db/host": "db1"})
	for names, want := range map[string]map[string]string{
		"username,password": {"username": "parley", "password": keyA},
		"*":                 {"username": "parley", "password": keyA},
		"db/host,password":  {"db/host": "db1", "password": keyA},
	} {
		payload, err := open(t, "k8s-mount://"+k.dir+"?fields="+names).Fetch(t.Context())
		if err != nil {
			t.Fatalf("Fetch(%s) failed: %v", names, err)
		}
		if diff := cmp.Diff(want, fields(payload)); diff != "" {
			t.Errorf("Fetch(%s) (-want +got):\n%s", names, diff)
		}
	}
	if got := value(t, open(t, "k8s-mount://"+k.dir+"/db/host")); got != "db1" {
		t.Errorf("Fetch of a key in a directory = %q, want db1", got)
	}
	if _, err := open(t, "k8s-mount://"+k.dir+"?fields=username,token").Fetch(t.Context()); !errors.Is(err, credential.Missing) {
		t.Errorf("Fetch of a group of which one key is not there = %v, want Missing", err)
	}
	k.put(t, map[string]string{"keys.json": `{"masterKey":"` + keyB + `"}`})
	if got := value(t, open(t, "k8s-mount://"+k.dir+"/keys.json#masterKey")); got != keyB {
		t.Errorf("Fetch of a field = %q, want %q", got, keyB)
	}
}

// While the volume is swapped again and again, whatever is read is of one generation.
func TestOneGeneration(t *testing.T) {
	state := func(i int) map[string]string {
		return map[string]string{"username": fmt.Sprintf("user-%06d", i), "password": fmt.Sprintf("password-%06d", i)}
	}
	k := newVolume(t, state(0))
	source := open(t, "k8s-mount://"+k.dir+"?fields=username,password")
	const swaps = 200
	written := make(chan error, 1)
	go func() {
		for i := 1; i <= swaps; i++ {
			if err := k.write(state(i)); err != nil {
				written <- err
				return
			}
		}
		written <- nil
	}()
	seen := make(map[string]bool)
	for done := false; !done; {
		select {
		case err := <-written:
			if err != nil {
				t.Fatal(err)
			}
			done = true // and one more reading, of the last state
		default:
		}
		payload, err := source.Fetch(t.Context())
		if err != nil {
			t.Fatalf("Fetch failed: %v", err)
		}
		got := fields(payload)
		if want := strings.Replace(got["username"], "user", "password", 1); got["password"] != want {
			t.Fatalf("Fetch = %v, of two generations", got)
		}
		seen[got["username"]] = true
	}
	if last := fmt.Sprintf("user-%06d", swaps); !seen[last] {
		t.Errorf("the last state was not read")
	}
	t.Logf("%d of %d states were read", len(seen), swaps+1)
}

// A presenter changes from one pair to the next, never to half of one.
func TestPresenter(t *testing.T) {
	k := newVolume(t, map[string]string{"username": "parley_a", "password": keyA})
	cfg := credential.Config{Name: "db", Present: true}
	if err := sources.Configure(&cfg, "k8s-mount://"+k.dir+"?fields=username,password&poll=10ms"); err != nil {
		t.Fatal(err)
	}
	changed := make(chan credential.Event, 100)
	cfg.Observer = observer(changed)
	c, err := credential.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	k.put(t, map[string]string{"username": "parley_b", "password": keyB})
	for e := range changed {
		if e.Kind == credential.EventRotated {
			break
		}
	}
	if got := c.Status().Counters.Changes[credential.EventRotated]; got != 1 {
		t.Errorf("%d rotations, want 1", got)
	}
}

type observer chan credential.Event

func (o observer) Observe(e credential.Event) {
	select {
	case o <- e:
	default:
	}
}

// Another key of the volume changes: that is no change of this one, and it is as old as it was.
func TestAnotherKeyChanges(t *testing.T) {
	k := newVolume(t, map[string]string{"key": keyA, "other": "1"})
	source := open(t, "k8s-mount://"+k.dir+"/key")
	created := func() time.Time {
		payload, err := source.Fetch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return payload.Versions[0].Created
	}
	first := created()
	if age := time.Since(first); age > time.Minute || first.IsZero() {
		t.Errorf("Created = %v, want when the generation was written", first)
	}
	later := time.Now().Add(time.Hour)
	again := func(keys map[string]string) {
		k.put(t, keys)
		if err := os.Chtimes(k.now, later, later); err != nil {
			t.Fatal(err)
		}
	}
	again(map[string]string{"key": keyA, "other": "2"})
	if got := created(); !got.Equal(first) {
		t.Errorf("Created = %v after another key changed, want %v", got, first)
	}
	again(map[string]string{"key": keyB, "other": "2"})
	if got := created(); !got.Equal(later) {
		t.Errorf("Created = %v after the key changed, want %v", got, later)
	}
}

func TestFailures(t *testing.T) {
	k := newVolume(t, map[string]string{"key": keyA, "huge": strings.Repeat("x", 64<<10+1), "dir/key": keyA})
	plain := t.TempDir()
	if err := os.WriteFile(filepath.Join(plain, "key"), []byte(keyA), 0o600); err != nil {
		t.Fatal(err)
	}
	outside := newVolume(t, map[string]string{"key": keyA})
	if err := errors.Join(os.Remove(filepath.Join(outside.dir, "..data")), os.Symlink(plain, filepath.Join(outside.dir, "..data"))); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(syscall.Mkfifo(filepath.Join(k.now, "pipe"), 0o600), os.Symlink(filepath.Join(plain, "key"), filepath.Join(k.now, "escape"))); err != nil {
		t.Fatal(err)
	}
	empty := newVolume(t, nil)
	for _, test := range []struct {
		place, want string
		class       credential.Class
	}{
		{k.dir + "/none", "no such file or directory", credential.Missing},
		{k.dir + "/huge", "larger than 65536 bytes", credential.Invalid},
		{k.dir + "/dir", "the key is not a regular file", credential.Invalid},
		{k.dir + "/pipe", "the key is not a regular file", credential.Invalid},
		{k.dir + "/escape", "path escapes from parent", credential.Unavailable},
		{k.dir + "?fields=key,huge", "larger than 65536 bytes", credential.Invalid},
		{plain + "/none/key", "no such file or directory", credential.Missing},
		{plain + "/none?fields=key", "no such file or directory", credential.Missing},
		{plain + "/key", "not in a volume of Kubernetes. Mounted with subPath it would never change; mount the whole volume, or write file: for a file that others keep", credential.Misconfigured},
		{plain + "?fields=key", "not in a volume of Kubernetes. Mounted with subPath it would never change; mount the whole volume, or write file: for a file that others keep", credential.Misconfigured},
		{outside.dir + "/key", "the link ..data leads out of the volume", credential.Invalid},
		{empty.dir + "?fields=*", "the volume has no key, or more than 100", credential.Invalid},
	} {
		_, err := open(t, "k8s-mount://"+test.place).Fetch(t.Context())
		path, _, _ := strings.Cut(test.place, "?")
		if want := fmt.Sprintf("%v: %s: %s", test.class, path, test.want); err == nil || err.Error() != want {
			t.Errorf("Fetch(%s) = %v, want %s", test.place, err, want)
		}
	}
}

// A key that may not be read is not a revocation.
func TestDenied(t *testing.T) {
	k := newVolume(t, map[string]string{"key": keyA})
	if err := os.Chmod(filepath.Join(k.now, "key"), 0); err != nil {
		t.Fatal(err)
	}
	source, result := open(t, "k8s-mount://"+k.dir+"/key"), make(chan error)
	go func() {
		if _, err := os.ReadFile(filepath.Join(k.dir, "key")); err == nil {
			drop(t)
		}
		_, err := source.Fetch(context.Background())
		result <- err
	}()
	if err := <-result; !errors.Is(err, credential.Denied) {
		t.Errorf("Fetch of an unreadable key = %v, want Denied", err)
	}
}

// A volume whose generations vanish as soon as they are looked at ends with the context.
func TestEverChanging(t *testing.T) {
	k := newVolume(t, map[string]string{"other": "x"})
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			if err := k.write(map[string]string{"other": "x"}); err != nil {
				stopped <- err
				return
			}
		}
		stopped <- nil
	}()
	short, end := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer end()
	_, err := open(t, "k8s-mount://"+k.dir+"/key").Fetch(short)
	cancel()
	if stopErr := <-stopped; stopErr != nil {
		t.Fatal(stopErr)
	}
	// Missing if the link stood still for the length of one look.
	if !errors.Is(err, credential.Unavailable) && !errors.Is(err, credential.Missing) {
		t.Errorf("Fetch = %v, want Unavailable or Missing", err)
	}
}

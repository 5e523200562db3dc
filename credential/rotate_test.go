package credential_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
)

// written is a scripted source that can be written.
type written struct {
	*credentialtest.Source
	err  error
	lost bool // the write is acknowledged and never seen
	id   string
}

func (w *written) Write(_ context.Context, value credential.Secret) (string, error) {
	if w.err == nil && !w.lost {
		w.Source.Set(string(value.Reveal()))
	}
	return w.id, w.err
}

func TestRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &written{Source: credentialtest.New(credential.Info{}, keyA)}
		f := start(t, credential.Config{Source: source}, credential.Info{})
		began := time.Now()
		r, err := f.Rotate(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		value := string(r.Value.Reveal())
		if len(value) != 40 {
			t.Errorf("the value has %d characters, want 40", len(value))
		}
		f.expect(t, "rotated", map[string]string{keyA: "accept previous", value: "accept current"})
		if d := f.Verify(value); d.VersionID != r.VersionID {
			t.Errorf("version = %s, want %s", r.VersionID, d.VersionID)
		}
		if left := r.Deadline.Sub(began); left < 10*time.Minute || left > 10*time.Minute+time.Second {
			t.Errorf("deadline in %v, want in the overlap, 10 min", left)
		}
		if _, err := f.Rotate(t.Context(), false); !errors.Is(err, credential.ErrInOverlap) {
			t.Errorf("a second rotation in the overlap = %v, want ErrInOverlap", err)
		}
		f.expect(t, "refused", map[string]string{keyA: "accept previous", value: "accept current"})
		forced, err := f.Rotate(t.Context(), true)
		if err != nil {
			t.Fatal(err)
		}
		f.expect(t, "forced", map[string]string{keyA: "accept previous", value: "accept previous", string(forced.Value.Reveal()): "accept current"})
		sleep(11 * time.Minute)
		if _, err := f.Rotate(t.Context(), false); err != nil {
			t.Errorf("a rotation after the overlap = %v, want none", err)
		}
	})
}

// A rotation that another node made and this one has not noticed counts.
func TestRotateSeesWhatOthersStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &written{Source: credentialtest.New(credential.Info{}, keyA)}
		f := start(t, credential.Config{Source: source}, credential.Info{})
		source.Set(keyB)
		if _, err := f.Rotate(t.Context(), false); !errors.Is(err, credential.ErrInOverlap) {
			t.Errorf("Rotate = %v, want ErrInOverlap", err)
		}
		f.expect(t, "after", map[string]string{keyA: "accept previous", keyB: "accept current"})
	})
}

func TestRotateFails(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(*written)
		want  string
		is    error
	}{
		{"down", func(w *written) { w.Fail(errDown) }, "credential masterKey: unavailable: down", credential.Unavailable},
		{"refuses", func(w *written) { w.err = credential.Errorf(credential.Denied, "not yours") }, "credential masterKey: denied: not yours", credential.Denied},
		{"lost", func(w *written) { w.lost = true }, "credential masterKey: unavailable: the new value was written, but not read back", credential.Unavailable},
		{"not writable", func(w *written) { w.err = credential.NotWritable("a link") }, "credential: its source cannot be written: a link", credential.ErrNotWritable},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source := &written{Source: credentialtest.New(credential.Info{}, keyA)}
				f := start(t, credential.Config{Source: source}, credential.Info{})
				test.spoil(source)
				_, err := f.Rotate(t.Context(), false)
				if err == nil || err.Error() != test.want || !errors.Is(err, test.is) {
					t.Errorf("Rotate = %v, want %s", err, test.want)
				}
				f.expect(t, "after", map[string]string{keyA: "accept current"})
			})
		})
	}
	for _, source := range []credential.Source{credential.Literal(keyA), credential.Func(func(context.Context) (string, error) { return keyA, nil })} {
		c, err := credential.New(credential.Config{Name: "key", Source: source})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Rotate(t.Context(), true); !errors.Is(err, credential.ErrNotWritable) {
			t.Errorf("Rotate of a %s = %v, want ErrNotWritable", c.Status().Source.Scheme, err)
		}
		c.Stop()
	}
}

// A rotation mends a source without a usable value, and the value is as long as the rules want it.
func TestRotateMends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &written{Source: credentialtest.New(credential.Info{}, keyA), id: "v7"}
		f := start(t, credential.Config{Source: source, Startup: credential.Degraded, MinLength: 60}, credential.Info{})
		r, err := f.Rotate(t.Context(), false)
		if err != nil || r.Value.Len() != 60 || r.VersionID != "v7" {
			t.Fatalf("Rotate = %d characters, version %s, %v; want 60, v7", r.Value.Len(), r.VersionID, err)
		}
		f.expect(t, "mended", map[string]string{string(r.Value.Reveal()): "accept current"})
	})
}

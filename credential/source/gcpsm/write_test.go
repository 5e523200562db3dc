package gcpsm_test

import (
	"errors"
	"testing"
	"time"

	"github.com/parley-backend/parley/credential"
)

func written(t *testing.T, s credential.Source, value, want string) {
	t.Helper()
	id, err := s.(credential.Writer).Write(t.Context(), credential.NewSecret(value))
	if id != want || err != nil {
		t.Fatalf("Write = %q %v, want %q", id, err, want)
	}
}

func TestWrite(t *testing.T) {
	f := startFake(t)
	f.add(keyA, time.Hour)
	source := f.source(t, "")
	written(t, source, keyB, "2")
	fetched(t, source, told{"2", 2, credential.Current, keyB}, told{"1", 1, credential.Previous, keyA})
}

// What was written is read back, although lists and "latest" do not show it yet.
func TestWriteIsReadBack(t *testing.T) {
	for _, noList := range []bool{false, true} {
		f := startFake(t)
		f.noList = noList
		f.add(keyA, time.Hour)
		source := f.source(t, "")
		fetched(t, source, told{"1", 1, credential.Current, keyA})
		f.with(func() { f.hidden[secretName] = 1 })
		written(t, source, keyB, "2")
		fetched(t, source, told{"2", 2, credential.Current, keyB}, told{"1", 1, credential.Previous, keyA})
		f.with(func() { f.hidden[secretName] = 0 })
		f.add(keyC, 0)
		fetched(t, source, told{"3", 3, credential.Current, keyC}, told{"2", 2, credential.Previous, keyB})
	}
}

func TestWriteField(t *testing.T) {
	f := startFake(t)
	f.add(`{"user": "parley", "masterKey": "`+keyA+`"}`, time.Hour)
	source := f.source(t, "#masterKey")
	written(t, source, keyB, "2")
	if got, want := string(f.secrets[secretName][1].value), `{"user": "parley", "masterKey": "`+keyB+`"}`; got != want {
		t.Errorf("the document is %s, want %s", got, want)
	}
	// Somebody else changes another field between our reading and our writing: nothing is lost.
	f.between = func() {
		f.secrets[secretName] = append(f.secrets[secretName], entry{[]byte(`{"user": "other", "masterKey": "` + keyB + `"}`), "ENABLED", time.Now()})
	}
	written(t, source, keyC, "5")
	if got, want := string(f.secrets[secretName][4].value), `{"user": "other", "masterKey": "`+keyC+`"}`; got != want {
		t.Errorf("the document is %s, want %s", got, want)
	}
}

func TestWriteRefuses(t *testing.T) {
	f := startFake(t)
	f.add(keyA, time.Hour)
	for rest, want := range map[string]error{
		"&version=1":   credential.ErrNotWritable,
		"&format=json": credential.ErrNotWritable,
		"#field":       credential.Invalid,
	} {
		_, err := f.source(t, rest).(credential.Writer).Write(t.Context(), credential.NewSecret(keyB))
		if !errors.Is(err, want) {
			t.Errorf("Write to %s = %v, want %v", rest, err, want)
		}
	}
	if got := len(f.secrets[secretName]); got != 1 {
		t.Errorf("%d versions, want 1", got)
	}
	f.with(func() { delete(f.secrets, secretName) })
	if _, err := f.source(t, "").(credential.Writer).Write(t.Context(), credential.NewSecret(keyB)); !errors.Is(err, credential.Missing) {
		t.Errorf("Write to a secret that is not there = %v, want Missing", err)
	}
}

// Rotate writes, reads back, and leaves the replaced value accepted.
func TestRotate(t *testing.T) {
	f := startFake(t)
	f.add(`{"masterKey":"`+keyA+`"}`, time.Hour)
	c, err := credential.New(credential.Config{Name: "masterKey", Source: f.source(t, "#masterKey")})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	r, err := c.Rotate(t.Context(), false)
	if err != nil || r.VersionID != "2" {
		t.Fatalf("Rotate = %q %v, want version 2", r.VersionID, err)
	}
	if d := c.Verify(string(r.Value.Reveal())); !d.OK() || d.State != credential.Current {
		t.Errorf("Verify(new) = %+v, want Accept as current", d)
	}
	if d := c.Verify(keyA); !d.OK() || d.State != credential.Previous {
		t.Errorf("Verify(old) = %+v, want Accept as previous", d)
	}
}

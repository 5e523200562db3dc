package azkv_test

import (
	"errors"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"

	"github.com/parley-backend/parley/credential"
)

func TestWrite(t *testing.T) {
	f := startFake()
	f.add(keyA, time.Hour)
	f.versions[0].contentType = to.Ptr("text/plain")
	source := f.source(t, "")
	got, err := source.(credential.Writer).Write(t.Context(), credential.NewSecret(keyB))
	if got != id(2) || err != nil {
		t.Fatalf("Write = %q %v, want %q", got, err, id(2))
	}
	fetched(t, source, told{id(2), credential.Current, keyB}, told{id(1), credential.Previous, keyA})
	if kind := f.versions[1].contentType; kind == nil || *kind != "text/plain" {
		t.Errorf("content type = %v, want that of the version before", kind)
	}
	// A disabled version is followed by one that works.
	f.versions[1].disabled = true
	if _, err := source.(credential.Writer).Write(t.Context(), credential.NewSecret(keyC)); err != nil {
		t.Fatal(err)
	}
	fetched(t, source, told{id(3), credential.Current, keyC}, told{id(2), credential.Disabled, ""})
}

func TestWriteField(t *testing.T) {
	f := startFake()
	f.add(`{"user": "parley", "masterKey": "`+keyA+`"}`, time.Hour)
	if _, err := f.source(t, "#masterKey").(credential.Writer).Write(t.Context(), credential.NewSecret(keyB)); err != nil {
		t.Fatal(err)
	}
	if got, want := f.versions[1].value, `{"user": "parley", "masterKey": "`+keyB+`"}`; got != want {
		t.Errorf("the document is %s, want %s", got, want)
	}
}

func TestWriteNew(t *testing.T) {
	f := startFake()
	if _, err := f.source(t, "").(credential.Writer).Write(t.Context(), credential.NewSecret(keyA)); err != nil {
		t.Fatal(err)
	}
	fetched(t, f.source(t, ""), told{id(1), credential.Current, keyA})
}

func TestWriteRefuses(t *testing.T) {
	f := startFake()
	f.add(keyA, time.Hour)
	write := func(rest string) error {
		_, err := f.source(t, rest).(credential.Writer).Write(t.Context(), credential.NewSecret(keyB))
		return err
	}
	for rest, want := range map[string]error{
		"?version=" + id(1): credential.ErrNotWritable,
		"?format=json":      credential.ErrNotWritable,
		"#field":            credential.Invalid,
	} {
		if err := write(rest); !errors.Is(err, want) {
			t.Errorf("Write to %s = %v, want %v", rest, err, want)
		}
	}
	f.versions[0].managed = true
	if err := write(""); !errors.Is(err, credential.ErrNotWritable) {
		t.Errorf("Write to the secret of a certificate = %v, want ErrNotWritable", err)
	}
	f.with(func() { f.deleted = true })
	err := write("")
	if want := "credential: gone: " + location + ": a deleted secret holds the name: recover it, or purge it"; err == nil || err.Error() != want {
		t.Errorf("Write over a deleted secret = %v, want %s", err, want)
	}
	if err := write("#field"); !errors.Is(err, credential.Missing) {
		t.Errorf("Write of a field of a deleted secret = %v, want Missing", err)
	}
}

// Rotate writes, reads back, and leaves the replaced value accepted.
func TestRotate(t *testing.T) {
	f := startFake()
	f.add(keyA, time.Hour)
	c, err := credential.New(credential.Config{Name: "masterKey", Source: f.source(t, "")})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	r, err := c.Rotate(t.Context(), false)
	if err != nil || r.VersionID != id(2) {
		t.Fatalf("Rotate = %q %v, want %q", r.VersionID, err, id(2))
	}
	if d := c.Verify(string(r.Value.Reveal())); !d.OK() || d.State != credential.Current {
		t.Errorf("Verify(new) = %+v, want Accept as current", d)
	}
	if d := c.Verify(keyA); !d.OK() || d.State != credential.Previous {
		t.Errorf("Verify(old) = %+v, want Accept as previous", d)
	}
}

package file_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/file"
)

func TestWrite(t *testing.T) {
	for _, mode := range []os.FileMode{0, 0o600, 0o640, 0o444} {
		dir := t.TempDir()
		path := filepath.Join(dir, "key")
		want := os.FileMode(0o600)
		if mode != 0 {
			want = mode
			write(t, path, keyA+"\n")
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
		}
		id, err := file.New(path, 0).(credential.Writer).Write(t.Context(), credential.NewSecret(keyB))
		if id != "" || err != nil {
			t.Fatalf("Write = %q %v, want none", id, err)
		}
		content, err := os.ReadFile(path)
		if err != nil || string(content) != keyB {
			t.Errorf("content = %q %v, want %q", content, err, keyB)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("mode = %v %v, want %v", info.Mode(), err, want)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Errorf("the folder holds %v (%v), want the file alone", entries, err)
		}
	}
}

// In a document the field changes, and nothing else.
func TestWriteField(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	open := func(reference string) credential.Writer {
		ref, err := credential.ParseReference(reference)
		if err != nil {
			t.Fatal(err)
		}
		source, err := file.Open(ref)
		if err != nil {
			t.Fatal(err)
		}
		return source.(credential.Writer)
	}
	for _, test := range []struct{ before, field, after, want string }{
		{"{ \"a\" : \"" + keyA + "\",\n\t\"b\":[1.0] }\n", "a", "{ \"a\" : \"" + keyB + "\",\n\t\"b\":[1.0] }\n", ""},
		{`{"a":{"b":["` + keyA + `",null]}}`, "/a/b/1", `{"a":{"b":["` + keyA + `","` + keyB + `"]}}`, ""},
		{`{"a":1}`, "a", `{"a":1}`, `credential: invalid: the field "a" is not a string`},
		{`{"a":"x"}`, "b", `{"a":"x"}`, `credential: missing: the document has no field "b"`},
		{`{"a":"x"`, "a", `{"a":"x"`, `credential: invalid: not JSON`},
	} {
		write(t, path, test.before)
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
		got := ""
		if _, err := open("file://"+path+"#"+test.field).Write(t.Context(), credential.NewSecret(keyB)); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("Write to #%s in %s = %q, want %q", test.field, test.before, got, test.want)
		}
		if content, err := os.ReadFile(path); err != nil || string(content) != test.after {
			t.Errorf("after Write to #%s the file holds %s %v, want %s", test.field, content, err, test.after)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 {
			t.Errorf("mode = %v %v, want -rw-r-----", info.Mode(), err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := open("file://"+path+"#a").Write(t.Context(), credential.NewSecret(keyB)); !errors.Is(err, credential.Missing) {
		t.Errorf("Write to a field of a file that is not there = %v, want Missing", err)
	}
}

func TestWriteRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	write(t, path, `{"a":"`+keyA+`"}`)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ reference, want string }{
		{"file://" + path + "?format=json", "credential: its source cannot be written: several values change together: replace them where they are kept"},
		{"file://" + link, "credential: its source cannot be written: the file is a link: replace what it points to"},
		{"file://" + dir, "credential: its source cannot be written: it is not a regular file"},
	} {
		ref, err := credential.ParseReference(test.reference)
		if err != nil {
			t.Fatal(err)
		}
		source, err := file.Open(ref)
		if err != nil {
			t.Fatal(err)
		}
		_, err = source.(credential.Writer).Write(t.Context(), credential.NewSecret(keyB))
		if !errors.Is(err, credential.ErrNotWritable) || err.Error() != test.want {
			t.Errorf("Write to %s = %v, want %s", test.reference, err, test.want)
		}
	}
	if _, err := file.New(filepath.Join(dir, "none", "key"), 0).(credential.Writer).Write(t.Context(), credential.NewSecret(keyB)); !errors.Is(err, credential.Missing) {
		t.Errorf("Write into a folder that is not there = %v, want Missing", err)
	}
}

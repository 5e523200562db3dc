package file_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/file"
)

// A file may hold many keys: it is read up to a larger limit, they are versions of one payload, and it is not written.
func TestManyKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	open := func(options string) credential.Source {
		ref, err := credential.ParseReference("file://" + path + options)
		if err != nil {
			t.Fatal(err)
		}
		source, err := file.Open(ref)
		if err != nil {
			t.Fatal(err)
		}
		return source
	}
	var lines, keys []string
	for i := range 20_000 {
		lines = append(lines, fmt.Sprintf("key-number-%08d", i))
		keys = append(keys, fmt.Sprintf(`{"id":"%d","value":"key-number-%08d"}`, i, i))
	}
	text := strings.Join(lines, "\n")
	keyset := `{"keys":[` + strings.Join(keys, ",") + `]}`
	for _, test := range []struct {
		options, content string
		form             credential.Form
	}{
		{"?format=lines", "# keys\n" + text + "\n", credential.List},
		{"?format=lines#keys", fmt.Sprintf(`{"keys":%q}`, text), credential.List},
		{"?format=keyset", keyset, credential.Keyset},
		{"?format=keyset#keys", `{"keys":` + keyset + `}`, credential.Keyset},
		{"?format=keyset#keys", fmt.Sprintf(`{"keys":%q}`, keyset), credential.Keyset},
	} {
		write(t, path, test.content)
		source := open(test.options)
		payload, err := source.Fetch(t.Context())
		if err != nil {
			t.Errorf("Fetch %s: %v", test.options, err)
			continue
		}
		if v := payload.Versions; payload.Form != test.form || len(v) != 20_000 || string(v[19_999].Value.Reveal()) != "key-number-00019999" {
			t.Errorf("Fetch %s = %d versions, form %d; want all of the file", test.options, len(payload.Versions), payload.Form)
		}
		const want = "credential: its source cannot be written: it holds several keys: add the new key where they are kept, and end the old one there"
		if _, err := source.(credential.Writer).Write(t.Context(), credential.NewSecret(keyB)); !errors.Is(err, credential.ErrNotWritable) || err.Error() != want {
			t.Errorf("Write %s = %v, want %s", test.options, err, want)
		}
		if content, err := os.ReadFile(path); err != nil || string(content) != test.content {
			t.Errorf("Write %s changed the file (%v)", test.options, err)
		}
	}
	write(t, path, strings.Repeat("#", 4<<20+1))
	if _, err := open("?format=lines").Fetch(t.Context()); !errors.Is(err, credential.Invalid) {
		t.Errorf("Fetch of more than 4 MiB = %v, want Invalid", err)
	}
}

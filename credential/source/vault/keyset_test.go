package vault_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/vault"
)

// A keyset is the secret itself, or one field of it as a value or as text; its keys have the number of the secret's version, and
// what they were before is theirs to say.
func TestKeyset(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		path := name(t)
		const keyset = `{"keys":[{"id":"a","value":"` + keyA + `"},{"id":"b","value":"` + keyB + `","state":"disabled"}]}`
		for number, test := range []struct{ data, options string }{
			{keyset, "&format=keyset"},
			{`{"set":` + keyset + `}`, "&format=keyset#set"},
			{fmt.Sprintf(`{"set":%q}`, keyset), "&format=keyset#set"},
		} {
			b.call(t, http.MethodPost, "secret/data/"+path, `{"data":`+test.data+`}`)
			source := b.open(t, vault.Opener(), "vault://secret/"+path+"?addr=ADDR&token_file=TOKEN"+test.options)
			want := []what{{"a", uint64(number + 1), credential.Current, keyA}, {"b", uint64(number + 1), credential.Disabled, keyB}}
			if diff := cmp.Diff(want, versions(t, source)); diff != "" {
				t.Errorf("versions of %s (-want +got):\n%s", test.data, diff)
			}
		}
		many := `{"data":{"list":"` + strings.Repeat(keyA+`\n`, 9000) + keyB + `"}}`
		b.call(t, http.MethodPost, "secret/data/"+path, many)
		source := b.open(t, vault.Opener(), "vault://secret/"+path+"?addr=ADDR&token_file=TOKEN&format=lines#list")
		payload, err := source.Fetch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if v := payload.Versions; payload.Form != credential.List || len(v) != 9001 || v[9000].Number != 4 || v[9000].Created.IsZero() {
			t.Errorf("Fetch = %d versions, form %d; want 9001 lines of version 4", len(payload.Versions), payload.Form)
		}
		b.call(t, http.MethodDelete, "secret/data/"+path, "")
		if _, err := source.Fetch(t.Context()); !errors.Is(err, credential.Gone) {
			t.Errorf("Fetch after a delete = %v, want Gone", err)
		}
	})
}

// Version 1 of the engine gives keys a number for each content.
func TestKeysetWithoutVersions(t *testing.T) {
	_, b := startFake(t)
	source := b.open(t, vault.Opener(), "vault://old/p?addr=ADDR&token_file=TOKEN&format=lines#keys")
	for _, step := range []struct {
		keys string
		want uint64
	}{{keyA, 1}, {keyA, 1}, {keyA + `\n` + keyB, 2}} {
		b.call(t, http.MethodPost, "old/p", `{"keys":"`+step.keys+`"}`)
		want := []what{{"", step.want, credential.Current, keyA}}
		if step.want == 2 {
			want = append(want, what{"", 2, credential.Current, keyB})
		}
		if diff := cmp.Diff(want, versions(t, source)); diff != "" {
			t.Errorf("versions of %s (-want +got):\n%s", step.keys, diff)
		}
	}
}

package credential_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
)

// warned is a source that knows of a circumstance.
type warned struct {
	credential.Source
	warning string
}

func (w warned) Lint() []string { return []string{w.warning} }

// What a source knows of its surroundings is told once, also from within a chain.
func TestLint(t *testing.T) {
	a, b := warned{credentialtest.New(credential.Info{}, keyA), "a never changes"}, warned{credentialtest.New(credential.Info{}, keyB), "b never changes"}
	for _, test := range []struct {
		source credential.Source
		want   []string
	}{
		{a, []string{"a never changes"}},
		{credential.Chain(a, credentialtest.New(credential.Info{}, keyB), b), []string{"a never changes", "b never changes"}},
		{a.Source, nil},
	} {
		seen := &credentialtest.Recorder{}
		if _, err := credential.New(credential.Config{Name: "masterKey", Source: test.source, Observer: seen}); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range seen.Events() {
			if e.Kind == credential.EventLint {
				got = append(got, e.Message)
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("warnings of %T (-want +got):\n%s", test.source, diff)
		}
	}
}

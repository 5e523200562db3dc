package hosttest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Every line of the list of features is one of rows, which has either a check or a reason.
func TestRowsAreTheFeatures(t *testing.T) {
	var want, got []string
	for line := range strings.Lines(features) {
		capability, _, _ := strings.Cut(line, "\t")
		want = append(want, capability)
	}
	names := map[string]bool{}
	for _, r := range rows {
		got = append(got, r.feature)
		if names[r.name] || (r.check == nil) != (r.why != "") {
			t.Errorf("%s is there twice, or has both or none of a check and a reason", r.name)
		}
		names[r.name] = true
	}
	if diff := cmp.Diff(want[1:], got); diff != "" {
		t.Errorf("rows: -want +got:\n%s", diff)
	}
}

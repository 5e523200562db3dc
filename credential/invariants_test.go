package credential_test

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// invariants are the promises I1 to I20, and the packages that hold tests of them, named TestI1… to TestI20….
var invariants = []struct {
	what string
	dirs []string
}{
	{"a key that was current within the last overlap and is not revoked is accepted by every node that ever had it", []string{"credential"}},
	{"a revoked key is refused within the bound, and after the revocation was acknowledged for good: over restarts, and with the source down", []string{"credential", "credential/disk", "credential/broadcast", "cmd/parley"}},
	{"any number of requests at expiry cause one fetch and none waits; on an empty cache they share one fetch and its result", []string{"credential"}},
	{"a verification allocates nothing, takes no lock and fetches nothing", []string{"credential"}},
	{"an outage shorter than stale_max is not felt; at ttl + stale_max everything is undecided, never accepted; after it all is well within the back-off and a fetch", []string{"credential"}},
	{"what fails validation is never installed; the live set is that of the last good reading", []string{"credential"}},
	{"readers see one set or the next, never a mixture; what belongs together changes together", []string{"credential"}},
	{"a reading replaces the one before: what is not in it and past its deadline is not accepted", []string{"credential"}},
	{"the rate of fetches is bounded whatever the traffic; at most 130 attempts in an hour of outage; a failing credential is not polled faster than a healthy one", []string{"credential", "credential/broadcast"}},
	{"a source that panics or hangs stops no other credential; a hanging fetch is left behind, once, and told of", []string{"credential"}},
	{"steps of the wall clock by a day and a suspended machine neither prolong what has ended nor reject what is current", []string{"credential"}},
	{"the time of a verification depends neither on where a wrong key differs nor on which version matches", []string{"credential"}},
	{"no log, error, event, status or encoding shows a secret", []string{"credential", "credential/broadcast"}},
	{"the heap of a running server holds no plain key that is only verified", []string{"credential", "cmd/parley"}},
	{"an empty or white key is refused in every role, whatever the source yields; two roles never share a value", []string{"credential"}},
	{"a fallback is used only while the store has never answered in this process, and is warned of once", []string{"credential"}},
	{"a rolling restart of all nodes within an overlap loses no request", []string{"cmd/parley"}},
	{"a reload keeps what did not change, ends what did by the overlap, and changes nothing when it is wrong", []string{"credential", "cmd/parley"}},
	{"each decision is one audit record, and each change of state one event, with its credential, version and generation; the counters say the same", []string{"credential", "."}},
	{"many refusals of one generation are one fetch and one retry each; a service that is broken is not retried in a loop", []string{"credential", "credential/presenter/postgres"}},
}

func TestEveryInvariantHasATest(t *testing.T) {
	if len(invariants) != 20 {
		t.Errorf("%d invariants, want 20", len(invariants))
	}
	found := make(map[string][]string) // invariant -> directories
	for dir, names := range testFunctions(t) {
		for _, name := range names {
			if m := invariantName.FindStringSubmatch(name); m != nil {
				found["I"+m[1]] = append(found["I"+m[1]], dir)
			}
		}
	}
	for i, inv := range invariants {
		id := fmt.Sprint("I", i+1)
		for _, dir := range inv.dirs {
			if !slices.Contains(found[id], dir) {
				t.Errorf("%s: no function Test%s… in %s", id, id, dir)
			}
		}
		delete(found, id)
	}
	for id, dirs := range found {
		t.Errorf("Test%s… in %v: there is no such invariant", id, dirs)
	}
}

// testNames returns the names of the test functions of a file.
func testNames(file *ast.File) []string {
	var names []string
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
			names = append(names, f.Name.Name)
		}
	}
	return names
}

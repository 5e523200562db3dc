package credential_test

import (
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/fault-matrix.md anew")

const faultDocument = "../docs/fault-matrix.md"

// elsewhere are the faults that need a real part, or belong to one source; their tests stand beside what they test.
var elsewhere = []struct {
	fault, seen, dir string
	tests            []string
}{
	{"invalid JSON, a name twice, a wrong type, no such field", "refused as a whole, or missing; the set before stays", "credential", []string{"TestDecode", "TestDecodeRefuses", "TestDecodeGroup"}},
	{"the store never answered, a fallback stands beside it", "the fallback supplies the value, told once; after the store has answered it never does again", "credential", []string{"TestI16FallbackOnlyUntilTheStoreDelivers", "TestChainFallsBackOn"}},
	{"a hundred credentials on one store that is down", "at most 130 attempts in an hour, of all of them together", "credential", []string{"TestBreakerIsSharedByAnInstance", "TestBreakerSurvivesHangingFetches", "TestRetryAfterHoldsForTheInstance"}},
	{"a version's deadline, its source's clock ahead or behind", "deadline = stored + overlap, no later than now + overlap + 60 s", "credential", []string{"TestDeadlineComesFromTheSource"}},
	{"a good answer after its time-out", "dropped", "credential", []string{"TestLateResultNeverReinstatesAnOlderKey"}},
	{"a watcher that fails, panics, returns or hangs", "watched again, rarely; the time to live is relied on", "credential", []string{"TestBrokenWatchers"}},
	{"a start while the store is down", "by the last good reading while it is young enough; then by the policy", "credential", []string{"TestColdStart", "TestColdStartByTheLastGoodReading", "TestLastGoodIsNotUsed"}},
	{"truncate and write, rewrite in place, rename, remove and create, symlinks as of a Kubernetes volume, directory replaced", "noticed each time; never a torn value", "credential/source/file", []string{"TestSource", "TestNeverTorn", "TestEverChanging"}},
	{"another file of the same volume changes; a volume mounted by subPath; no file descriptor is left", "one event for each change and none for others; the first generation for ever, and no failure; unavailable until there is one", "credential/source/file", []string{"TestOneEventForEachChange", "TestSubPathNeverChanges", "TestOutOfDescriptors"}},
	{"a file that is absent, unreadable, huge, a pipe, a directory", "missing, denied or invalid; the set before stays", "credential/source/file", []string{"TestFailures", "TestDenied", "TestLifeOfAKey"}},
	{"a program that exits with an error, prints without end, hangs, leaves children that hold its output", "unavailable or invalid; its process group is killed at the time-out", "credential/source/exec", []string{"TestEnds", "TestKilledWithItsGroup", "TestForksThatKeepTheOutputOpen"}},
	{"HTTP: statuses, Retry-After, redirects, a TLS error, an endless body, a gzip bomb, a slow body, nobody there", "the class of the status; redirects to another host are refused and carry no authorization; bodies are cut off", "credential/source/https", []string{"TestStatus", "TestRetryAfterADate", "TestRedirect", "TestBadAnswers", "TestSlowBody", "TestTLS", "TestNobodyThere"}},
	{"Vault: sealed, a token or a secret id that ended, deleted, destroyed, undeleted, made anew", "unavailable; one log-in anew for all who read; gone and revoked", "credential/source/vault", []string{"TestSealed", "TestAppRole", "TestOneLoginForAll", "TestTokenIsReplaced", "TestDeletedAndDestroyed", "TestMadeAnew"}},
	{"NATS KV: a key deleted or purged, a bucket emptied, lost or made anew, a server that restarts, a watch that is lost", "a purged key is refused; an empty bucket revokes nothing by itself; after a gap everything is read anew", "credential/source/natskv", []string{"TestDeletedAndPurged", "TestEmptied", "TestMadeAnew", "TestRestart", "TestWatchAfterRestart", "TestWatchLost", "TestFailures"}},
	{"AWS, Google Cloud, Azure: throttled, refused, disabled, deleted and restored, labels moved back", "the class of the answer; labels are followed, also back", "credential/source/awssm", []string{"TestSecretFailures", "TestParameterFailures", "TestSecretDeletedAndRestored", "TestSecretLabelsGoBack"}},
	{"three nodes: one cut off from the bus, another from the store, one from both", "refused on the others at once; on each by its bound; all agree when it is healed, without a restart", "credential", []string{"TestI2RevokedOnOneRefusedOnAll", "TestI2PartitionHeals", "TestI2BoundsOfAPartition", "TestI2RestartKeepsTheRevocation"}},
	{"nodes that only poll", "both keys work on all of them; the old one ends on all at one moment; a key that is no more by ttl and a fetch", "credential", []string{"TestI1AllNodesAgreeOnTheDeadline", "TestI2BoundsWithoutABus"}},
	{"a node that the bus does not reach, and that comes back; a restart with the source down; a message that was recorded and is sent again", "revoked on all nodes after it was healed, without a restart; a node cut off goes by its time to live", "credential/broadcast", []string{"TestI2RevokedOnAll", "TestI2CutOffAndBack", "TestMissedChange", "TestI2RestartsWithTheSourceDown", "TestI2UnsavedIsNotConfirmed", "TestReplay"}},
	{"a PostgreSQL server: the password changes under load, the role is dropped while connections are open, the lease ends", "one reading for all refused connections, one retry each; old connections are drained", "credential/presenter/postgres", []string{"TestI20PasswordRotatesUnderLoad", "TestI20RefusedConnectionsShareOneReading", "TestI20NothingToRetryWith", "TestRoleDroppedWhileConnectionsAreOpen", "TestLeaseEnds", "TestDrainEnds"}},
	{"a folder of revocations or last good readings that is damaged, rolled back, full, or not ours", "a damaged or older last good reading is not used; revocations that cannot be read end the start", "credential/disk", []string{"TestOpenRefuses", "TestSpoiltLater", "TestLastGood", "TestLastGoodThatCannotBeSaved", "TestSaveGivesUp"}},
	{"the process is killed after a revocation was acknowledged", "the key is refused after the start, also with the source down", "cmd/parley", []string{"TestI2RevokeThenKill"}},
}

// TestFaultDocument checks that the document is what the tables say, and that the tests that it names exist.
func TestFaultDocument(t *testing.T) {
	tests := testFunctions(t)
	for _, row := range elsewhere {
		for _, name := range row.tests {
			if !slices.Contains(tests[row.dir], name) {
				t.Errorf("%s: no %s in %s", row.fault, name, row.dir)
			}
		}
	}
	want := faultPage()
	if *update {
		if err := os.WriteFile(faultDocument, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(faultDocument)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("run make faults; docs/fault-matrix.md (-want +got):\n%s", diff)
	}
}

// testFunctions returns the names of all test functions of the module, by directory.
func testFunctions(t *testing.T) map[string][]string {
	t.Helper()
	found := make(map[string][]string)
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == "bin" || entry.Name() == ".git"):
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel("..", filepath.Dir(path))
		found[filepath.ToSlash(dir)] = append(found[filepath.ToSlash(dir)], testNames(parsed)...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func faultPage() string {
	var b strings.Builder
	b.WriteString(`# What happens when something fails: the fault matrix

This page is printed by ` + "`make faults`" + ` from the tables of the tests, and the tests check that it is true. What it
means for an operator is in [credentials.md](credentials.md).

## Faults of a source or a clock

Each fault is injected into a credential on a scripted source and a fake clock, and lasts for half an hour. *cold*: it is there
when the server starts (startup policy ` + "`degraded`" + `). *fresh*: the latest reading is good and young. *stale*: the
source has been down for ten minutes. *overlap*: the key has just been rotated. The time to live is 5 min, ` + "`stale_max`" + ` 1 h, the
overlap 2 h, a fetch ends after 5 s.

Each second the current key is presented. *Lost* says how many of these requests were not accepted. Whoever presents a key that is in
memory never waits; where nothing is in memory a request waits for one fetch that it shares with all others. *Attempts* is
how often the source was asked in the half hour. The last column is what a presenter hands out: the ` + "`first`" + ` value, the
` + "`second`" + ` that replaced it in the overlap, a ` + "`third`" + ` that came with the fault, or the class of its error. 66 s
after the end of the fault the current key is accepted and fresh again, in every case.
`)
	for i := range faults {
		if f := &faults[i]; !slices.ContainsFunc(faults[:i], f.alike) {
			b.WriteString("\n" + f.block())
		}
	}
	b.WriteString("\n## Faults that are tested elsewhere\n\nThese need files, processes, servers or a second node.\n\n| fault | what happens | package | tests |\n|---|---|---|---|\n")
	for _, row := range elsewhere {
		fmt.Fprintf(&b, "| %s | %s | `%s` | %s |\n", row.fault, row.seen, row.dir, strings.Join(row.tests, ", "))
	}
	b.WriteString("\n## Numbers\n\nOn the fake clock, so exactly so on every run.\n\n| what | bound | test |\n|---|---|---|\n")
	for _, n := range numbers {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", n.what, n.bound, n.test)
	}
	b.WriteString("\n## Invariants\n\nEach has tests whose names begin with `TestI` and its number, in the packages named.\n\n| | invariant | packages |\n|---|---|---|\n")
	for i, inv := range invariants {
		fmt.Fprintf(&b, "| I%d | %s | `%s` |\n", i+1, inv.what, strings.Join(inv.dirs, "`, `"))
	}
	return b.String()
}

// alike reports whether the same is seen of another fault; those share a block.
func (f *fault) alike(other fault) bool {
	return maps.Equal(f.want, other.want)
}

// block prints a fault with those that are alike; states in which the same is seen share a line.
func (f *fault) block() string {
	var b strings.Builder
	for _, other := range faults {
		if f.alike(other) {
			fmt.Fprintf(&b, "- **%s**: %s\n", other.name, other.how)
		}
	}
	b.WriteString("\n| state | current key | previous key | unknown key | condition | lost | attempts | events | presented |\n|---|---|---|---|---|---|---|---|---|\n")
	for i, state := range states {
		seen, has := f.want[state]
		if !has || slices.ContainsFunc(states[:i], func(s string) bool { return f.want[s] == seen && f.has(s) }) {
			continue
		}
		in := []string{state}
		for _, other := range states[i+1:] {
			if f.has(other) && f.want[other] == seen {
				in = append(in, other)
			}
		}
		attempts := fmt.Sprintf("%d to %d", seen.attempts[0], seen.attempts[1])
		if seen.attempts[0] == seen.attempts[1] {
			attempts = fmt.Sprint(seen.attempts[0])
		}
		cells := []string{strings.Join(in, ", "), seen.current, orDash(seen.previous), seen.unknown, seen.condition, seen.lost, attempts,
			orDash(strings.ReplaceAll(seen.events, " ", ", ")), seen.acquire}
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	return b.String()
}

func (f *fault) has(state string) bool {
	_, has := f.want[state]
	return has
}

func orDash(text string) string {
	if text == "" {
		return "–"
	}
	return text
}

// invariantName matches the tests of an invariant.
var invariantName = regexp.MustCompile(`^TestI([1-9][0-9]?)[A-Z]`)

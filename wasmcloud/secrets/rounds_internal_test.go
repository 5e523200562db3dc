package secrets

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-backend/parley/credential"
)

// TestRounds: which version each of several requests gets while the login rotates. A step is a field, and before it what happened: +N
// that N seconds passed, ! that another version is current, x that the oldest version ended.
func TestRounds(t *testing.T) {
	for _, test := range []struct{ steps, want string }{
		{"jwt !seed", "1 1"},
		{"seed !jwt", "1 1"},
		{"jwt !seed +3jwt seed", "1 1 2 2"},
		{"jwt +10!seed", "1 1"},                            // half is out
		{"jwt +16!seed", "1 2"},                            // and for too long
		{"jwt jwt !seed seed", "1 1 1 1"},                  // two links
		{"jwt jwt !seed +3seed +3jwt seed", "1 1 1 1 2 2"}, // slowly
		{"jwt seed !jwt seed", "1 1 1 1"},                  // at once: perhaps the other half of another link
		{"jwt seed +1!jwt +1seed +2jwt seed", "1 1 1 1 2 2"},
		{"jwt !xseed", "1 2"},          // no use in keeping to it
		{"host !host +3host", "1 1 2"}, // a field without a partner
		{"user !password", "1 1"},
		{"jwt +14!jwt +14jwt +14jwt +14jwt +14jwt +14jwt +14jwt +14jwt seed", "1 1 1 1 1 1 1 1 1 1"},
		{"jwt +14!jwt +14jwt +14jwt +14jwt +14jwt +14jwt +14jwt +14jwt +14jwt seed", "1 1 1 1 1 1 1 1 1 2 2"},
	} {
		var r rounds
		now := time.Unix(1_000_000, 0)
		version := func(n int) standing {
			fields := map[string]credential.Secret{}
			for _, name := range []string{"jwt", "seed", "user", "password", "host"} {
				fields[name] = credential.NewSecret(fmt.Sprint(name, n))
			}
			return standing{Lease: credential.Lease[credential.Material]{Value: credential.Material{Fields: fields}, VersionID: fmt.Sprint(n)}, Fingerprint: fmt.Sprint("fp-", n)}
		}
		all := []standing{version(1)}
		var got []string
		for _, step := range strings.Fields(test.steps) {
			if rest, passed := strings.CutPrefix(step, "+"); passed {
				digits := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
				var seconds int
				fmt.Sscan(rest[:digits], &seconds)
				now, step = now.Add(time.Duration(seconds)*time.Second), rest[digits:]
			}
			if rest, rotated := strings.CutPrefix(step, "!"); rotated {
				all, step = slices.Insert(all, 0, version(len(all)+1)), rest
			}
			if rest, ended := strings.CutPrefix(step, "x"); ended {
				all, step = all[:len(all)-1], rest
			}
			v := r.choose(roundKey{key: "login"}, step, now, all[0], all, func(standing) bool { return false })
			got = append(got, v.VersionID)
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("versions for %q = %s, want %s", test.steps, strings.Join(got, " "), test.want)
		}
	}
}

// TestRoundsAreApart: another host, entity, application or key is another round; a revoked version is in none.
func TestRoundsAreApart(t *testing.T) {
	var r rounds
	now := time.Unix(1_000_000, 0)
	one := standing{Lease: credential.Lease[credential.Material]{VersionID: "1"}, Fingerprint: "fp-1"}
	two := standing{Lease: credential.Lease[credential.Material]{VersionID: "2"}, Fingerprint: "fp-2"}
	none := func(standing) bool { return false }
	mine := roundKey{asker{entity: "V", host: "N"}, "login"}
	r.choose(mine, "jwt", now, one, []standing{one}, none)
	for _, k := range []roundKey{{asker{entity: "M", host: "N"}, "login"}, {asker{entity: "V", host: "O"}, "login"}, {asker{entity: "V", host: "N", application: "a"}, "login"}, {mine.asker, "other"}} {
		if v := r.choose(k, "seed", now, two, []standing{two, one}, none); v.VersionID != "2" {
			t.Errorf("%+v gets version %s of another's round", k, v.VersionID)
		}
	}
	if v := r.choose(mine, "seed", now, two, []standing{two, one}, func(v standing) bool { return v.VersionID == "1" }); v.VersionID != "2" {
		t.Errorf("a round goes on with version %s, which is revoked", v.VersionID)
	}
}

// TestRoundsAreForgotten: what is over does not fill the memory.
func TestRoundsAreForgotten(t *testing.T) {
	var r rounds
	now := time.Unix(1_000_000, 0)
	v := standing{Fingerprint: "fp"}
	for i := range 100_000 {
		now = now.Add(100 * time.Millisecond)
		r.choose(roundKey{key: fmt.Sprint(i)}, "host", now, v, []standing{v}, func(standing) bool { return false })
	}
	if n := len(r.all); n > 1024 {
		t.Errorf("%d rounds are remembered after 100,000 that lasted 2 s each, 10 a second", n)
	}
}

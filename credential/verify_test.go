package credential_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
)

// I15: nothing equals an empty or white presented key, for every kind of credential,
// also when the source yields such a value.
func TestI15EmptyEqualsNothing(t *testing.T) {
	blanks := []string{"", " ", "\t", "\n", "\r\n", "   \t ", "\x00", strings.Repeat(" ", 1000)}
	for _, value := range append([]string{keyA}, blanks...) {
		synctest.Test(t, func(t *testing.T) {
			source := credentialtest.New(credential.Info{}, value)
			f := start(t, credential.Config{Source: source, Startup: credential.Degraded, Trim: credential.TrimNone}, credential.Info{})
			before := source.Fetches()
			for _, presented := range blanks {
				if got := said(f.Verify(presented)); got != "reject absent" {
					t.Errorf("stored %q: Verify(%q) = %s, want reject absent", value, presented, got)
				}
				if got := said(f.VerifyContext(t.Context(), presented)); got != "reject absent" {
					t.Errorf("stored %q: VerifyContext(%q) = %s, want reject absent", value, presented, got)
				}
			}
			if source.Fetches() != before {
				t.Error("a caller without a key caused a fetch")
			}
		})
	}
	var none *credential.Credential
	for _, presented := range append(blanks, keyA) {
		if got := said(none.VerifyContext(t.Context(), presented)); got != "reject unassigned" {
			t.Errorf("no credential: VerifyContext(%q) = %s, want reject unassigned", presented, got)
		}
	}
}

// A caller without a key never waits, whatever state the source is in.
func TestNoKeyNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{Startup: credential.Lazy}, credential.Info{})
		release := f.source.Hang()
		defer release()
		began := time.Now()
		if got := said(f.VerifyContext(t.Context(), "")); got != "reject absent" || f.source.Fetches() != 0 {
			t.Errorf("VerifyContext(\"\") = %s with %d fetches, want reject absent, 0", got, f.source.Fetches())
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("it waited %v", waited)
		}
	})
}

func TestDecision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{TTL: time.Minute, Startup: credential.Lazy}, credential.Info{})
		f.source.SetVersions(credential.Version{ID: "v1", Value: credential.NewSecret(keyA)})
		f.refresh(t)
		f.source.SetVersions(credential.Version{ID: "v2", Value: credential.NewSecret(keyB)})
		f.refresh(t)
		f.source.Fail(errDown)
		sleep(90 * time.Second)
		got := f.Verify(keyA)
		want := credential.Decision{Verdict: credential.Accept, Reason: credential.ReasonMatch, Credential: "masterKey", VersionID: "v1",
			State: credential.Previous, Generation: 2, Age: 90 * time.Second, Stale: true}
		if got != want {
			t.Errorf("Verify = %+v, want %+v", got, want)
		}
		sleep(2 * time.Hour)
		got = f.Verify(keyB)
		if got.Verdict != credential.Undecided || got.RetryAfter < time.Second || got.RetryAfter > time.Minute {
			t.Errorf("Verify when expired = %+v, want Undecided with RetryAfter of 1 s to 60 s", got)
		}
	})
}

// The length and the bytes all count: neither a prefix nor more than the value matches.
func TestVerifyLengths(t *testing.T) {
	for _, n := range []int{1, 15, 38, 39, 40, 63, 64, 239, 240, 241, 255, 256, 257, 4096, 64 << 10} {
		value := strings.Repeat("k", n)
		c, err := credential.New(credential.Config{Name: "masterKey", Source: credential.Literal(value)})
		if err != nil {
			t.Errorf("New with %d bytes failed: %v", n, err)
			continue
		}
		for presented, want := range map[string]bool{value: true, value[1:]: false, value + "k": false, "K" + value[1:]: false, value[1:] + "K": false} {
			if c.Verify(presented).OK() != want {
				t.Errorf("%d bytes stored: Verify of %d bytes = %v, want %v", n, len(presented), !want, want)
			}
		}
	}
	if _, err := credential.New(credential.Config{Name: "masterKey", Source: credential.Literal(strings.Repeat("k", 64<<10+1))}); err == nil {
		t.Error("New took a value of more than 64 KiB")
	}
}

// A previous version in use is told of once a minute, and an ended one too.
func TestPreviousUseIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{Overlap: 10 * time.Minute}, credential.Info{})
		f.rotate(t, keyB)
		for range 300 {
			f.Verify(keyA)
			sleep(time.Second)
		}
		if got := f.seen.Count(credential.EventPreviousUsed); got != 5 {
			t.Errorf("%d events in five minutes, want 5", got)
		}
		sleep(5 * time.Minute)
		f.Verify(keyA)
		synctest.Wait()
		if got := f.seen.Count(credential.EventDeadUsed); got != 1 {
			t.Errorf("%d events of use after the deadline, want 1", got)
		}
		status := f.Status()
		if c := status.Counters; c.AcceptedPrevious != 300 || c.Decisions[credential.ReasonRetired] != 1 {
			t.Errorf("counted %d accepted as previous and %d retired, want 300 and 1", c.AcceptedPrevious, c.Decisions[credential.ReasonRetired])
		}
	})
}

// three returns a credential with three live versions, on the real clock.
func three(tb testing.TB) (*credential.Credential, *credentialtest.Source) {
	tb.Helper()
	source := credentialtest.New(credential.Info{}, benchKeys[2])
	c, err := credential.New(credential.Config{Name: "masterKey", Source: source})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Stop)
	if err := c.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	for _, key := range []string{benchKeys[1], benchKeys[0]} {
		source.Set(key)
		if err := c.Refresh(tb.Context()); err != nil {
			tb.Fatal(err)
		}
	}
	return c, source
}

// 58 characters, as a generated key has.
var benchKeys = []string{strings.Repeat("current-", 7) + "58", strings.Repeat("previous", 7) + "58", strings.Repeat("oldest--", 7) + "58"}

// I4: a verification allocates nothing and fetches nothing.
func TestI4NoAllocationNoFetch(t *testing.T) {
	c, source := three(t)
	fetches := source.Fetches()
	for name, presented := range map[string]string{"current": benchKeys[0], "oldest": benchKeys[2], "unknown": keyD, "absent": ""} {
		c.Verify(presented) // the first use of a previous version is told of
		if got := testing.AllocsPerRun(1000, func() { c.Verify(presented) }); got != 0 {
			t.Errorf("Verify(%s): %v allocations, want 0", name, got)
		}
	}
	if got := testing.AllocsPerRun(1000, func() { c.VerifyContext(t.Context(), benchKeys[0]) }); got != 0 {
		t.Errorf("VerifyContext: %v allocations, want 0", got)
	}
	if got := source.Fetches(); got != fetches {
		t.Errorf("%d fetches, want %d", got, fetches)
	}
}

// Many keys in one credential are all accepted, through the map.
func TestManyKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, credential.Config{Kind: credential.API, Startup: credential.Lazy}, credential.Info{})
		var versions []credential.Version
		for i := range 1000 {
			versions = append(versions, credential.Version{ID: fmt.Sprint(i), Value: credential.NewSecret(fmt.Sprintf("api-key-number-%08d", i))})
		}
		f.source.SetVersions(versions...)
		f.refresh(t)
		for i := range 1000 {
			if d := f.Verify(fmt.Sprintf("api-key-number-%08d", i)); !d.OK() || d.VersionID != fmt.Sprint(i) {
				t.Errorf("Verify of key %d = %+v, want Accept", i, d)
			}
		}
		if got := said(f.Verify("api-key-number-00001000")); got != "reject unknown" {
			t.Errorf("Verify of another key = %s, want reject unknown", got)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	c, _ := three(b)
	for _, bench := range []struct{ name, presented string }{{"current", benchKeys[0]}, {"oldest", benchKeys[2]}, {"unknown", keyD}, {"absent", ""}} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Verify(bench.presented)
			}
		})
	}
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				c.Verify(benchKeys[0])
			}
		})
	})
}

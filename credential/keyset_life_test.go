package credential_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
)

// textSource is a source that decodes a text, as those do whose store holds bytes.
type textSource struct {
	decoder credential.Decoder
	info    credential.Info

	mu      sync.Mutex
	text    string
	created time.Time
	err     error
}

func newText(t testing.TB, format, text string) *textSource {
	return &textSource{decoder: decoder(t, "", format), info: credential.Info{Scheme: "file", Location: "/keys"}, text: text}
}

func (d *textSource) Info() credential.Info { return d.info }

func (d *textSource) Fetch(context.Context) (credential.Payload, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return credential.Payload{}, d.err
	}
	return d.decoder.Payload([]byte(d.text), credential.Version{Created: d.created})
}

// put stores another text, and has f read it.
func (d *textSource) put(t *testing.T, f *fixture, text string) {
	t.Helper()
	if err := d.try(t, f, text); err != nil {
		t.Errorf("Refresh failed: %v", err)
	}
}

func (d *textSource) try(t *testing.T, f *fixture, text string) error {
	t.Helper()
	d.mu.Lock()
	d.text = text
	d.mu.Unlock()
	err := f.Refresh(t.Context())
	synctest.Wait()
	return err
}

// keysetOf returns a keyset of entries.
func keysetOf(entries ...string) string { return `{"keys":[` + strings.Join(entries, ",") + `]}` }

func plainKey(id, value, more string) string {
	return fmt.Sprintf(`{"id":%q,"value":%q%s}`, id, value, more)
}

func hashedKey(id, value, more string) string {
	return fmt.Sprintf(`{"id":%q,"sha256":%q%s}`, id, sha(value), more)
}

// in returns a member of a key whose value is a time from now.
func in(d time.Duration, member string) string {
	return fmt.Sprintf(`,%q:%q`, member, time.Now().Add(d).UTC().Format(time.RFC3339))
}

// Every state that a keyset states, and what time does to it.
func TestKeysetStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newText(t, "keyset", keysetOf(plainKey("a", keyA, ""), hashedKey("b", keyB, `,"state":"previous"`+in(time.Hour, "until")),
			hashedKey("c", keyC, in(30*time.Minute, "notBefore")+in(2*time.Hour, "notAfter")), hashedKey("d", keyD, `,"state":"disabled"`)))
		f := start(t, credential.Config{Source: d, Kind: credential.API}, credential.Info{})
		f.expect(t, "at first", map[string]string{keyA: "accept current", keyB: "accept previous", keyC: "reject pending", keyD: "reject disabled"})
		if got := f.Verify(keyB); got.VersionID != "b" {
			t.Errorf("Verify of the second key = %+v, want its id", got)
		}
		sleep(29 * time.Minute)
		f.expect(t, "before notBefore with skew has passed", map[string]string{keyC: "accept current"}) // 60 s of skew
		sleep(31*time.Minute - time.Second)
		f.expect(t, "just before until", map[string]string{keyB: "accept previous"})
		sleep(time.Second)
		f.expect(t, "at until", map[string]string{keyA: "accept current", keyB: "reject retired", keyC: "accept current"})
		sleep(61 * time.Minute)
		f.expect(t, "after notAfter", map[string]string{keyC: "reject retired"})
		for kind, want := range map[credential.EventKind]int{credential.EventPending: 1, credential.EventPromoted: 1, credential.EventRetired: 2, credential.EventOverflow: 0, credential.EventRotated: 0} {
			if got := f.seen.Count(kind); got != want {
				t.Errorf("%d events %v, want %d", got, kind, want)
			}
		}
		// It is reversible to disable a key, and nothing else is.
		d.put(t, f, keysetOf(plainKey("a", keyA, ""), plainKey("d", keyD, "")))
		f.expect(t, "enabled", map[string]string{keyD: "accept current"})
		d.put(t, f, keysetOf(plainKey("a", keyA, `,"state":"revoked"`), `{"id":"d","state":"disabled"}`, hashedKey("b", keyB, "")))
		f.expect(t, "revoked", map[string]string{keyA: "reject revoked", keyB: "accept current", keyD: "reject disabled"})
	})
}

// What is revoked stays refused, also when the keyset has it as a key again, under another id, or not at all.
func TestKeysetRevokesForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newText(t, "keyset", keysetOf(plainKey("a", keyA, ""), plainKey("b", keyB, "")))
		f := start(t, credential.Config{Source: d}, credential.Info{})
		d.put(t, f, keysetOf(`{"id":"a","state":"revoked"}`, plainKey("b", keyB, "")))
		for _, text := range []string{keysetOf(plainKey("a", keyA, ""), plainKey("b", keyB, "")), keysetOf(hashedKey("c", keyA, ""), plainKey("b", keyB, "")), keysetOf(plainKey("b", keyB, ""))} {
			f.expect(t, "revoked", map[string]string{keyA: "reject revoked", keyB: "accept current"})
			d.put(t, f, text)
		}
		f.expect(t, "revoked", map[string]string{keyA: "reject revoked", keyB: "accept current"})
		// A refusal wins over the same value elsewhere in the document: forgetting the other place must not make it harmless.
		d.put(t, f, keysetOf(plainKey("b", keyB, ""), plainKey("d", keyD, "")))
		d.put(t, f, keysetOf(plainKey("b", keyB, ""), plainKey("d", keyD, ""), hashedKey("stolen", keyD, `,"state":"revoked"`)))
		f.expect(t, "revoked by its digest", map[string]string{keyB: "accept current", keyD: "reject revoked"})
	})
}

// A keyset says itself what is accepted: a key that is not in it any more has ended, and is back as soon as it is in it
// again. The keys rotate independently, and there may be any number of previous ones.
func TestKeysetSaysEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newText(t, "keyset", keysetOf(hashedKey("a", keyA, ""), hashedKey("b", keyB, ""), hashedKey("c", keyC, "")))
		f := start(t, credential.Config{Source: d, Kind: credential.API}, credential.Info{})
		if got := f.seen.Count(credential.EventInstalled); got != 3 {
			t.Errorf("%d events of a first key, want 3", got)
		}
		d.put(t, f, keysetOf(hashedKey("a", keyA, ""), hashedKey("c", keyC, "")))
		f.expect(t, "removed", map[string]string{keyA: "accept current", keyB: "reject retired", keyC: "accept current"})
		if got := f.seen.Count(credential.EventRetired); got != 1 {
			t.Errorf("%d retired events, want 1", got)
		}
		d.put(t, f, keysetOf(hashedKey("a", keyA, ""), hashedKey("b", keyB, ""), hashedKey("c", keyC, "")))
		f.expect(t, "put back", map[string]string{keyA: "accept current", keyB: "accept current", keyC: "accept current"})
		until := `,"state":"previous"` + in(time.Hour, "until")
		d.put(t, f, keysetOf(hashedKey("a", keyA, until), hashedKey("b", keyB, until), hashedKey("c", keyC, until), plainKey("d", keyD, "")))
		f.expect(t, "three rotated at once", map[string]string{keyA: "accept previous", keyB: "accept previous", keyC: "accept previous", keyD: "accept current"})
		if got := f.seen.Count(credential.EventPrevious); got != 3 {
			t.Errorf("%d events of a key that became previous, want 3", got)
		}
		d.put(t, f, keysetOf(hashedKey("a", keyA, ""), hashedKey("b", keyB, until), plainKey("d", keyD, "")))
		f.expect(t, "one is back, one is gone", map[string]string{keyA: "accept current", keyB: "accept previous", keyC: "reject retired", keyD: "accept current"})
		sleep(time.Hour)
		f.expect(t, "an hour later", map[string]string{keyA: "accept current", keyB: "reject retired"})
		// Only another deadline prolongs what has ended.
		d.put(t, f, keysetOf(hashedKey("a", keyA, ""), hashedKey("b", keyB, until)))
		f.expect(t, "the same deadline again", map[string]string{keyB: "reject retired"})
		d.put(t, f, keysetOf(hashedKey("a", keyA, ""), hashedKey("b", keyB, `,"state":"previous"`+in(time.Hour, "until"))))
		f.expect(t, "another deadline", map[string]string{keyB: "accept previous"})
	})
}

// What another source said goes by the overlap, when a keyset takes its place: a fallback, or what the configuration named before.
func TestKeysetTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newText(t, "keyset", keysetOf(hashedKey("b", keyB, ""), hashedKey("c", keyC, "")))
		d.err = credential.Errorf(credential.Unavailable, "down")
		f := start(t, credential.Config{Source: credential.Chain(d, credential.Literal(keyA)), Overlap: 10 * time.Minute}, credential.Info{})
		f.expect(t, "the fallback", map[string]string{keyA: "accept current", keyB: "reject unknown"})
		d.err = nil
		f.refresh(t)
		f.expect(t, "the keyset", map[string]string{keyA: "accept previous", keyB: "accept current", keyC: "accept current"})
		d.put(t, f, keysetOf(hashedKey("b", keyB, "")))
		f.expect(t, "another keyset", map[string]string{keyA: "accept previous", keyB: "accept current", keyC: "reject retired"})
		sleep(10 * time.Minute)
		f.expect(t, "after the overlap", map[string]string{keyA: "reject retired", keyB: "accept current"})
	})
}

// A document that was cut short, emptied or half edited ends no key.
func TestKeysetKeepsTheLastGoodOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := `{"count":2,"keys":[` + hashedKey("a", keyA, "") + "," + plainKey("b", keyB, "") + `]}`
		d := newText(t, "keyset", good)
		f := start(t, credential.Config{Source: d}, credential.Info{})
		for _, text := range []string{"", "\n", "{}", `{"keys":[]}`, good[:len(good)/2], strings.Replace(good, ","+plainKey("b", keyB, ""), "", 1),
			strings.Replace(good, `"a"`, `"b"`, 1), strings.Replace(good, `"count":2`, `"count":3`, 1), keysetOf(plainKey("a", keyA, ""), hashedKey("b", keyA, "")),
			keysetOf(plainKey("a", "short\u0001", "")), keysetOf(plainKey("a", " "+keyC, ""))} {
			if err := d.try(t, f, text); !errors.Is(err, credential.Invalid) || strings.Contains(err.Error(), keyA) {
				t.Errorf("Refresh of %s = %v, want Invalid", text, err)
			}
			f.expect(t, text, map[string]string{keyA: "accept current", keyB: "accept current"})
		}
		if err := d.try(t, f, keysetOf(plainKey("a", keyA, ""), hashedKey("b", keyA, ""))); err == nil || err.Error() != "credential masterKey: invalid: key 2: its value is that of an earlier key" {
			t.Errorf("Refresh = %v, want the place of the second key", err)
		}
		if err := d.try(t, f, keysetOf(plainKey("a", keyA, ""), plainKey("b", " x", ""))); err == nil || err.Error() != "credential masterKey: invalid: key 2: starts or ends with white space" {
			t.Errorf("Refresh = %v, want the place of the second key", err)
		}
	})
}

// A list says nothing of a key but that it is there: one that is taken out was replaced, and is accepted for the overlap that
// began when the list was stored, however many there are.
func TestListOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newText(t, "lines", keyA+"\n"+keyB+"\n"+keyC+"\n"+keyA+"\n")
		d.created = time.Now()
		f := start(t, credential.Config{Source: d, Overlap: 10 * time.Minute}, credential.Info{})
		f.expect(t, "at first", map[string]string{keyA: "accept current", keyB: "accept current", keyC: "accept current"})
		sleep(time.Hour)
		d.created = time.Now().Add(-4 * time.Minute)
		d.put(t, f, keyD)
		f.expect(t, "three replaced at once", map[string]string{keyA: "accept previous", keyB: "accept previous", keyC: "accept previous", keyD: "accept current"})
		d.put(t, f, keyD+"\n")
		sleep(6*time.Minute - time.Second)
		d.put(t, f, keyD+"\n#\n")
		f.expect(t, "just before the deadline", map[string]string{keyA: "accept previous", keyB: "accept previous", keyC: "accept previous", keyD: "accept current"})
		sleep(time.Second)
		f.expect(t, "at the deadline", map[string]string{keyA: "reject retired", keyB: "reject retired", keyC: "reject retired", keyD: "accept current"})
		for kind, want := range map[credential.EventKind]int{credential.EventInstalled: 4, credential.EventPrevious: 3, credential.EventRetired: 3, credential.EventOverflow: 0, credential.EventRotated: 0} {
			if got := f.seen.Count(kind); got != want {
				t.Errorf("%d events %v, want %d", got, kind, want)
			}
		}
		d.created = time.Now().Add(-4 * time.Minute)
		d.put(t, f, keyD+"\n"+keyA)
		d.created = time.Now().Add(-3 * time.Minute)
		d.put(t, f, keyA) // nothing is new in it
		for _, v := range f.Status().Versions {
			if want := d.created.Add(10 * time.Minute); v.State == credential.Previous && !v.Deadline.Equal(want) {
				t.Errorf("deadline of what was taken out = %v, want %v", v.Deadline, want)
			}
		}
		f.expect(t, "taken out", map[string]string{keyA: "accept current", keyD: "accept previous"})
	})
}

// A key at rest is accepted when it is presented, and its digest is not, in any spelling.
func TestDigestIsNoKey(t *testing.T) {
	sum := sha256.Sum256([]byte(keyA))
	again := sha256.Sum256(sum[:])
	for _, beside := range []int{0, 1, 100} { // compared one by one, and by the map
		synctest.Test(t, func(t *testing.T) {
			entries := []string{hashedKey("a", keyA, ""), hashedKey("d", keyD, `,"state":"disabled"`)}
			for i := range beside {
				entries = append(entries, plainKey(fmt.Sprint(i), fmt.Sprintf("api-key-number-%08d", i), ""))
			}
			f := start(t, credential.Config{Source: newText(t, "keyset", keysetOf(entries...))}, credential.Info{})
			f.expect(t, "its key", map[string]string{keyA: "accept current", keyB: "reject unknown", keyD: "reject disabled"})
			for i := range beside {
				if d := f.Verify(fmt.Sprintf("api-key-number-%08d", i)); !d.OK() || d.VersionID != fmt.Sprint(i) {
					t.Errorf("Verify of key %d beside it = %+v, want Accept", i, d)
				}
			}
			for _, presented := range []string{string(sum[:]), hex.EncodeToString(sum[:]), base64.StdEncoding.EncodeToString(sum[:]), string(again[:])} {
				if got := said(f.Verify(presented)); got != "reject unknown" {
					t.Errorf("Verify of the digest as %q = %s, want reject unknown", presented, got)
				}
			}
		})
	}
}

// The same value is the same version whether the store has it or its digest: its fingerprint, its usage, its revocation and the rule
// that roles share no value.
func TestSameValueAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var set credential.Set
		installKey := credential.NewSecret("install-key-of-the-tests")
		d := newText(t, "keyset", keysetOf(plainKey("a", keyA, ""), plainKey("b", keyB, "")))
		f := start(t, credential.Config{Source: d, Set: &set, InstallKey: installKey}, credential.Info{})
		f.Verify(keyA)
		before := f.Status().Versions
		d.put(t, f, keysetOf(hashedKey("a", keyA, ""), hashedKey("b", keyB, "")))
		after := f.Status().Versions
		if fmt.Sprint(before) != fmt.Sprint(after) || after[0].Uses != 1 || f.Status().Generation != 1 {
			t.Errorf("versions at rest = %+v, want %+v: nothing has changed", after, before)
		}
		f.expect(t, "at rest", map[string]string{keyA: "accept current", keyB: "accept current"})
		for _, value := range []string{keyA, keyB} {
			if _, err := credential.New(credential.Config{Name: "other", Set: &set, Source: credential.Literal(value)}); !errors.Is(err, credential.Invalid) {
				t.Errorf("the value of a key at rest for another role: %v, want Invalid", err)
			}
		}
		master, err := credential.New(credential.Config{Name: "master", Set: &set, Source: credential.Literal(keyC)})
		if err != nil {
			t.Fatal(err)
		}
		defer master.Stop()
		if err := d.try(t, f, keysetOf(hashedKey("a", keyA, ""), hashedKey("c", keyC, ""))); !errors.Is(err, credential.Invalid) {
			t.Errorf("the value of another role at rest: %v, want Invalid", err)
		}
		if err := f.Revoke(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{keysetOf(hashedKey("a", keyA, ""), plainKey("b", keyB, "")), keysetOf(plainKey("x", keyA, ""), hashedKey("b", keyB, ""))} {
			d.put(t, f, text)
			f.expect(t, "revoked", map[string]string{keyA: "reject revoked", keyB: "accept current"})
		}
	})
}

// A digest can be verified, and not presented.
func TestDigestIsNotPresented(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newText(t, "keyset", keysetOf(plainKey("a", keyA, ""), plainKey("b", keyB, "")))
		f := start(t, credential.Config{Source: d, Present: true}, credential.Info{})
		const want = "credential masterKey: invalid: key 1: a digest, of which there is nothing to present"
		if err := d.try(t, f, keysetOf(hashedKey("a", keyA, ""), plainKey("b", keyB, ""))); err == nil || err.Error() != want {
			t.Errorf("Refresh = %v, want %s", err, want)
		}
		source := credentialtest.New(credential.Info{}, keyA)
		v := start(t, credential.Config{Source: source}, credential.Info{})
		source.SetVersions(credential.Version{Value: credential.NewSecret(keyA), Digest: sha256.Sum256([]byte(keyA))})
		const both = "credential masterKey: invalid: both a value and its digest"
		if err := v.Refresh(t.Context()); err == nil || err.Error() != both {
			t.Errorf("Refresh = %v, want %s", err, both)
		}
	})
}

// After a restart with its store down, a keyset is accepted as it was: keys at rest too, each until its deadline.
func TestKeysetOverARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLife()
		d := newText(t, "keyset", keysetOf(hashedKey("a", keyA, ""), plainKey("b", keyB, ""), hashedKey("c", keyC, `,"state":"previous"`+in(time.Hour, "until"))))
		use := func(cfg *credential.Config) { cfg.Source = d }
		f := l.mustBegin(t, use)
		var others []string
		for i := range 5 {
			others = append(others, hashedKey(fmt.Sprint(i), fmt.Sprintf("api-key-number-%08d", i), `,"state":"previous"`+in(30*time.Minute, "until")))
		}
		d.put(t, f, keysetOf(append(others, hashedKey("a", keyA, ""), plainKey("b", keyB, ""), hashedKey("c", keyC, `,"state":"previous"`+in(time.Hour, "until")))...))
		if err := f.Revoke(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		sleep(2 * time.Minute)
		f.end()
		d.err = credential.Errorf(credential.Unavailable, "down")
		sleep(5 * time.Minute)
		f = l.mustBegin(t, use)
		f.expect(t, "after a restart", map[string]string{keyA: "accept current", keyB: "reject revoked", keyC: "accept previous", "api-key-number-00000004": "accept previous"})
		sleep(23 * time.Minute)
		d.err = nil
		f.refresh(t)
		f.expect(t, "after the first deadline", map[string]string{keyA: "accept current", keyB: "reject revoked", keyC: "accept previous", "api-key-number-00000004": "reject retired"})
		f.end()
		d.err = credential.Errorf(credential.Unavailable, "down")
		sleep(31 * time.Minute)
		f = l.mustBegin(t, use)
		f.expect(t, "after both deadlines", map[string]string{keyA: "accept current", keyB: "reject revoked", keyC: "reject retired"})
	})
}

package azkv_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/source/azkv"
)

func TestMain(m *testing.M) {
	if credentialtest.Elsewhere(elsewhere, true) {
		return
	}
	goleak.VerifyTestMain(m)
}

const (
	keyA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	keyB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	keyC = "cccccccccccccccccccccccccccccccc"

	location = "https://myvault.vault.azure.net/secrets/parley"
)

// told is what a Version says, without its times.
type told struct {
	ID    string
	State credential.State
	Value string
}

func tell(p credential.Payload) []told {
	var all []told
	for _, v := range p.Versions {
		all = append(all, told{v.ID, v.State, string(v.Value.Reveal())})
	}
	return all
}

func fetched(t *testing.T, s credential.Source, want ...told) credential.Payload {
	t.Helper()
	payload, err := s.Fetch(t.Context())
	if err != nil {
		t.Fatalf("Fetch failed: %v", err)
	}
	if diff := cmp.Diff(want, tell(payload)); diff != "" {
		t.Errorf("Fetch (-want +got):\n%s", diff)
	}
	return payload
}

func fails(t *testing.T, s credential.Source, want string) *credential.Error {
	t.Helper()
	payload, err := s.Fetch(t.Context())
	if err == nil {
		t.Fatalf("Fetch = %v, want %s", tell(payload), want)
	}
	if err.Error() != want {
		t.Errorf("Fetch = %v, want %s", err, want)
	}
	for _, secret := range []string{"canary", keyA, keyB, keyC} {
		if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), secret) {
			t.Errorf("the error shows %q: %v", secret, err)
		}
	}
	var own *credential.Error
	if !errors.As(err, &own) {
		t.Fatalf("Fetch = %T, want *credential.Error", err)
	}
	return own
}

// The suite passes with an account that may list versions and with one that may not.
func TestSource(t *testing.T) {
	for _, noList := range []bool{false, true} {
		t.Run(fmt.Sprintf("noList=%v", noList), func(t *testing.T) {
			credentialtest.TestSource(t, credentialtest.Harness{Open: func(t *testing.T, value string) credentialtest.Store {
				f := startFake()
				f.noList = noList
				f.add(value, time.Minute)
				return credentialtest.Store{
					Source: f.source(t, ""),
					Put:    func(_ *testing.T, value string) { f.add(value, 0) },
					Remove: func(*testing.T) { f.with(func() { f.deleted = true }) },
					Break: func(*testing.T) func() {
						f.answer = func(r *http.Request) (*http.Response, error) {
							return refusal(r, 503, `{"error":{"code":"canary-first-4f1c9d2e77a05b36"}}`)
						}
						return func() { f.answer = nil }
					},
				}
			}})
		})
	}
}

func TestOpen(t *testing.T) {
	for _, test := range []struct {
		reference, location string
		want                error
	}{
		{"azkv://myvault/parley", location, nil},
		{"azkv://MyVault/parley?ttl=1m#masterKey", location, nil},
		{"azkv://myvault.vault.azure.cn/parley", "https://myvault.vault.azure.cn/secrets/parley", nil},
		{"azkv://vault.internal.example:8443/parley", "https://vault.internal.example:8443/secrets/parley", nil},
		{"azkv://myvault/parley?version=" + id(1), location + "/" + id(1), nil},
		{"azkv://myvault/parley?format=keyset", location, nil},
		{"azkv://myvault", "", credential.Misconfigured},
		{"azkv:parley", "", credential.Misconfigured},
		{"azkv:///parley", "", credential.Misconfigured},
		{"azkv://-/parley", "", credential.Misconfigured},
		{"azkv://myvault/a/b", "", credential.Misconfigured},
		{"azkv://myvault/a_b", "", credential.Misconfigured},
		{"azkv://my vault.example/parley", "", credential.Misconfigured},
		{"azkv://myvault/parley?version=../x", "", credential.Misconfigured},
		{"azkv://myvault/parley?version=", "", credential.Misconfigured},
		{"azkv://myvault/parley?format=raw#field", "", credential.Misconfigured},
		{"azkv://myvault/parley?color=red", "", credential.Misconfigured},
	} {
		ref, err := credential.ParseReference(test.reference)
		if err != nil {
			t.Errorf("ParseReference(%s) failed: %v", test.reference, err)
			continue
		}
		source, err := azkv.Opener(azkv.Options{})(ref)
		if !errors.Is(err, test.want) {
			t.Errorf("Open(%s) = %v, want %v", test.reference, err, test.want)
		} else if err == nil && source.Info().Location != test.location {
			t.Errorf("Open(%s) reads %s, want %s", test.reference, source.Info().Location, test.location)
		}
	}
}

func TestVersions(t *testing.T) {
	f := startFake()
	f.add(keyA, 3*time.Hour)
	f.add(keyB, 2*time.Hour)
	f.add(keyC, time.Hour)
	source := f.source(t, "")
	payload := fetched(t, source, told{id(3), credential.Current, keyC}, told{id(2), credential.Previous, keyB})
	if got, want := payload.Versions[0].Created, f.versions[2].created.UTC().Truncate(time.Second); !got.Equal(want) {
		t.Errorf("Created = %v, want %v", got, want)
	}
	fetched(t, f.source(t, "?version="+id(1)), told{id(1), credential.Current, keyA})
	fails(t, f.source(t, "?version="+id(9)), "credential: missing: "+location+"/"+id(9)+": there is no such secret")

	f.versions[1].disabled = true
	fetched(t, source, told{id(3), credential.Current, keyC}, told{id(2), credential.Disabled, ""})
	fetched(t, f.source(t, ""), told{id(3), credential.Current, keyC}) // who never had it has nothing to end
	f.versions[1].disabled = false
	f.versions[2].disabled = true
	fails(t, source, "credential: gone: "+location+": the version is disabled")
	f.versions[2].disabled = false
	fetched(t, source, told{id(3), credential.Current, keyC}, told{id(2), credential.Previous, keyB})
	f.with(func() { f.deleted = true })
	fails(t, source, "credential: gone: "+location+": the secret was deleted")
	f.with(func() { f.deleted, f.versions = false, nil })
	fails(t, source, "credential: missing: "+location+": there is no such secret")
}

// The list is asked for once for each new version.
func TestListsOnce(t *testing.T) {
	f := startFake()
	for i := range 7 {
		f.add(fmt.Sprintf("key-%028d", i), time.Duration(7-i)*time.Hour)
	}
	source := f.source(t, "")
	for range 3 {
		fetched(t, source, told{id(7), credential.Current, "key-0000000000000000000000000006"}, told{id(6), credential.Previous, "key-0000000000000000000000000005"})
	}
	if got := f.count("/versions"); got != 4 {
		t.Errorf("%d pages were asked for, want 4: one list", got)
	}
	f.add(keyA, 0)
	fetched(t, source, told{id(8), credential.Current, keyA}, told{id(7), credential.Previous, "key-0000000000000000000000000006"})
}

// A version in which the field did not change is no rotation of it.
func TestFieldOfADocument(t *testing.T) {
	f := startFake()
	f.add(`{"masterKey":"`+keyA+`"}`, 3*time.Hour)
	f.add(`{"masterKey":"`+keyB+`"}`, 2*time.Hour)
	f.add(`{"masterKey":"`+keyB+`","other":"1"}`, time.Hour)
	payload := fetched(t, f.source(t, "#masterKey"), told{id(3), credential.Current, keyB}, told{id(1), credential.Previous, keyA})
	if got, want := payload.Versions[0].Created, f.versions[1].created.UTC().Truncate(time.Second); !got.Equal(want) {
		t.Errorf("Created = %v, want %v", got, want)
	}
	fails(t, f.source(t, "#none"), `credential: missing: the document has no field "none"`)
	f.add(`{"keys":[{"id":"a","value":"`+keyA+`"}]}`, 0)
	fetched(t, f.source(t, "?format=keyset"), told{"a", credential.Current, keyA})
}

// Until the not-before of the newest version comes, the one before stays current.
func TestNotBefore(t *testing.T) {
	for _, noList := range []bool{false, true} {
		f := startFake()
		f.noList = noList
		f.add(keyA, 2*time.Hour)
		f.add(keyB, time.Hour)
		source := f.source(t, "")
		if _, err := source.Fetch(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.add(keyC, time.Minute)
		tomorrow, end := time.Now().Add(24*time.Hour).UTC().Truncate(time.Second), time.Now().Add(48*time.Hour).UTC().Truncate(time.Second)
		f.versions[2].nbf, f.versions[2].exp = &tomorrow, &end
		want := []told{{id(2), credential.Current, keyB}, {id(1), credential.Previous, keyA}, {id(3), credential.Pending, keyC}}
		if noList { // what was newest here before is known, and no more
			want = []told{want[0], want[2]}
		}
		payload := fetched(t, source, want...)
		last := payload.Versions[len(payload.Versions)-1]
		if !last.NotBefore.Equal(tomorrow) || !last.NotAfter.Equal(end) || !last.Created.Equal(tomorrow) {
			t.Errorf("NotBefore, NotAfter, Created = %v, %v, %v; want %v, %v, %v", last.NotBefore, last.NotAfter, last.Created, tomorrow, end, tomorrow)
		}
		f.versions[2].nbf = to.Ptr(time.Now().Add(-time.Second))
		fetched(t, source, told{id(3), credential.Current, keyC}, told{id(2), credential.Previous, keyB})
	}
}

// An account that may only read values knows the versions that were newest while it ran.
func TestWithoutList(t *testing.T) {
	f := startFake()
	f.noList = true
	f.add(keyA, 2*time.Hour)
	source := f.source(t, "")
	fetched(t, source, told{id(1), credential.Current, keyA})
	f.add(keyB, time.Hour)
	for range 3 {
		fetched(t, source, told{id(2), credential.Current, keyB}, told{id(1), credential.Previous, keyA})
	}
	if got := f.count("/versions"); got != 1 {
		t.Errorf("the list was asked for %d times, want once", got)
	}
	f.versions[0].disabled = true
	fetched(t, source, told{id(2), credential.Current, keyB}, told{id(1), credential.Disabled, ""})
}

// 40 sources of one vault ask four at a time.
func TestFourAtATime(t *testing.T) {
	f := startFake()
	f.add(keyA, time.Hour)
	opener := azkv.Opener(azkv.Options{Credential: f, Transport: f})
	done := make(chan error)
	for range 40 {
		source := open(t, opener, "azkv://myvault/parley")
		go func() {
			_, err := source.Fetch(t.Context())
			done <- err
		}()
	}
	for range 40 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if f.highest > 4 {
		t.Errorf("%d requests at a time, want 4", f.highest)
	}
}

func TestEngine(t *testing.T) {
	f := startFake()
	f.add(keyA, time.Hour)
	f.add(keyB, time.Minute)
	c, err := credential.New(credential.Config{Name: "masterKey", Source: f.source(t, "")})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	if d := c.Verify(keyA); d.State != credential.Previous || !d.OK() {
		t.Errorf("Verify(before) = %+v, want Accept as previous", d)
	}
	want := f.versions[1].created.Add(10 * time.Minute)
	for _, v := range c.Status().Versions {
		if v.State == credential.Previous && v.Deadline.Sub(want).Abs() > 2*time.Second {
			t.Errorf("deadline = %v, want %v", v.Deadline, want)
		}
	}
	f.with(func() { f.versions[1].disabled = true })
	_ = c.Refresh(context.Background())
	if a, b := c.Verify(keyA).Verdict, c.Verify(keyB).Verdict; a == credential.Accept || b == credential.Accept {
		t.Errorf("with the newest version disabled Verify = %v, %v; want no Accept", a, b)
	}
}

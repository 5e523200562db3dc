package gcpsm_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/source/gcpsm"
)

func TestMain(m *testing.M) {
	if credentialtest.Elsewhere(elsewhere, false) {
		return
	}
	goleak.VerifyTestMain(m)
}

const (
	keyA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	keyB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	keyC = "cccccccccccccccccccccccccccccccc"
)

func open(t testing.TB, text string) credential.Source {
	t.Helper()
	ref, err := credential.ParseReference(text)
	if err != nil {
		t.Fatal(err)
	}
	source, err := gcpsm.Opener()(ref)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// source opens the fake's secret. Rest is more options, and the field.
func (f *fake) source(t testing.TB, rest string) credential.Source {
	t.Helper()
	return open(t, "gcpsm://my-project/parley?endpoint="+f.addr+"&credentials_file="+f.account(t)+rest)
}

// told is what a Version says, without its time.
type told struct {
	ID     string
	Number uint64
	State  credential.State
	Value  string
}

func tell(p credential.Payload) []told {
	var all []told
	for _, v := range p.Versions {
		all = append(all, told{v.ID, v.Number, v.State, string(v.Value.Reveal())})
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
	for _, secret := range []string{"canary", keyA, keyB, keyC, "ya29"} {
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
				f := startFake(t)
				f.noList = noList
				f.add(value, time.Minute)
				return credentialtest.Store{
					Source: f.source(t, ""),
					Put:    func(_ *testing.T, value string) { f.add(value, 0) },
					Remove: func(*testing.T) { f.with(func() { delete(f.secrets, secretName) }) },
					Break: func(*testing.T) func() {
						f.with(func() { f.gone = true })
						return func() { f.with(func() { f.gone = false }) }
					},
				}
			}})
		})
	}
}

func TestOpen(t *testing.T) {
	const service = "https://secretmanager.googleapis.com/projects/"
	for _, test := range []struct {
		reference, location string
		want                error
	}{
		{"gcpsm://my-project/parley", service + "my-project/secrets/parley", nil},
		{"gcpsm://my-project/parley?version=latest#masterKey", service + "my-project/secrets/parley", nil},
		{"gcpsm://my-project/parley?version=7", service + "my-project/secrets/parley/versions/7", nil},
		{"gcpsm://example.com:old-project/parley", service + "example.com:old-project/secrets/parley", nil},
		{"gcpsm://123456/parley?ttl=1m", service + "123456/secrets/parley", nil},
		{"gcpsm://my-project/parley?location=europe-west3", "https://secretmanager.europe-west3.rep.googleapis.com/projects/my-project/locations/europe-west3/secrets/parley", nil},
		{"gcpsm://my-project/parley?endpoint=https://secretmanager-psc.p.googleapis.com", "https://secretmanager-psc.p.googleapis.com/projects/my-project/secrets/parley", nil},
		{"gcpsm://my-project", "", credential.Misconfigured},
		{"gcpsm:///parley", "", credential.Misconfigured},
		{"gcpsm:parley", "", credential.Misconfigured},
		{"gcpsm://my-project/a/b", "", credential.Misconfigured},
		{"gcpsm://my-project/..", "", credential.Misconfigured},
		{"gcpsm://my-project/parley?version=0", "", credential.Misconfigured},
		{"gcpsm://my-project/parley?version=prod", "", credential.Misconfigured},
		{"gcpsm://my-project/parley?location=Europe/", "", credential.Misconfigured},
		{"gcpsm://my-project/parley?endpoint=http://secrets.internal", "", credential.Misconfigured},
		{"gcpsm://my-project/parley?endpoint=https://secrets.internal/v1", "", credential.Misconfigured},
		{"gcpsm://my-project/parley?credentials_file=account.json", "", credential.Misconfigured},
		{"gcpsm://my-project/parley?format=keyset", service + "my-project/secrets/parley", nil},
		{"gcpsm://my-project/parley?format=raw#field", "", credential.Misconfigured},
		{"gcpsm://my-project/parley?color=red", "", credential.Misconfigured},
	} {
		ref, err := credential.ParseReference(test.reference)
		if err != nil {
			t.Errorf("ParseReference(%s) failed: %v", test.reference, err)
			continue
		}
		source, err := gcpsm.Opener()(ref)
		if !errors.Is(err, test.want) {
			t.Errorf("Open(%s) = %v, want %v", test.reference, err, test.want)
		} else if err == nil && source.Info().Location != test.location {
			t.Errorf("Open(%s) reads %s, want %s", test.reference, source.Info().Location, test.location)
		}
	}
}

func TestVersions(t *testing.T) {
	f := startFake(t)
	f.add(keyA, 2*time.Hour)
	f.add(keyB, time.Hour)
	source := f.source(t, "")
	payload := fetched(t, source, told{"2", 2, credential.Current, keyB}, told{"1", 1, credential.Previous, keyA})
	if created := payload.Versions[0].Created; !created.Equal(f.secrets[secretName][1].created) {
		t.Errorf("Created = %v, want %v", created, f.secrets[secretName][1].created)
	}
	fetched(t, f.source(t, "&version=1"), told{"1", 1, credential.Current, keyA})

	f.state(1, "DISABLED")
	fetched(t, source, told{"2", 2, credential.Current, keyB}, told{"1", 1, credential.Disabled, ""})
	f.state(1, "DESTROYED")
	fetched(t, source, told{"2", 2, credential.Current, keyB}, told{"1", 1, credential.Revoked, ""})
	f.state(1, "ENABLED")
	f.state(2, "DISABLED")
	fails(t, source, "credential: gone: projects/my-project/secrets/parley: version 2 is disabled")
	f.state(2, "ENABLED")
	fetched(t, source, told{"2", 2, credential.Current, keyB}, told{"1", 1, credential.Previous, keyA})
	f.state(2, "DESTROYED")
	fetched(t, source, told{"2", 2, credential.Revoked, ""}, told{"1", 1, credential.Disabled, ""})
	fails(t, f.source(t, ""), "credential: gone: projects/my-project/secrets/parley: version 2 is destroyed")
	f.add(keyC, 0)
	fetched(t, source, told{"3", 3, credential.Current, keyC}, told{"2", 2, credential.Revoked, ""})

	f.with(func() { delete(f.secrets, secretName) })
	fails(t, source, "credential: missing: projects/my-project/secrets/parley: there is no such secret")
	f.with(func() { f.secrets[secretName] = nil })
	fails(t, source, "credential: missing: projects/my-project/secrets/parley: the secret has no version")
	f.add(keyA, 0)
	fetched(t, source, told{"1", 4, credential.Current, keyA}) // made anew, and newer
}

// A version further back that was handed out may be closed, too.
func TestClosedFurtherBack(t *testing.T) {
	f := startFake(t)
	source := f.source(t, "")
	f.add(keyA, 3*time.Minute)
	fetched(t, source, told{"1", 1, credential.Current, keyA})
	f.add(keyB, 2*time.Minute)
	fetched(t, source, told{"2", 2, credential.Current, keyB}, told{"1", 1, credential.Previous, keyA})
	f.add(keyC, time.Minute)
	f.state(1, "DISABLED")
	fetched(t, source, told{"3", 3, credential.Current, keyC}, told{"2", 2, credential.Previous, keyB}, told{"1", 1, credential.Disabled, ""})
}

// A version in which the field did not change is no rotation of it: its value is as old as the first version that has it.
func TestFieldOfADocument(t *testing.T) {
	f := startFake(t)
	f.add(`{"masterKey":"`+keyA+`"}`, 3*time.Hour)
	f.add(`{"masterKey":"`+keyB+`"}`, 2*time.Hour)
	f.add(`{"masterKey":"`+keyB+`","other":"1"}`, time.Hour)
	payload := fetched(t, f.source(t, "#masterKey"), told{"3", 3, credential.Current, keyB}, told{"1", 1, credential.Previous, keyA})
	if got, want := payload.Versions[0].Created, f.secrets[secretName][1].created; !got.Equal(want) {
		t.Errorf("Created = %v, want %v", got, want)
	}
	fails(t, f.source(t, "#none"), `credential: missing: the document has no field "none"`)
}

// A keyset says itself which keys there are; only the latest version counts.
func TestKeyset(t *testing.T) {
	f := startFake(t)
	f.add(keyA, time.Hour)
	f.add(`{"keys":[{"id":"a","value":"`+keyA+`"},{"id":"b","value":"`+keyB+`","state":"disabled"}]}`, time.Minute)
	fetched(t, f.source(t, "&format=keyset"), told{"a", 2, credential.Current, keyA}, told{"b", 2, credential.Disabled, keyB})
	fetched(t, f.source(t, "&format=lines&version=1"), told{"", 1, credential.Current, keyA})
}

// An account that may only read values knows the versions that were the latest while it ran. Of those before it nobody knows for how
// long they were accepted already.
func TestWithoutList(t *testing.T) {
	f := startFake(t)
	f.noList = true
	f.add(keyC, 3*time.Hour)
	f.add(keyA, 2*time.Hour)
	source := f.source(t, "")
	fetched(t, source, told{"2", 2, credential.Current, keyA})
	f.with(func() { f.secrets[secretName] = f.secrets[secretName][1:] })
	source = f.source(t, "")
	fetched(t, source, told{"1", 1, credential.Current, keyA})
	f.add(keyB, time.Hour)
	f.requests = nil
	for range 3 {
		fetched(t, source, told{"2", 2, credential.Current, keyB}, told{"1", 1, credential.Previous, keyA})
	}
	if got := f.asked("/versions"); got != 0 {
		t.Errorf("the list was asked for %d times more, want once for all", got)
	}
	f.state(1, "DISABLED")
	fetched(t, source, told{"2", 2, credential.Current, keyB}, told{"1", 1, credential.Disabled, ""})
	f.state(2, "DISABLED")
	fails(t, source, "credential: gone: projects/my-project/secrets/parley: version latest is disabled")
	f.state(2, "DESTROYED")
	fails(t, source, "credential: gone: projects/my-project/secrets/parley: version latest is destroyed")
	fails(t, f.source(t, "&version=2"), "credential: gone: projects/my-project/secrets/parley: version 2 is destroyed")
	f.with(func() { delete(f.secrets, secretName) })
	fails(t, source, "credential: missing: projects/my-project/secrets/parley: there is no such secret")
	f.add(keyC, 0)
	fetched(t, source, told{"1", 3, credential.Current, keyC})
	f.with(func() { f.noAccess = true })
	fails(t, source, "credential: denied: projects/my-project/secrets/parley: our account may not do that")
	f.with(func() { f.noAccess, f.noList = false, false })
	payload := fetched(t, source, told{"1", 3, credential.Current, keyC})
	if payload.Versions[0].Created.IsZero() {
		t.Error("after the rights were mended the list is not asked for")
	}
}

// All fields of a document are a group, which has versions as a single value has.
func TestGroup(t *testing.T) {
	f := startFake(t)
	f.add(`{"user":"a","password":"`+keyA+`"}`, 2*time.Hour)
	f.add(`{"user":"b","password":"`+keyB+`"}`, time.Hour)
	f.add(`{"user":"b","password":"`+keyB+`","port":5432}`, time.Minute)
	payload, err := f.source(t, "&format=json").Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []map[string]string
	for _, v := range payload.Versions {
		fields := map[string]string{"version": v.ID}
		for name, field := range v.Fields {
			fields[name] = string(field.Reveal())
		}
		got = append(got, fields)
	}
	want := []map[string]string{{"version": "3", "user": "b", "password": keyB}, {"version": "1", "user": "a", "password": keyA}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Fetch (-want +got):\n%s", diff)
	}
}

// The table of answers that are no success.
func TestRefusals(t *testing.T) {
	const about = "projects/my-project/secrets/parley"
	for _, test := range []struct {
		status      int
		body, want  string
		retryAfter  time.Duration
		retryHeader string
	}{
		{404, `{"error":{"code":404,"status":"NOT_FOUND","message":"canary"}}`, "missing: " + about + ": there is no such secret", 0, ""},
		{401, `{"error":{"code":401,"status":"UNAUTHENTICATED","message":"canary"}}`, "denied: HOST answered with status 401", 0, ""},
		{403, `{"error":{"code":403,"status":"PERMISSION_DENIED","message":"canary"}}`, "denied: " + about + ": our account may not do that", 0, ""},
		{429, `{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"canary"}}`, "unavailable: " + about + ": the quota is used up", 7 * time.Second, "7"},
		{429, `{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"21.5s"}]}}`,
			"unavailable: " + about + ": the quota is used up", 21500 * time.Millisecond, ""},
		{400, `{"error":{"code":400,"status":"INVALID_ARGUMENT","message":"canary"}}`, "config: " + about + ": the service does not understand the names", 0, ""},
		{400, `{"error":{"code":400,"status":"FAILED_PRECONDITION","message":"canary of a key"}}`, "unavailable: " + about + ": the secret cannot be used now", 0, ""},
		{503, `{"error":{"code":503,"status":"UNAVAILABLE","message":"canary"}}`, "unavailable: HOST answered with status 503", 0, ""},
		{500, `<html>canary</html>`, "unavailable: HOST answered with status 500", 0, ""},
		{302, ``, "unavailable: HOST answered with status 302", 0, ""},
		{200, `{"versions":[{"name":"canary"}]}`, "unavailable: the service sent an answer that cannot be read", 0, ""},
		{200, `canary`, "unavailable: the service sent an answer that cannot be read", 0, ""},
		{200, `{"versions":"` + strings.Repeat("x", 128<<10) + `"}`, "invalid: HOST sent more than 131072 bytes", 0, ""},
	} {
		f := startFake(t)
		f.status, f.body, f.header = test.status, test.body, map[string]string{"Retry-After": test.retryHeader}
		host := strings.TrimPrefix(f.addr, "http://")
		err := fails(t, f.source(t, ""), "credential: "+strings.ReplaceAll(test.want, "HOST", host))
		if err.RetryAfter != test.retryAfter {
			t.Errorf("RetryAfter of %d = %v, want %v", test.status, err.RetryAfter, test.retryAfter)
		}
	}
}

func TestPayload(t *testing.T) {
	f := startFake(t)
	f.add(keyA, time.Hour)
	f.spoil = true
	fails(t, f.source(t, ""), "credential: unavailable: projects/my-project/secrets/parley: the payload does not have its checksum")
	f.spoil = false
	f.add(strings.Repeat("x", 64<<10), 0)
	fetched(t, f.source(t, ""), told{"2", 2, credential.Current, strings.Repeat("x", 64<<10)}, told{"1", 1, credential.Previous, keyA})
	f.add(strings.Repeat("x", 64<<10+1), 0)
	fails(t, f.source(t, ""), "credential: invalid: projects/my-project/secrets/parley: larger than 65536 bytes")
}

// Nothing is asked of anybody before the first fetch, and 40 sources share a login and ask four at a time.
func TestOneLogin(t *testing.T) {
	f := startFake(t)
	f.add(keyA, time.Hour)
	opener, account := gcpsm.Opener(), f.account(t)
	var sources []credential.Source
	for range 40 {
		ref, err := credential.ParseReference("gcpsm://my-project/parley?endpoint=" + f.addr + "&credentials_file=" + account)
		if err != nil {
			t.Fatal(err)
		}
		source, err := opener(ref)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, source)
	}
	if len(f.requests) != 0 {
		t.Errorf("%d requests at Open, want none", len(f.requests))
	}
	done := make(chan error)
	for _, source := range sources {
		go func() {
			_, err := source.Fetch(t.Context())
			done <- err
		}()
	}
	for range sources {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if f.logins != 1 || f.highest > 5 { // four, and the login
		t.Errorf("%d logins, %d requests at a time; want 1 and 4", f.logins, f.highest)
	}
}

// A redirect to another host is not followed, so the token stays where it belongs.
func TestRedirect(t *testing.T) {
	var reached http.Header
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { reached = r.Header }))
	defer other.Close()
	f := startFake(t)
	f.status, f.header = 307, map[string]string{"Location": other.URL + "/v1/x"}
	fails(t, f.source(t, ""), "credential: unavailable: "+strings.TrimPrefix(f.addr, "http://")+": redirects to another place, which is not followed")
	if reached != nil {
		t.Errorf("the other host was asked, with %v", reached)
	}
}

func TestEngine(t *testing.T) {
	f := startFake(t)
	f.add(keyA, time.Hour)
	f.add(keyB, time.Minute)
	recorder := &credentialtest.Recorder{}
	c, err := credential.New(credential.Config{Name: "masterKey", Source: f.source(t, ""), Observer: recorder})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	// A server that starts within an overlap accepts the version before, until the deadline that all others have.
	if d := c.Verify(keyA); d.State != credential.Previous || !d.OK() {
		t.Errorf("Verify(before) = %+v, want Accept as previous", d)
	}
	want := f.secrets[secretName][1].created.Add(10 * time.Minute)
	for _, v := range c.Status().Versions {
		if v.State == credential.Previous && v.Deadline.Sub(want).Abs() > time.Second {
			t.Errorf("deadline = %v, want %v", v.Deadline, want)
		}
	}
	f.state(2, "DISABLED")
	_ = c.Refresh(context.Background())
	if a, b := c.Verify(keyA).Verdict, c.Verify(keyB).Verdict; a == credential.Accept || b == credential.Accept {
		t.Errorf("with the latest version disabled Verify = %v, %v; want no Accept", a, b)
	}
}

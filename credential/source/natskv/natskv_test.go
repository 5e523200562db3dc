package natskv_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/source/natskv"
)

func TestSource(t *testing.T) {
	for _, test := range []struct {
		name, reference string
		history         uint8
		stored          func(value string) string
	}{
		{"Whole", "nats-kv://creds/master", 1, func(value string) string { return value }},
		{"History", "nats-kv://creds/master", 5, func(value string) string { return value }},
		{"Field", "nats-kv://creds/parley/keys.json#masterKey", 5, func(value string) string { return `{"masterKey":"` + value + `"}` }},
	} {
		t.Run(test.name, func(t *testing.T) {
			key, _, _ := strings.Cut(strings.TrimPrefix(test.reference, "nats-kv://creds/"), "#")
			credentialtest.TestSource(t, credentialtest.Harness{Open: func(t *testing.T, value string) credentialtest.Store {
				b := startBed(t, server.Options{JetStream: true})
				kv := b.bucket(t, test.history)
				put(t, kv, key, test.stored(value))
				return credentialtest.Store{
					Source: b.open(t, test.reference),
					Put:    func(t *testing.T, value string) { put(t, kv, key, test.stored(value)) },
					Remove: func(t *testing.T) {
						if err := kv.Delete(t.Context(), key); err != nil {
							t.Fatal(err)
						}
					},
					Break: func(t *testing.T) func() { return b.interrupt(t) },
				}
			}})
		})
	}
}

// A server that starts within an overlap learns the value before, too, and since when the present one is current.
func TestHistory(t *testing.T) {
	b := startBed(t, server.Options{JetStream: true})
	kv := b.bucket(t, 4)
	known := b.open(t, "nats-kv://creds/master")
	for i, step := range []struct {
		value string
		want  []what
	}{
		{keyA, []what{{"1", 1, credential.Current, keyA}}},
		{keyA, []what{{"2", 2, credential.Current, keyA}}},
		{keyB, []what{{"3", 3, credential.Current, keyB}, {"2", 2, credential.Previous, keyA}}},
		{keyB, []what{{"4", 4, credential.Current, keyB}, {"2", 2, credential.Previous, keyA}}},
		{keyA, []what{{"5", 5, credential.Current, keyA}, {"4", 4, credential.Previous, keyB}}},
		{keyA, []what{{"6", 6, credential.Current, keyA}, {"4", 4, credential.Previous, keyB}}},
		{keyA, []what{{"7", 7, credential.Current, keyA}, {"4", 4, credential.Previous, keyB}}},
		{keyA, []what{{"8", 8, credential.Current, keyA}}}, // the bucket keeps four revisions
	} {
		put(t, kv, "master", step.value)
		put(t, b.other(t), "master", "of another bucket")
		for name, source := range map[string]credential.Source{"a new source": b.open(t, "nats-kv://creds/master"), "the same source": known} {
			for range 2 {
				if diff := cmp.Diff(step.want, versions(t, source)); diff != "" {
					t.Errorf("step %d, %s (-want +got):\n%s", i+1, name, diff)
				}
			}
		}
	}
}

// other is a bucket that has nothing to do with it.
func (b *bed) other(t *testing.T) jetstream.KeyValue {
	t.Helper()
	kv, err := b.js.CreateOrUpdateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "creds-2"})
	if err != nil {
		t.Fatal(err)
	}
	return kv
}

// The current version began when its value did, not when another field of the document changed last.
func TestCreated(t *testing.T) {
	b := startBed(t, server.Options{JetStream: true})
	kv := b.bucket(t, 5)
	source := b.open(t, "nats-kv://creds/keys#masterKey")
	put(t, kv, "keys", `{"masterKey":"`+keyA+`","other":"1"}`)
	put(t, kv, "keys", `{"masterKey":"`+keyB+`","other":"1"}`)
	began, err := kv.Get(t.Context(), "keys")
	if err != nil {
		t.Fatal(err)
	}
	put(t, kv, "keys", `{"masterKey":"`+keyB+`","other":"2"}`)
	payload, err := source.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if v := payload.Versions[0]; v.ID != "3" || !v.Created.Equal(began.Created()) {
		t.Errorf("version %s was created at %v, want version 3 of %v", v.ID, v.Created, began.Created())
	}
}

// Several keys in one value state themselves what they are: there is no value before.
func TestSeveral(t *testing.T) {
	b := startBed(t, server.Options{JetStream: true})
	kv := b.bucket(t, 5)
	put(t, kv, "keys", keyC)
	put(t, kv, "keys", keyA+"\n"+keyB+"\n")
	want := []what{{"", 2, credential.Current, keyA}, {"", 2, credential.Current, keyB}}
	if diff := cmp.Diff(want, versions(t, b.open(t, "nats-kv://creds/keys?format=lines"))); diff != "" {
		t.Errorf("format=lines (-want +got):\n%s", diff)
	}
}

// What was deleted is refused, the overlap included, and what is put later does not bring it back.
func TestDeletedAndPurged(t *testing.T) {
	for name, remove := range map[string]func(jetstream.KeyValue, context.Context) error{
		"deleted": func(kv jetstream.KeyValue, ctx context.Context) error { return kv.Delete(ctx, "master") },
		"purged":  func(kv jetstream.KeyValue, ctx context.Context) error { return kv.Purge(ctx, "master") },
	} {
		t.Run(name, func(t *testing.T) {
			b := startBed(t, server.Options{JetStream: true})
			kv := b.bucket(t, 5)
			put(t, kv, "master", keyA)
			put(t, kv, "master", keyB)
			source := b.open(t, "nats-kv://creds/master")
			c := start(t, source)
			check := func(step, key string, verdict credential.Verdict) {
				t.Helper()
				_ = c.Refresh(t.Context())
				if d := c.Verify(key); d.Verdict != verdict {
					t.Errorf("%s: Verify(%.1s…) = %v, want %v", step, key, d.Verdict, verdict)
				}
			}
			check("before", keyA, credential.Accept)
			check("before", keyB, credential.Accept)
			if err := remove(kv, t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := source.Fetch(t.Context()); !errors.Is(err, credential.Gone) {
				t.Errorf("Fetch = %v, want Gone", err)
			}
			check(name, keyA, credential.Reject)
			check(name, keyB, credential.Reject)
			put(t, kv, "master", keyC)
			check("put again", keyC, credential.Accept)
			check("put again", keyB, credential.Reject)
			if diff := cmp.Diff([]what{{"4", 4, credential.Current, keyC}}, versions(t, b.open(t, "nats-kv://creds/master"))); diff != "" {
				t.Errorf("a new source (-want +got):\n%s", diff)
			}
			put(t, kv, "master", keyB)
			check("undeleted", keyB, credential.Accept)
		})
	}
}

// An empty bucket and a lost one say nothing about the keys that were in it: those stay.
func TestEmptied(t *testing.T) {
	for name, lose := range map[string]func(*bed, context.Context) error{
		"no bucket": func(b *bed, ctx context.Context) error { return b.js.DeleteKeyValue(ctx, "creds") },
		"empty": func(b *bed, ctx context.Context) error {
			stream, err := b.js.Stream(ctx, "KV_creds")
			if err != nil {
				return err
			}
			return stream.Purge(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := startBed(t, server.Options{JetStream: true})
			put(t, b.bucket(t, 5), "master", keyA)
			source := b.open(t, "nats-kv://creds/master")
			c := start(t, source)
			if err := lose(b, t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := source.Fetch(t.Context()); !errors.Is(err, credential.Missing) {
				t.Errorf("Fetch = %v, want Missing", err)
			}
			_ = c.Refresh(t.Context())
			if d := c.Verify(keyA); !d.OK() {
				t.Errorf("Verify(what was read before) = %+v, want Accept", d)
			}
			put(t, b.bucket(t, 5), "master", keyB)
			if err := c.Refresh(t.Context()); err != nil {
				t.Errorf("Refresh = %v", err)
			}
			if d := c.Verify(keyB); !d.OK() {
				t.Errorf("Verify(what was put then) = %+v, want Accept", d)
			}
		})
	}
}

// A bucket that was removed and made again begins at revision 1. It is not taken for an old copy.
func TestMadeAnew(t *testing.T) {
	b := startBed(t, server.Options{JetStream: true})
	source := b.open(t, "nats-kv://creds/master")
	c := start(t, func() credential.Source {
		kv := b.bucket(t, 5)
		for _, value := range []string{keyA, keyB, keyA, keyB} {
			put(t, kv, "master", value)
		}
		return source
	}())
	want := uint64(4) // the highest number so far
	for round := range 2 {
		if err := b.js.DeleteKeyValue(t.Context(), "creds"); err != nil {
			t.Fatal(err)
		}
		revision := put(t, b.bucket(t, 5), "master", keyC) // 1, or 2 where the server goes on counting
		want += revision
		if diff := cmp.Diff([]what{{strconv.FormatUint(revision, 10), want, credential.Current, keyC}}, versions(t, source)); diff != "" {
			t.Errorf("round %d (-want +got):\n%s", round+1, diff)
		}
		if err := c.Refresh(t.Context()); err != nil {
			t.Errorf("Refresh = %v", err)
		}
		if d := c.Verify(keyC); !d.OK() || d.State != credential.Current {
			t.Errorf("round %d: Verify(the key of the new bucket) = %+v, want Accept", round+1, d)
		}
	}
}

func TestRestart(t *testing.T) {
	b := startBed(t, server.Options{JetStream: true})
	put(t, b.bucket(t, 5), "master", keyA)
	source := b.open(t, "nats-kv://creds/master")
	versions(t, source)
	mend := b.interrupt(t)
	if _, err := source.Fetch(t.Context()); !errors.Is(err, credential.Unavailable) {
		t.Errorf("Fetch while the server is down = %v, want Unavailable", err)
	}
	mend()
	if diff := cmp.Diff([]what{{"1", 1, credential.Current, keyA}}, versions(t, source)); diff != "" {
		t.Errorf("after a restart (-want +got):\n%s", diff)
	}
}

func TestFailures(t *testing.T) {
	t.Run("JetStream is not enabled", func(t *testing.T) {
		b := startBed(t, server.Options{})
		if _, err := b.open(t, "nats-kv://creds/master").Fetch(t.Context()); !errors.Is(err, credential.Unavailable) {
			t.Errorf("Fetch = %v, want Unavailable", err)
		}
	})
	t.Run("a stream that is no bucket", func(t *testing.T) {
		b := startBed(t, server.Options{JetStream: true})
		if _, err := b.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "KV_creds", Subjects: []string{"$KV.creds.>"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.open(t, "nats-kv://creds/master").Fetch(t.Context()); !errors.Is(err, credential.Misconfigured) {
			t.Errorf("Fetch = %v, want Misconfigured", err)
		}
	})
	t.Run("another domain", func(t *testing.T) {
		b := startBed(t, server.Options{JetStream: true, JetStreamDomain: "hub"})
		put(t, b.bucket(t, 1), "master", keyA)
		if diff := cmp.Diff([]what{{"1", 1, credential.Current, keyA}}, versions(t, b.open(t, "nats-kv://creds/master?domain=hub"))); diff != "" {
			t.Errorf("domain=hub (-want +got):\n%s", diff)
		}
		if _, err := b.open(t, "nats-kv://creds/master?domain=leaf").Fetch(t.Context()); !errors.Is(err, credential.Unavailable) {
			t.Errorf("domain=leaf: Fetch = %v, want Unavailable", err)
		}
	})
	t.Run("too large", func(t *testing.T) {
		b := startBed(t, server.Options{JetStream: true})
		put(t, b.bucket(t, 1), "master", strings.Repeat("a", 64<<10+1))
		if _, err := b.open(t, "nats-kv://creds/master").Fetch(t.Context()); !errors.Is(err, credential.Invalid) {
			t.Errorf("Fetch = %v, want Invalid", err)
		}
	})
	for _, test := range []struct {
		err  error
		want credential.Class
	}{
		{nats.ErrAuthorization, credential.Denied}, {nats.ErrAuthExpired, credential.Denied}, {nats.ErrNoServers, credential.Unavailable},
		{errors.New("dial nats://user:" + keyA + "@host"), credential.Unavailable}, {nil, credential.Unavailable},
		{credential.Errorf(credential.Misconfigured, "no servers are named"), credential.Misconfigured},
	} {
		source := openOn(t, func(context.Context) (*nats.Conn, error) { return nil, test.err }, "nats-kv://creds/master")
		if _, err := source.Fetch(t.Context()); !errors.Is(err, test.want) || strings.Contains(err.Error(), keyA) {
			t.Errorf("Fetch when connecting says %T = %v, want %v", test.err, err, test.want)
		}
	}
}

// What NATS does not permit is Denied, although its answer does not come.
func TestPermissions(t *testing.T) {
	read := []string{"$JS.API.STREAM.INFO.KV_creds", "$JS.API.DIRECT.GET.KV_creds.>", "$JS.API.DIRECT.GET.KV_creds"}
	watch := append([]string{"$JS.API.CONSUMER.CREATE.KV_creds.>", "$JS.API.CONSUMER.MSG.NEXT.KV_creds.>"}, read...)
	user := func(name string, publish ...string) *server.User {
		return &server.User{Username: name, Password: name, Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: publish}, Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
		}}
	}
	b := startBed(t, server.Options{JetStream: true, Users: []*server.User{
		{Username: "admin", Password: "admin"}, user("none", "other"), user("info", read[0]), user("read", read...), user("watch", watch...), user("write", append([]string{"$KV.creds.>"}, read...)...),
	}}, nats.UserInfo("admin", "admin"))
	put(t, b.bucket(t, 5), "master", keyA)
	type can struct{ Fetch, Watch, Write error }
	for name, want := range map[string]can{
		"none":  {credential.Denied, credential.Denied, credential.Denied},
		"info":  {credential.Denied, credential.Denied, credential.Denied},
		"read":  {nil, credential.Denied, credential.Denied},
		"watch": {nil, nil, credential.Denied},
		"write": {nil, credential.Denied, nil},
	} {
		t.Run(name, func(t *testing.T) {
			conn := b.dial(t, nats.UserInfo(name, name))
			for range 2 { // the second violation reads as the first
				source := openOn(t, func(context.Context) (*nats.Conn, error) { return conn, nil }, "nats-kv://creds/master")
				var got can
				ctx, cancel := context.WithCancel(t.Context())
				got.Watch = source.(credential.Watcher).Watch(ctx, func(credential.Notice) { cancel() })
				cancel()
				_, got.Fetch = source.Fetch(t.Context())
				_, got.Write = source.(credential.Writer).Write(t.Context(), credential.NewSecret(keyB))
				if !errors.Is(got.Fetch, want.Fetch) || !errors.Is(got.Watch, want.Watch) || !errors.Is(got.Write, want.Write) {
					t.Errorf("%+v, want %+v", got, want)
				}
			}
		})
	}
}

func TestOpen(t *testing.T) {
	connect := func(context.Context) (*nats.Conn, error) { return nil, nats.ErrNoServers }
	for _, test := range []struct {
		reference, location string
		want                error
	}{
		{"nats-kv://creds/master", "creds/master", nil},
		{"nats-kv://creds/parley/prod.master?ttl=1m&domain=hub", "creds/parley/prod.master", nil},
		{"nats-kv://creds/keys#masterKey", "creds/keys", nil},
		{"nats-kv://creds/database?format=json", "creds/database", nil},
		{"nats-kv://creds/keys?format=lines", "creds/keys", nil},
		{"nats-kv://creds", "", credential.Misconfigured},
		{"nats-kv://creds/", "", credential.Misconfigured},
		{"nats-kv:///master", "", credential.Misconfigured},
		{"nats-kv:creds/master", "", credential.Misconfigured},
		{"nats-kv://creds.a/master", "", credential.Misconfigured},
		{"nats-kv://creds/*", "", credential.Misconfigured},
		{"nats-kv://creds/a..b", "", credential.Misconfigured},
		{"nats-kv://creds/.a", "", credential.Misconfigured},
		{"nats-kv://creds/a%20b", "", credential.Misconfigured},
		{"nats-kv://creds/master?domain=", "", credential.Misconfigured},
		{"nats-kv://creds/master?domain=a.b", "", credential.Misconfigured},
		{"nats-kv://creds/master?url=nats://a", "", credential.Misconfigured},
		{"nats-kv://creds/master?format=raw#masterKey", "", credential.Misconfigured},
	} {
		ref, err := credential.ParseReference(test.reference)
		if err != nil {
			t.Errorf("ParseReference(%s) failed: %v", test.reference, err)
			continue
		}
		source, err := natskv.Opener(connect)(ref)
		if !errors.Is(err, test.want) {
			t.Errorf("Open(%s) = %v, want %v", test.reference, err, test.want)
		} else if err == nil {
			want := credential.Info{Scheme: "nats-kv", Location: test.location, Instance: "nats-kv://creds", Monotonic: true}
			if diff := cmp.Diff(want, source.Info()); diff != "" {
				t.Errorf("Open(%s).Info (-want +got):\n%s", test.reference, diff)
			}
		}
	}
	ref, _ := credential.ParseReference("nats-kv://creds/master")
	if _, err := natskv.Opener(nil)(ref); !errors.Is(err, credential.Misconfigured) || !strings.Contains(err.Error(), "nats.servers") {
		t.Errorf("Open without a connection = %v, want Misconfigured, and the option", err)
	}
}

// A fetch ends with its context, also when nobody answers.
func TestCanceled(t *testing.T) {
	b := startBed(t, server.Options{JetStream: true})
	source := b.open(t, "nats-kv://creds/master")
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	<-ctx.Done()
	if _, err := source.Fetch(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Fetch = %v, want the error of its context", err)
	}
}

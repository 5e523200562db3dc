package natskv_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/credential"
)

func stored(t *testing.T, b *bed, key string) string {
	t.Helper()
	e, err := b.bucket(t, 5).Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(e.Value())
}

func write(t *testing.T, source credential.Source, value string) (string, error) {
	t.Helper()
	return source.(credential.Writer).Write(t.Context(), credential.NewSecret(value))
}

func TestWrite(t *testing.T) {
	for _, test := range []struct {
		name, reference, before, after string
		want                           error
	}{
		{"whole", "nats-kv://creds/key", keyA, keyC, nil},
		{"new", "nats-kv://creds/key", "", keyC, nil},
		{"field", "nats-kv://creds/key#masterKey", `{"a": 1, "masterKey" : "` + keyA + `", "b":"` + keyB + `"}`, `{"a": 1, "masterKey" : "` + keyC + `", "b":"` + keyB + `"}`, nil},
		{"pointer", "nats-kv://creds/key#/keys/1", `{"keys":["` + keyA + `",null]}`, `{"keys":["` + keyA + `","` + keyC + `"]}`, nil},
		{"no such field", "nats-kv://creds/key#masterKey", `{}`, `{}`, credential.Missing},
		{"no document", "nats-kv://creds/key#masterKey", "", "", credential.Missing},
		{"not JSON", "nats-kv://creds/key#masterKey", keyA, keyA, credential.Invalid},
		{"group", "nats-kv://creds/key?format=json", `{"a":"1"}`, `{"a":"1"}`, credential.ErrNotWritable},
		{"several", "nats-kv://creds/key?format=lines", keyA, keyA, credential.ErrNotWritable},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := startBed(t, server.Options{JetStream: true})
			kv := b.bucket(t, 5)
			want := ""
			if test.before != "" {
				put(t, kv, "key", test.before)
			}
			put(t, kv, "other", "x")
			source := b.open(t, test.reference)
			id, err := write(t, source, keyC)
			if !errors.Is(err, test.want) {
				t.Errorf("Write = %v, want %v", err, test.want)
			}
			if err == nil {
				e, err := kv.Get(t.Context(), "key")
				if err != nil {
					t.Fatal(err)
				}
				want = map[bool]string{true: "3", false: "2"}[test.before != ""]
				if e.Revision() != map[string]uint64{"2": 2, "3": 3}[want] {
					t.Errorf("the revision is %d", e.Revision())
				}
				if got := versions(t, source)[0]; got.Value != keyC || got.ID != want {
					t.Errorf("after Write, Fetch yields version %s", got.ID)
				}
			}
			if id != want {
				t.Errorf("Write names version %q, want %q", id, want)
			}
			if test.after != "" {
				if diff := cmp.Diff(test.after, stored(t, b, "key")); diff != "" {
					t.Errorf("what is stored (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// A key that was deleted is made again.
func TestWriteDeleted(t *testing.T) {
	b := startBed(t, server.Options{JetStream: true})
	kv := b.bucket(t, 5)
	put(t, kv, "master", keyA)
	if err := kv.Delete(t.Context(), "master"); err != nil {
		t.Fatal(err)
	}
	source := b.open(t, "nats-kv://creds/master")
	if id, err := write(t, source, keyB); id != "3" || err != nil {
		t.Errorf("Write = %q, %v; want 3", id, err)
	}
	if diff := cmp.Diff([]what{{"3", 3, credential.Current, keyB}}, versions(t, source)); diff != "" {
		t.Errorf("after Write (-want +got):\n%s", diff)
	}
}

// Who changes the document between our reading and our writing wins.
func TestWriteBetween(t *testing.T) {
	b := startBed(t, server.Options{JetStream: true})
	kv := b.bucket(t, 5)
	put(t, kv, "keys", `{"masterKey":"`+keyA+`","other":"1"}`)
	conn := b.dial(t, nats.SetCustomDialer(&between{before: "HPUB $KV.creds.keys ", do: func() {
		if _, err := kv.PutString(context.Background(), "keys", `{"masterKey":"`+keyA+`","other":"2"}`); err != nil {
			t.Error(err)
		}
	}}))
	source := openOn(t, func(context.Context) (*nats.Conn, error) { return conn, nil }, "nats-kv://creds/keys#masterKey")
	if id, err := write(t, source, keyB); id != "" || !errors.Is(err, credential.Unavailable) {
		t.Errorf("Write = %q, %v; want Unavailable", id, err)
	}
	if got, want := stored(t, b, "keys"), `{"masterKey":"`+keyA+`","other":"2"}`; got != want {
		t.Errorf("stored is %s, want %s", got, want)
	}
	if id, err := write(t, source, keyB); id != "3" || err != nil {
		t.Errorf("the second Write = %q, %v; want 3", id, err)
	}
}

// between is a dialer whose connections do something, once, before they send a command.
type between struct {
	before string
	do     func()
	once   sync.Once
}

func (d *between) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	return &betweenConn{Conn: conn, dialer: d}, err
}

type betweenConn struct {
	net.Conn
	dialer *between
}

func (c *betweenConn) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(c.dialer.before)) {
		c.dialer.once.Do(c.dialer.do)
	}
	return c.Conn.Write(p)
}

// Rotate makes the new key current and keeps the old one for the overlap.
func TestRotate(t *testing.T) {
	b := startBed(t, server.Options{JetStream: true})
	put(t, b.bucket(t, 5), "keys", `{"masterKey":"`+keyA+`","other":"x"}`)
	c := start(t, b.open(t, "nats-kv://creds/keys#masterKey"))
	r, err := c.Rotate(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	key := string(r.Value.Reveal())
	if got, want := stored(t, b, "keys"), `{"masterKey":"`+key+`","other":"x"}`; got != want || r.VersionID != "2" {
		t.Errorf("version %s is stored as %d bytes, want version 2 and the other field as it was", r.VersionID, len(got))
	}
	if now, before := c.Verify(key), c.Verify(keyA); now.State != credential.Current || before.State != credential.Previous || !now.OK() || !before.OK() {
		t.Errorf("Verify(the new key) = %+v, Verify(the old key) = %+v", now, before)
	}
	if _, err := c.Rotate(t.Context(), false); !errors.Is(err, credential.ErrInOverlap) {
		t.Errorf("Rotate in the overlap = %v, want ErrInOverlap", err)
	}
}

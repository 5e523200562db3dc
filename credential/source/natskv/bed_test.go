package natskv_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/natskv"
)

const (
	keyA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	keyB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	keyC = "cccccccccccccccccccccccccccccccc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// bed is a NATS server of the test's own, and a connection to it that test and source share.
type bed struct {
	options server.Options
	server  *server.Server
	conn    *nats.Conn
	js      jetstream.JetStream
}

func startBed(t *testing.T, options server.Options, login ...nats.Option) *bed {
	t.Helper()
	options.Host, options.Port, options.StoreDir, options.NoSigs, options.NoLog = "127.0.0.1", server.RANDOM_PORT, t.TempDir(), true, true
	b := &bed{options: options}
	b.start(t)
	t.Cleanup(b.stop)
	b.options.Port = b.server.Addr().(*net.TCPAddr).Port
	b.conn = b.dial(t, login...)
	var err error
	if b.js, err = jetstream.New(b.conn); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bed) dial(t *testing.T, login ...nats.Option) *nats.Conn {
	t.Helper()
	quiet := nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})
	conn, err := nats.Connect(b.server.ClientURL(), append(login, quiet, nats.ReconnectWait(10*time.Millisecond), nats.ReconnectJitter(0, 0), nats.MaxReconnects(-1))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		closed := conn.StatusChanged(nats.CLOSED)
		conn.Close()
		<-closed
	})
	return conn
}

func (b *bed) start(t *testing.T) {
	t.Helper()
	options := b.options // the server changes what it is given
	s, err := server.NewServer(&options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		t.Fatal("the NATS server does not get ready")
	}
	b.server = s
}

func (b *bed) stop() {
	b.server.Shutdown()
	b.server.WaitForShutdown()
}

// interrupt stops the server until the returned function is called. The connection knows of both.
func (b *bed) interrupt(t *testing.T) (mend func()) {
	t.Helper()
	status := b.conn.StatusChanged(nats.RECONNECTING, nats.CONNECTED)
	b.stop()
	await(t, status, "the connection is lost")
	return func() {
		b.start(t)
		await(t, status, "the connection is back")
		b.conn.RemoveStatusListener(status)
	}
}

// await returns what comes next.
func await[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case v := <-from:
		return v
	case <-timer.C:
		t.Fatalf("not in %v: %s", patience, what)
		panic("unreachable")
	}
}

// bucket makes the bucket "creds", anew if it is there.
func (b *bed) bucket(t *testing.T, history uint8) jetstream.KeyValue {
	t.Helper()
	kv, err := b.js.CreateOrUpdateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "creds", History: history, Storage: jetstream.FileStorage})
	if err != nil {
		t.Fatal(err)
	}
	return kv
}

// put stores a value and returns its revision.
func put(t *testing.T, kv jetstream.KeyValue, key, value string) uint64 {
	t.Helper()
	revision, err := kv.PutString(t.Context(), key, value)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func (b *bed) connect(context.Context) (*nats.Conn, error) { return b.conn, nil }

// open makes the source of a reference on the connection of the bed.
func (b *bed) open(t *testing.T, text string) credential.Source {
	t.Helper()
	return openOn(t, b.connect, text)
}

func openOn(t *testing.T, connect func(context.Context) (*nats.Conn, error), text string) credential.Source {
	t.Helper()
	ref, err := credential.ParseReference(text)
	if err != nil {
		t.Fatal(err)
	}
	source, err := natskv.Opener(connect)(ref)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// start makes a credential of a source and starts it.
func start(t *testing.T, source credential.Source) *credential.Credential {
	t.Helper()
	c, err := credential.New(credential.Config{Name: "masterKey", Source: source})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return c
}

// what is a version without its times.
type what struct {
	ID     string
	Number uint64
	State  credential.State
	Value  string
}

func versions(t *testing.T, s credential.Source) []what {
	t.Helper()
	payload, err := s.Fetch(t.Context())
	if err != nil {
		t.Fatalf("Fetch failed: %v", err)
	}
	var all []what
	for _, v := range payload.Versions {
		all = append(all, what{v.ID, v.Number, v.State, string(v.Value.Reveal())})
	}
	return all
}

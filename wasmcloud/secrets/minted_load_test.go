package secrets_test

import (
	order "encoding/binary"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/natsconn"
	"github.com/parley-backend/parley/wasmcloud/secrets"
)

// TestMintedLoginsLoseNothing: a connection that logs in with short-lived minted logins only, under load. In small, always.
func TestMintedLoginsLoseNothing(t *testing.T) {
	mintedLoad(t, 5*time.Second, 8*time.Second, 500)
}

// JWTs of 60 s for 10 minutes, or as the variable says.
func TestMintedLoginsLoad(t *testing.T) {
	ttl, last, ok := strings.Cut(os.Getenv("PARLEY_TEST_MINTED_LOAD"), ",")
	if !ok {
		t.Skip("ten minutes of load: set PARLEY_TEST_MINTED_LOAD=60s,10m, the life of a JWT and how long")
	}
	mintedLoad(t, must(time.ParseDuration(ttl)), must(time.ParseDuration(last)), 1000)
}

// numbered counts messages that bear a number.
type numbered struct {
	mu    sync.Mutex
	times map[uint32]int
}

func (n *numbered) take(m *nats.Msg) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.times == nil {
		n.times = map[uint32]int{}
	}
	n.times[order.BigEndian.Uint32(m.Data)]++
}

func (n *numbered) different() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.times)
}

// exactly checks that each of so many came once.
func (n *numbered) exactly(t *testing.T, what string, sent int) {
	t.Helper()
	for deadline := time.Now().Add(patience); n.different() < sent && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	lost, twice := sent-n.different(), 0
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, times := range n.times {
		twice += times - 1
	}
	t.Logf("%s: %d sent, %d lost, %d twice", what, sent, lost, twice)
	if lost != 0 || twice != 0 {
		t.Errorf("%s: of %d sent %d are lost and %d came twice, want none", what, sent, lost, twice)
	}
}

func mintedLoad(t *testing.T, ttl, last time.Duration, rate int) {
	account, root := must(nkeys.CreateAccount()), must(nkeys.CreateOperator())
	resolver := &server.MemAccResolver{}
	public := must(account.PublicKey())
	if err := resolver.Store(public, must(jwt.NewAccountClaims(public).Encode(root))); err != nil {
		t.Fatal(err)
	}
	trusted := must(jwt.DecodeOperatorClaims(must(jwt.NewOperatorClaims(must(root.PublicKey())).Encode(root))))
	s := serve(t, &server.Options{TrustedOperators: []*jwt.OperatorClaims{trusted}, AccountResolver: resolver})
	b := start(t, map[string]secrets.Key{"login": {Mint: &secrets.Mint{Signing: hold(t, keeps(text(public, string(must(account.Seed()))))), TTL: ttl}}})
	presenter := must(credential.NewPresenter(hold(t, b.client.Source("login"), func(c *credential.Config) { c.Check = natsconn.Check }), natsconn.Decode))
	conn := must(natsconn.Open(t.Context(), natsconn.Config{Servers: []string{s.ClientURL()}, Name: "minted", Credential: presenter}))
	t.Cleanup(conn.Close)

	key := must(nkeys.CreateUser())
	claims := jwt.NewUserClaims(must(key.PublicKey()))
	direct := must(nats.Connect(s.ClientURL(), nats.UserJWTAndSeed(must(claims.Encode(account)), string(must(key.Seed())))))
	closed := make(chan struct{})
	direct.SetClosedHandler(func(*nats.Conn) { close(closed) })
	t.Cleanup(func() {
		direct.Close()
		<-closed
	})
	var queue, plain, published numbered
	must(conn.QueueSubscribe("in", "workers", queue.take))
	must(conn.Subscribe("in", plain.take))
	must(direct.Subscribe("out", published.take))
	must(direct.Subscribe("ask", func(m *nats.Msg) { time.AfterFunc(100*time.Millisecond, func() { _ = m.Respond(m.Data) }) }))
	if err := conn.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := direct.Flush(); err != nil {
		t.Fatal(err)
	}
	var asking sync.WaitGroup
	var failed atomic.Int64
	sent, asked := 0, 0
	for begun := time.Now(); time.Since(begun) < last; time.Sleep(time.Millisecond) {
		for want := int(time.Since(begun).Seconds() * float64(rate)); sent < want; sent++ {
			data := order.BigEndian.AppendUint32(nil, uint32(sent))
			if direct.Publish("in", data) != nil || conn.Publish("out", data) != nil {
				failed.Add(1)
			}
			if sent%10 == 0 {
				asked++
				asking.Go(func() {
					if m, err := conn.Request(t.Context(), "ask", data); err != nil || string(m.Data) != string(data) {
						failed.Add(1)
					}
				})
			}
		}
	}
	asking.Wait()
	queue.exactly(t, "queue group", sent)
	plain.exactly(t, "plain subscription", sent)
	published.exactly(t, "published", sent)
	logins := conn.Generation()
	t.Logf("JWTs of %v for %v: %d logins; %d requests; %d failed", ttl, last, logins, asked, failed.Load())
	if failed.Load() != 0 {
		t.Errorf("%d publishes and requests failed, want none", failed.Load())
	}
	if want := uint64(last / ttl); logins <= want {
		t.Errorf("%d logins in %v with JWTs of %v, want more than %d", logins, last, ttl, want)
	}
	if err := conn.LastError(); err != nil {
		t.Errorf("the last error of the connection is %v, want none", fmt.Sprint(err))
	}
}

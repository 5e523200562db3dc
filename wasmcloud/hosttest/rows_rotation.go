package hosttest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

// What happens to messages, requests and publishes while a login changes.

// streamWindow is how many messages of a stream may be on their way: a slow machine publishes less, and loses nothing for that.
const streamWindow = 1000

// stream publishes numbered messages to subjects of a server, for a component, until its stop, which returns how many went to each.
func (b *bed) stream(s *Server, c *Component, rate int, subjects ...string) (stop func() int) {
	b.Helper()
	nc, ended, before := s.Connect(), make(chan struct{}), c.Count()
	var sent int
	var work sync.WaitGroup
	work.Go(func() {
		for start := time.Now(); ; {
			want := int(time.Since(start).Seconds() * float64(rate))
			for ; sent < want && sent*len(subjects)-(c.Count()-before) < streamWindow; sent++ {
				for _, subject := range subjects {
					_ = nc.Publish(subject, fmt.Appendf(nil, "%s %d", subject, sent))
				}
			}
			select {
			case <-ended:
				_ = nc.Flush()
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	var once sync.Once
	end := func() int {
		once.Do(func() {
			close(ended)
			work.Wait()
		})
		return sent
	}
	b.Cleanup(func() { end() })
	return end
}

// allOnce waits until a component has had each message of a stream, and wants each to have come once.
func (b *bed) allOnce(c *Component, sent int, subjects ...string) {
	b.Helper()
	times := map[string]int{}
	tally := func() (missing, twice int) {
		clear(times)
		for _, body := range c.Bodies() {
			times[body]++
		}
		for _, subject := range subjects {
			for i := range sent {
				switch n := times[fmt.Sprintf("%s %d", subject, i)]; {
				case n == 0:
					missing++
				case n > 1:
					twice++
				}
			}
		}
		return missing, twice
	}
	missing, twice := tally()
	for last, since := c.Count(), time.Now(); missing > 0 && time.Since(since) < 20*time.Second; time.Sleep(50 * time.Millisecond) {
		if n := c.Count(); n != last {
			last, since = n, time.Now()
		}
		missing, twice = tally()
	}
	if missing > 0 || twice > 0 || sent == 0 {
		b.Errorf("of %d messages to each of %q %d are lost and %d came more than once, want none", sent, subjects, missing, twice)
	}
}

// usedBy waits until the only login that a provider uses on a server is that of a user.
func (b *bed) usedBy(s *Server, public string) {
	b.Helper()
	Eventually(b, "the new login is in use, and no other", func() bool {
		clients := s.Clients()
		return len(clients) == 1 && clients[0].AuthorizedUser == public
	})
}

const streamRate = 1000

// rotates has the login of a link change four times under a stream of messages, of which none may be lost or come twice.
func (b *bed) rotates(oneWay time.Duration) {
	h, s := b.lattice(ServerOptions{}), NewServer(b, ServerOptions{JWT: true})
	proxy := NewProxy(b, s.Address())
	proxy.Delay(oneWay)
	link := Handler("echo", "cluster_uris", proxy.URL(), "subscriptions", "plain,queued|workers", "max_in_flight", "1000")
	p := b.start(h, ProviderOptions{Links: []Link{link.WithLogin(s.User(0))}})
	echo := h.Component("echo", Ok)
	b.subscribed(s, "plain", 1)
	b.subscribed(s, "queued", 1)
	stop := b.stream(s, echo, streamRate, "plain", "queued")
	for range 4 {
		next := s.User(0)
		p.PutLink(link.WithLogin(next))
		b.usedBy(s, next.Public)
	}
	b.allOnce(echo, stop(), "plain", "queued")
}

func rotation(b *bed) { b.rotates(0) }

// rotationFar is where a subscription that is not confirmed loses messages.
func rotationFar(b *bed) { b.rotates(10 * time.Millisecond) }

func deleteAndPut(b *bed) {
	h, s := b.lattice(ServerOptions{}), NewServer(b, ServerOptions{JWT: true})
	link := Handler("echo", "cluster_uris", s.URL(), "subscriptions", "plain,queued|workers", "max_in_flight", "1000")
	p := b.start(h, ProviderOptions{Links: []Link{link.WithLogin(s.User(0))}})
	echo := h.Component("echo", Ok)
	b.subscribed(s, "plain", 1)
	b.subscribed(s, "queued", 1)
	stop := b.stream(s, echo, streamRate, "plain", "queued")
	for range 2 {
		next := s.User(0)
		p.DeleteLink(link)
		p.PutLink(link.WithLogin(next))
		b.usedBy(s, next.Public)
	}
	b.allOnce(echo, stop(), "plain", "queued")
}

// queueRefused: the login may not subscribe to any queue group, not even a private one.
func queueRefused(b *bed) {
	h, s := b.lattice(ServerOptions{}), NewServer(b, ServerOptions{JWT: true})
	plain := func(c *jwt.UserClaims) { c.Sub.Deny.Add("> >") }
	link := Handler("echo", "cluster_uris", s.URL(), "subscriptions", "x")
	p := b.start(h, ProviderOptions{Links: []Link{link.WithLogin(s.User(0, plain))}})
	echo := h.Component("echo", Ok)
	b.subscribed(s, "x", 1)
	b.delivers(s, "x", echo)
	next := s.User(0, plain)
	p.PutLink(link.WithLogin(next))
	b.usedBy(s, next.Public)
	b.subscribed(s, "x", 1)
	b.delivers(s, "x", echo)
}

func requestsSurvive(b *bed) {
	h, s := b.lattice(ServerOptions{}), NewServer(b, ServerOptions{JWT: true})
	link := Consumer("echo", "cluster_uris", s.URL())
	p := b.start(h, ProviderOptions{Links: []Link{link.WithLogin(s.User(0))}})
	echo := h.Component("echo", Ok)
	b.publishes(p, echo, s, "default")
	nc := s.Connect()
	if _, err := nc.Subscribe("slow", func(m *nats.Msg) { time.AfterFunc(300*time.Millisecond, func() { _ = m.Respond(m.Data) }) }); err != nil {
		b.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		b.Fatal(err)
	}
	stop, failed, answered := make(chan struct{}), atomic.Int64{}, atomic.Int64{}
	var work sync.WaitGroup
	for range 20 {
		work.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				reply, err := echo.Request(b.Context(), p, "", wrpc.RequestParams{Subject: "slow", Body: []byte("x"), TimeoutMillis: 30_000})
				if err != nil || reply.Failed {
					failed.Add(1)
				} else {
					answered.Add(1)
				}
			}
		})
	}
	for range 3 {
		next, before := s.User(0), answered.Load()
		p.PutLink(link.WithLogin(next))
		b.usedBy(s, next.Public)
		Eventually(b, "requests are answered over the new login", func() bool { return answered.Load() > before+20 })
	}
	close(stop)
	work.Wait()
	if n := failed.Load(); n != 0 {
		b.Errorf("%d of %d requests failed while the login changed, want none", n, n+answered.Load())
	}
}

func publishesSurvive(b *bed) {
	h, s := b.lattice(ServerOptions{}), NewServer(b, ServerOptions{JWT: true})
	link := Consumer("echo", "cluster_uris", s.URL())
	p := b.start(h, ProviderOptions{Links: []Link{link.WithLogin(s.User(0))}})
	echo := h.Component("echo", Ok)
	b.publishes(p, echo, s, "default")
	var arrived atomic.Int64
	nc := s.Connect()
	if _, err := nc.Subscribe("counted", func(*nats.Msg) { arrived.Add(1) }); err != nil {
		b.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		b.Fatal(err)
	}
	stop, sent, failed := make(chan struct{}), atomic.Int64{}, atomic.Int64{}
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if done, err := echo.Publish(b.Context(), p, "", wrpc.BrokerMessage{Subject: "counted"}); err != nil || done.Failed {
					failed.Add(1)
				} else {
					sent.Add(1)
				}
			}
		})
	}
	for range 4 {
		next, before := s.User(0), sent.Load()
		p.PutLink(link.WithLogin(next))
		b.usedBy(s, next.Public)
		Eventually(b, "components publish over the new login", func() bool { return sent.Load() > before+20 })
	}
	close(stop)
	work.Wait()
	if n := failed.Load(); n != 0 {
		b.Errorf("%d publishes failed", n)
	}
	Eventually(b, fmt.Sprintf("all %d that were taken arrive", sent.Load()), func() bool { return arrived.Load() >= sent.Load() })
	if got := arrived.Load(); got != sent.Load() {
		b.Errorf("%d messages arrived, and %d were published", got, sent.Load())
	}
}

// renewal: the JWT in a file is replaced before it ends, and nobody notices.
func renewal(b *bed) {
	h, s := b.lattice(ServerOptions{}), NewServer(b, ServerOptions{JWT: true})
	first := s.User(6 * time.Second)
	begun := time.Now()
	file := newCreds(b, first)
	b.start(h, ProviderOptions{Links: []Link{Handler("echo", "cluster_uris", s.URL(), "subscriptions", "plain,queued|workers", "max_in_flight", "1000", "credentials", file.reference())}})
	echo := h.Component("echo", Ok)
	b.subscribed(s, "plain", 1)
	b.subscribed(s, "queued", 1)
	stop := b.stream(s, echo, 200, "plain", "queued")
	next := s.User(0)
	file.write(next)
	b.usedBy(s, next.Public)
	for time.Since(begun) < 7*time.Second { // the server ends connections up to a second late
		time.Sleep(50 * time.Millisecond)
	}
	b.allOnce(echo, stop(), "plain", "queued")
}

// storeOutage: the JWT ends while there is no other one.
func storeOutage(b *bed) {
	h, s := b.lattice(ServerOptions{}), NewServer(b, ServerOptions{JWT: true})
	file := newCreds(b, s.User(4*time.Second))
	p := b.start(h, ProviderOptions{Links: []Link{Handler("echo", "cluster_uris", s.URL(), "subscriptions", "x", "credentials", file.reference())}})
	echo := h.Component("echo", Ok)
	b.subscribed(s, "x", 1)
	b.delivers(s, "x", echo)
	p.AwaitHealth(false)
	b.subscribed(s, "x", 0)
	file.write(s.User(0))
	b.subscribed(s, "x", 1)
	b.delivers(s, "x", echo)
	p.AwaitHealth(true)
	if p.Starts() != 1 {
		b.Errorf("it was started %d times", p.Starts())
	}
}

func revocation(b *bed) {
	h, s := b.lattice(ServerOptions{}), NewServer(b, ServerOptions{JWT: true})
	first, second, third := s.User(0), s.User(0), s.User(0)
	file := newCreds(b, first)
	p := b.start(h, ProviderOptions{Links: []Link{Handler("echo", "cluster_uris", s.URL(), "subscriptions", "x", "max_in_flight", "1000", "credentials", file.reference())}})
	echo := h.Component("echo", Ok)
	b.subscribed(s, "x", 1)
	// Rotated first, revoked then: nothing is lost.
	stop := b.stream(s, echo, streamRate, "x")
	file.write(second)
	b.usedBy(s, second.Public)
	s.Revoke(first.Public)
	b.allOnce(echo, stop(), "x")
	// Revoked without a warning: it comes back with the new one.
	s.Revoke(second.Public)
	file.write(third)
	b.usedBy(s, third.Public)
	b.subscribed(s, "x", 1)
	b.delivers(s, "x", echo)
	if p.Starts() != 1 {
		b.Errorf("it was started %d times", p.Starts())
	}
}

// oneGeneration: a file changes quickly, and JWT and seed are never of two generations.
func oneGeneration(b *bed) {
	h, s := b.lattice(ServerOptions{}), NewServer(b, ServerOptions{JWT: true})
	file := newCreds(b, s.User(0))
	p := b.start(h, ProviderOptions{Links: []Link{Consumer("echo", "cluster_uris", s.URL(), "credentials", file.reference())}})
	echo := h.Component("echo", Ok)
	b.publishes(p, echo, s, "default")
	var last Login
	for range 30 {
		last = s.User(0)
		file.write(last)
		if done, err := echo.Publish(b.Context(), p, "", wrpc.BrokerMessage{Subject: "x"}); err != nil || done.Failed {
			b.Fatalf("Publish while the login changes = %v, %v", done, err)
		}
	}
	b.usedBy(s, last.Public)
	if strings.Contains(p.Log.String(), "uthorization Violation") {
		b.Error("the server refused a login, and all of them are good")
	}
}

// secretsUnlogged: at the level that tells most, with all that goes wrong, no secret is in the log. That the log is searched is a part
// of every row.
func secretsUnlogged(b *bed) {
	lattice, s := NewServer(b, ServerOptions{JWT: true}), NewServer(b, ServerOptions{JWT: true})
	h := NewHost(b, HostOptions{Server: lattice, LogLevel: "trace"})
	good, ended := s.User(0), s.User(-time.Minute)
	broken := good
	broken.Seed = good.Seed[:len(good.Seed)-2] + "AA"
	p := b.start(h, ProviderOptions{Secrets: map[string]Secret{"token": {Text: "a token that nobody has to know"}}, Links: []Link{
		Consumer("good", "cluster_uris", s.URL()).WithLogin(good),
		Consumer("ended", "cluster_uris", s.URL()).WithLogin(ended),
		Consumer("broken", "cluster_uris", s.URL()).WithLogin(broken),
		Consumer("in-config", "cluster_uris", s.URL(), "client_jwt", good.JWT, "client_seed", good.Seed),
	}})
	b.publishes(p, h.Component("good", Ok), s, "default")
	p.AwaitHealth(false)
	if _, err := p.RequestShutdown(h.ID, time.Minute); err != nil && !errors.Is(err, nats.ErrTimeout) {
		b.Error(err)
	}
}

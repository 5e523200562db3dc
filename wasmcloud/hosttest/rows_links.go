package hosttest

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

// How links come, change and go, and where their settings come from.

// publishes checks that a component's publish arrives at a server.
func (b *bed) publishes(p *Provider, c *Component, s *Server, link string) {
	b.Helper()
	nc := s.Connect()
	sub, err := nc.SubscribeSync("hosttest.published")
	if err != nil {
		b.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		b.Fatal(err)
	}
	Eventually(b, "a component publishes over the link "+link, func() bool {
		done, err := c.Publish(b.Context(), p, link, wrpc.BrokerMessage{Subject: "hosttest.published", Body: []byte("hello")})
		if err != nil && !errors.Is(err, wrpc.ErrNoResult) {
			b.Fatalf("Publish = %v", err)
		}
		return err == nil && !done.Failed
	})
	// A provider may take a message before it is connected: what counts is that it arrives.
	Eventually(b, "what was published arrives", func() bool {
		n, _, err := sub.Pending()
		return err == nil && n > 0
	})
}

// delivers checks that a message to a subject of a server comes to a component.
func (b *bed) delivers(s *Server, subject string, c *Component) {
	b.Helper()
	nc, before := s.Connect(), c.Count()
	if err := nc.Publish(subject, []byte("hello")); err != nil {
		b.Fatal(err)
	}
	Eventually(b, "a message to "+subject+" comes to "+c.ID, func() bool { return c.Count() > before })
}

func linkPut(b *bed) {
	for name, noKeys := range map[string]bool{"with keys": false, "without keys": true} {
		b.Run(name, func(t *testing.T) {
			in := &bed{T: t, launch: b.launch}
			h, s := in.lattice(ServerOptions{}), NewServer(t, ServerOptions{})
			p := in.start(h, ProviderOptions{NoKeys: noKeys})
			echo := h.Component("echo", Ok)
			p.PutLink(Consumer("echo", "cluster_uris", s.URL()))
			p.PutLink(Handler("echo", "cluster_uris", s.URL(), "subscriptions", "x"))
			in.subscribed(s, "x", 1)
			in.delivers(s, "x", echo)
			in.publishes(p, echo, s, "default")
		})
	}
}

func linkDelete(b *bed) {
	h, s := b.lattice(ServerOptions{}), NewServer(b, ServerOptions{})
	uris := []string{"cluster_uris", s.URL(), "subscriptions"}
	one, two := Handler("echo", append(uris, "one")...).Named("one"), Handler("echo", append(uris, "two")...).Named("two")
	first, second := Consumer("echo", "cluster_uris", s.URL()).Named("one"), Consumer("echo", "cluster_uris", s.URL()).Named("two")
	p := b.start(h, ProviderOptions{Links: []Link{one, two, first, second}})
	echo := h.Component("echo", Ok)
	b.subscribed(s, "one", 1)
	b.subscribed(s, "two", 1)
	p.DeleteLink(one)
	p.DeleteLink(first)
	b.subscribed(s, "one", 0)
	b.delivers(s, "two", echo)
	Eventually(b, "the deleted link is not used", func() bool {
		_, err := echo.Publish(b.Context(), p, "one", wrpc.BrokerMessage{Subject: "x"})
		return errors.Is(err, wrpc.ErrNoResult)
	})
	b.publishes(p, echo, s, "two")
	p.DeleteLink(two)
	b.subscribed(s, "two", 0)
}

func sealedSecrets(b *bed) {
	h, s := b.lattice(ServerOptions{}), NewServer(b, ServerOptions{JWT: true})
	l := s.User(0)
	inBytes := Consumer("bytes", "cluster_uris", s.URL()).With("client_jwt", Secret{Bytes: []byte(l.JWT)}).With("client_seed", Secret{Bytes: []byte(l.Seed)})
	p := b.start(h, ProviderOptions{Links: []Link{Consumer("text", "cluster_uris", s.URL()).WithLogin(s.User(0)), inBytes}})
	b.publishes(p, h.Component("text", Ok), s, "default")
	b.publishes(p, h.Component("bytes", Ok), s, "default")
	peer := Consumer("later", "cluster_uris", s.URL()).WithLogin(s.User(0))
	peer.PeerSecrets = map[string]Secret{"other": {Text: "a secret of the component's end"}}
	p.PutLink(peer)
	b.publishes(p, h.Component("later", Ok), s, "default")
}

var warning = regexp.MustCompile(`(?im)^.*\bwarn.*secret.*$`)

func secretsFirst(b *bed) {
	for _, test := range []struct {
		name           string
		secret, config bool
		warnings       int
	}{{"secrets", true, false, 0}, {"secrets and config", true, true, 0}, {"config", false, true, 1}, {"neither", false, false, 0}} {
		b.Run(test.name, func(t *testing.T) {
			in := &bed{T: t, launch: b.launch}
			h, s := in.lattice(ServerOptions{}), NewServer(t, ServerOptions{JWT: test.secret || test.config})
			link := Consumer("echo", "cluster_uris", s.URL())
			if test.config {
				l := s.User(0)
				if test.secret {
					s.Revoke(l.Public) // what is in config must not be used
				}
				link.Config["client_jwt"], link.Config["client_seed"] = l.JWT, l.Seed
			}
			if test.secret {
				link = link.WithLogin(s.User(0))
			}
			p := in.start(h, ProviderOptions{Links: []Link{link}})
			in.publishes(p, h.Component("echo", Ok), s, "default")
			if got := warning.FindAllString(p.Log.String(), -1); len(got) != test.warnings {
				t.Errorf("%d warnings that speak of secrets, want %d", len(got), test.warnings)
			}
		})
	}
}

func secretsOnly(b *bed) {
	h, s := b.lattice(ServerOptions{}), NewServer(b, ServerOptions{JWT: true})
	own := s.User(0)
	p := b.start(h, ProviderOptions{
		Config: map[string]string{"cluster_uris": s.URL()}, Secrets: map[string]Secret{"client_jwt": {Text: own.JWT}, "client_seed": {Text: own.Seed}},
		Links: []Link{Consumer("alone").WithLogin(s.User(0)), Consumer("of-the-provider"), Consumer("config-only", "ping_interval_sec", "30")},
	})
	for _, component := range []string{"alone", "of-the-provider", "config-only"} {
		b.publishes(p, h.Component(component, Ok), s, "default")
	}
}

func loginIsAPair(b *bed) {
	h, s := b.lattice(ServerOptions{}), NewServer(b, ServerOptions{JWT: true})
	one, two := s.User(0), s.User(0)
	mixed := one
	mixed.Seed = two.Seed
	p := h.Start(ProviderOptions{Launch: b.launch, Links: []Link{Consumer("mixed-up", "cluster_uris", s.URL()).WithLogin(mixed)}})
	health := p.AwaitHealth(false)
	if !strings.Contains(health.Message, "mixed-up") {
		b.Errorf("health says %q, want the link", health.Message)
	}
	Eventually(b, "the log names the link", func() bool { return strings.Contains(p.Log.String(), "mixed-up") })
	p.PutLink(Consumer("mixed-up", "cluster_uris", s.URL()).WithLogin(two))
	p.AwaitHealth(true)
	b.publishes(p, h.Component("mixed-up", Ok), s, "default")

	whole := Consumer("whole", "cluster_uris", s.URL(), "client_seed", one.Seed).WithLogin(two)
	p.PutLink(whole)
	b.publishes(p, h.Component("whole", Ok), s, "default")
}

func defaultServer(b *bed) {
	h, s := b.lattice(ServerOptions{}), NewServer(b, ServerOptions{})
	b.start(h, ProviderOptions{Config: map[string]string{"cluster_uris": s.URL()}, Links: []Link{Handler("echo", "subscriptions", "x")}})
	b.subscribed(s, "x", 1)
	b.delivers(s, "x", h.Component("echo", Ok))
}

func configKeys(b *bed) {
	h := b.lattice(ServerOptions{})
	dead := NewServer(b, ServerOptions{})
	dead.Stop()
	s := NewServer(b, ServerOptions{Change: user("somebody", "the password of somebody")})
	withUser := strings.Replace(s.URL(), "nats://", "nats://somebody:the%20password%20of%20somebody@", 1)
	p := b.start(h, ProviderOptions{Links: []Link{Handler("echo", "SUBSCRIPTIONS", "x", "Cluster_URIs", " "+dead.URL()+" , "+withUser+" ")}})
	b.subscribed(s, "x", 1)
	b.delivers(s, "x", h.Component("echo", Ok))
	if strings.Contains(p.Log.String(), "the%20password") {
		b.Error("the log holds the password of an address")
	}
}

func tlsLinks(b *bed) {
	a := NewAuthority(b)
	certificate, key := a.Issue("client")
	for _, test := range []struct {
		name   string
		server ServerOptions
		config []string
	}{
		{"a private authority", ServerOptions{TLS: a.Server(false)}, nil},
		{"a client's certificate", ServerOptions{TLS: a.Server(true)}, []string{"tls_cert", certificate, "tls_key", key}},
		{"TLS first", ServerOptions{TLS: a.Server(false), TLSFirst: true}, []string{"tls_first", "true"}},
	} {
		b.Run(test.name, func(t *testing.T) {
			in := &bed{T: t, launch: b.launch}
			h, s := in.lattice(ServerOptions{}), NewServer(t, test.server)
			p := h.Start(ProviderOptions{Launch: b.launch, Links: []Link{Handler("echo", append(test.config, "cluster_uris", s.URL(), "tls_ca", a.PEM, "subscriptions", "x")...)}})
			in.subscribed(s, "x", 1)
			p.AwaitHealth(true)
			stranger := NewServer(t, ServerOptions{TLS: NewAuthority(t).Server(false)})
			p.PutLink(Handler("cheated", "cluster_uris", stranger.URL(), "tls_ca", a.PEM, "subscriptions", "x"))
			if health := p.AwaitHealth(false); !strings.Contains(health.Message, "cheated") {
				t.Errorf("health says %q, want the link to the server of another authority", health.Message)
			}
		})
	}
}

func failedLink(b *bed) {
	h, s := b.lattice(ServerOptions{}), NewServer(b, ServerOptions{})
	s.Stop()
	p := h.Start(ProviderOptions{Launch: b.launch, Links: []Link{Handler("echo", "cluster_uris", s.URL(), "subscriptions", "x")}})
	if health := p.AwaitHealth(false); !strings.Contains(health.Message, "echo") {
		b.Errorf("health says %q, want the link that failed", health.Message)
	}
	Eventually(b, "the log names the link that failed", func() bool { return strings.Contains(p.Log.String(), "echo") })
	s.Start()
	b.subscribed(s, "x", 1)
	b.delivers(s, "x", h.Component("echo", Ok))
	p.AwaitHealth(true)
}

func linkPutAgain(b *bed) {
	h, s := b.lattice(ServerOptions{}), NewServer(b, ServerOptions{JWT: true})
	login := s.User(0)
	link := Handler("echo", "cluster_uris", s.URL(), "subscriptions", "x").WithLogin(login)
	p := b.start(h, ProviderOptions{Links: []Link{link}})
	echo := h.Component("echo", Ok)
	b.subscribed(s, "x", 1)
	before := s.Accepted()
	p.PutLink(link)
	changed := Handler("echo", "cluster_uris", s.URL(), "subscriptions", "x,y").WithLogin(login)
	p.PutLink(changed)
	b.subscribed(s, "y", 1)
	b.delivers(s, "y", echo)
	if got := s.Accepted() - before; got > 2 { // the one of delivers, and one more for who makes a new one
		b.Errorf("%d new connections for an equal link and one with another subject, want at most 1", got-1)
	}
	next := s.User(0)
	p.PutLink(changed.WithLogin(next))
	Eventually(b, "the link uses the new login alone", func() bool {
		clients := s.Clients()
		return len(clients) == 1 && clients[0].AuthorizedUser == next.Public
	})
	b.delivers(s, "x", echo)
}

func linkNames(b *bed) {
	h := b.lattice(ServerOptions{})
	one, two := NewServer(b, ServerOptions{}), NewServer(b, ServerOptions{})
	p := b.start(h, ProviderOptions{Links: []Link{Consumer("echo", "cluster_uris", one.URL()).Named("one"), Consumer("echo", "cluster_uris", two.URL()).Named("two")}})
	echo := h.Component("echo", Ok)
	b.publishes(p, echo, one, "one")
	b.publishes(p, echo, two, "two")
	if done, err := echo.Publish(b.Context(), p, "three", wrpc.BrokerMessage{Subject: "x"}); !errors.Is(err, wrpc.ErrNoResult) {
		b.Errorf("Publish over a link that is not there = %v, %v, want no result", done, err)
	}
}

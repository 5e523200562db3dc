package hosttest_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/parley-backend/parley/wasmcloud/hosttest"
)

// Storms of links, config updates and malformed messages, a lattice that is away meanwhile, and a shutdown while links connect: what is
// well-formed works in the end, and nothing else counts.
func TestStorms(t *testing.T) {
	launch := hosttest.Launch(inProcess)
	links := 200
	if path := os.Getenv(hosttest.ProviderVariable); path != "" {
		launch, links = hosttest.Executable{Path: path}.Launch, 1000
	}
	lattice, s := hosttest.NewServer(t, hosttest.ServerOptions{}), hosttest.NewServer(t, hosttest.ServerOptions{JWT: true})
	way := hosttest.NewProxy(t, lattice.Address())
	h := hosttest.NewHost(t, hosttest.HostOptions{Server: lattice, URL: way.URL(), LogLevel: "warn"})
	p := h.Start(hosttest.ProviderOptions{Launch: launch, Config: map[string]string{"grace": "100ms", "cluster_uris": s.URL()}}).Await()
	login := s.User(time.Hour)
	link := func(i int) hosttest.Link {
		return hosttest.Handler(fmt.Sprint("c", i), "subscriptions", fmt.Sprint("in.", i)).WithLogin(login)
	}
	last := h.Component(fmt.Sprint("c", links-1), hosttest.Ok)
	h.Component("c0", hosttest.Silent) // takes messages and never answers
	malformed := []string{"", "{", "[]", `"x"`, `{"source_id":1}`, `{"source_id":"messaging-nats","target":"a.*"}`, `{"source_id":"x","target":"y"}`,
		`{"source_id":"messaging-nats","target":"b","source_secrets":[1,2,3]}`, `{"source_id":"messaging-nats","target":"b","source_secrets":"AQID"}`, strings.Repeat("[", 100_000)}
	for i := range links {
		p.PutLink(link(i))
		p.DeleteLink(link(i))
		p.PutLink(link(i))
		for _, what := range []string{"put", "del"} {
			p.Send("linkdefs."+what, []byte(malformed[i%len(malformed)]))
		}
		if err := h.Conn().Publish(p.PutSubject(), []byte(malformed[i%len(malformed)])); err != nil {
			t.Fatal(err)
		}
		p.UpdateConfig(map[string]string{"grace": "100ms", "cluster_uris": s.URL(), "max_in_flight": fmt.Sprint(1 + i%5)})
		p.Send("config.update", []byte(malformed[i%len(malformed)]))
	}
	hosttest.Eventually(t, "every link is subscribed once", func() bool { return s.Subscriptions("in.0") == 1 && len(s.Clients()) == links })
	nc := s.Connect()
	arrives := func(when string) {
		t.Helper()
		before := last.Count()
		hosttest.Eventually(t, "a message "+when, func() bool {
			if err := nc.Publish(fmt.Sprint("in.", links-1), []byte(when)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond) // a message a moment
			return last.Count() > before
		})
	}
	for range 100 {
		if err := nc.Publish("in.0", []byte("never answered")); err != nil {
			t.Fatal(err)
		}
	}
	arrives("after the storm")

	way.Refuse(true)
	way.Cut()
	time.Sleep(3 * time.Second) // for so long the lattice is away
	way.Refuse(false)
	arrives("after the lattice was away")
	if health, err := p.Health(); err != nil || strings.Contains(health.Message, "in.") {
		t.Errorf("Health = %v, %v", health, err)
	}

	for i := range links {
		p.DeleteLink(link(i))
	}
	hosttest.Eventually(t, "no link is left", func() bool { return len(s.Clients()) == 1 })
	for i := range 50 {
		p.PutLink(hosttest.Handler(fmt.Sprint("hole", i), "cluster_uris", hosttest.BlackHole(t), "subscriptions", "x"))
	}
	if took, err := p.Shutdown(); err != nil {
		t.Errorf("no answer to the shutdown after %v while links connect: %v", took, err)
	}
	<-p.Ended()
}

package messaging

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/wasmcloud"
)

// sides are what is given at the two levels.
type sides struct {
	link, provider map[string]string
	linkSecrets    map[string]string
	ownSecrets     map[string]string
	role           wasmcloud.Role
}

func hidden(values map[string]string) map[string]wasmcloud.Secret {
	m := make(map[string]wasmcloud.Secret)
	for name, value := range values {
		m[name] = credential.NewSecret(value)
	}
	return m
}

func (in sides) merge(strict bool) (*settings, error) {
	role := in.role
	if role == 0 {
		role = wasmcloud.Source
	}
	link, own := newLevel("link", in.link, hidden(in.linkSecrets), strict), newLevel("provider", in.provider, hidden(in.ownSecrets), strict)
	if strict {
		return strictMerge(link, own, role)
	}
	return merge(link, own, role, "default")
}

// Link config without cluster_uris keeps the provider's; the strict way goes back to the built-in default. Every rule of the merge
// is here in both ways.
func TestMergeInBothModes(t *testing.T) {
	for _, test := range []struct {
		name         string
		in           sides
		read         func(*settings) any
		want, strict any // an error is its text
	}{
		{
			"no config", sides{}, func(s *settings) any { return s.servers },
			[]string{"nats://127.0.0.1:4222"}, []string{"nats://0.0.0.0:4222"},
		},
		{
			"an empty link", sides{provider: map[string]string{"cluster_uris": "nats://p:1"}}, func(s *settings) any { return s.servers },
			[]string{"nats://p:1"}, []string{"nats://p:1"},
		},
		{
			"a link without cluster_uris", sides{provider: map[string]string{"cluster_uris": "nats://p:1"}, link: map[string]string{"subscriptions": "a"}},
			func(s *settings) any { return s.servers }, []string{"nats://p:1"}, []string{"nats://0.0.0.0:4222"},
		},
		{
			"several servers", sides{link: map[string]string{"cluster_uris": " a:1 , tls://b:2,,a:1"}}, func(s *settings) any { return s.servers },
			[]string{"nats://a:1", "tls://b:2"}, []string{"nats://a:1"},
		},
		{
			"an empty value", sides{link: map[string]string{"cluster_uris": " "}, provider: map[string]string{"cluster_uris": "p:1"}}, func(s *settings) any { return s.servers },
			[]string{"nats://p:1"}, []string{"nats://0.0.0.0:4222"},
		},
		{
			"subscriptions", sides{link: map[string]string{"subscriptions": " a , b.*|workers, a,,c.> | q "}}, func(s *settings) any { return s.subscriptions },
			[]subscription{{"a", ""}, {"b.*", "workers"}, {"c.>", "q"}}, []subscription{{"a", ""}, {"b.*", "workers"}, {"a", ""}, {"c.>", "q"}},
		},
		{
			"the provider's subscriptions on a handler's link", sides{provider: map[string]string{"subscriptions": "p"}}, func(s *settings) any { return s.subscriptions },
			[]subscription{{"p", ""}}, []subscription{{"p", ""}},
		},
		{
			"the provider's subscriptions on a consumer's link", sides{role: wasmcloud.Target, provider: map[string]string{"subscriptions": "p"}, link: map[string]string{"cluster_uris": "a:1"}},
			func(s *settings) any { return s.subscriptions }, []subscription(nil), []subscription{{"p", ""}},
		},
		{
			"a consumer's link with subscriptions", sides{role: wasmcloud.Target, link: map[string]string{"subscriptions": "p"}},
			func(s *settings) any { return s.subscriptions }, []subscription(nil), []subscription(nil),
		},
		{
			"upper case", sides{link: map[string]string{"SUBSCRIPTIONS": "a", "Cluster_URIs": "c:1"}}, func(s *settings) any { return []any{s.subscriptions, s.servers} },
			[]any{[]subscription{{"a", ""}}, []string{"nats://c:1"}}, []any{[]subscription(nil), []string{"nats://0.0.0.0:4222"}},
		},
		{
			"ping_interval_sec", sides{link: map[string]string{"ping_interval_sec": "7"}}, func(s *settings) any { return s.ping },
			7 * time.Second, time.Duration(0),
		},
		{
			"tls_ca_file", sides{link: map[string]string{"tls_ca_file": "/ca.pem"}}, func(s *settings) any { return s.tls.caFile },
			"/ca.pem", "",
		},
		{
			"consumers", sides{link: map[string]string{"consumers": `[{"stream":"S","consumer":"C","max_messages":5}]`}}, func(s *settings) any { return s.consumers },
			[]consumer{{Stream: "S", Consumer: "C", MaxMessages: 5}}, "JetStream consumers not supported by this provider",
		},
		{
			"the link overrides the provider", sides{provider: map[string]string{"max_in_flight": "7", "ordered": "true"}, link: map[string]string{"max_in_flight": "9"}},
			func(s *settings) any { return []any{s.maxInFlight, s.ordered} }, []any{9, true}, []any{9, true},
		},
		{
			"a secret of any key", sides{linkSecrets: map[string]string{"cluster_uris": "s:1"}, link: map[string]string{"cluster_uris": "c:1"}}, func(s *settings) any { return s.servers },
			[]string{"nats://s:1"}, []string{"nats://c:1"},
		},
		{
			"users in URLs", sides{link: map[string]string{"cluster_uris": "nats://u:p@a:1,b:2"}}, func(s *settings) any { return []any{s.servers, s.users, s.login.kind} },
			[]any{[]string{"nats://a:1", "nats://b:2"}, []string{"nats://u:p@a:1", "nats://b:2"}, urlLogin}, []any{[]string{"nats://a:1"}, []string{"nats://u:p@a:1"}, urlLogin},
		},
		{
			"a malformed address", sides{link: map[string]string{"cluster_uris": "http://a:1"}}, nil,
			"cluster_uris has an address that is not like nats://host:port", "cluster_uris is malformed\nhas an address that is not like nats://host:port",
		},
		{
			"a malformed number", sides{link: map[string]string{"max_in_flight": "many"}}, nil,
			"max_in_flight must be a number from 1 to 65536", "max_in_flight is malformed\nmust be a number from 1 to 65536",
		},
		{
			"a malformed subject", sides{link: map[string]string{"subscriptions": "a..b"}}, nil,
			`subscriptions has "a..b", which is no subject or subject|queue`, "subscriptions is malformed\nhas \"a..b\", which is no subject or subject|queue",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			for strict, want := range map[bool]any{false: test.want, true: test.strict} {
				s, err := test.in.merge(strict)
				var got any
				if err != nil {
					got = err.Error()
				} else {
					got = test.read(s)
				}
				if diff := cmp.Diff(want, got, cmp.AllowUnexported(subscription{}, consumer{})); diff != "" {
					t.Errorf("merge(strict=%v) (-want +got):\n%s", strict, diff)
				}
			}
		})
	}
}

// Every key has what the documents and the parser need, and no name is there twice.
func TestEveryKeyIsWhole(t *testing.T) {
	names := map[string]bool{}
	for _, k := range keys {
		for _, name := range append([]string{k.name}, k.aliases...) {
			if names[name] || name != strings.ToLower(name) {
				t.Errorf("the name %s is there twice, or not in lower case", name)
			}
			names[name] = true
			if got, ok := named(" " + strings.ToUpper(name) + " "); !ok || got.name != k.name {
				t.Errorf("named(%q) = %v, %v, want %v", name, got.name, ok, k.name)
			}
		}
		if k.doc == "" || k.value == "" || k.end == "" || (k.set == nil) != (k.group == loginGroup) {
			t.Errorf("the key %s lacks a document, a value, its ends or what reads it", k.name)
		}
	}
}

// Each key that is not of the login changes the settings, so none is read for nothing.
func TestEveryKeyHasAnEffect(t *testing.T) {
	values := map[string]string{
		"cluster_uris": "a:1", "subscriptions": "a", "consumers": `[{"stream":"S","consumer":"C"}]`, "custom_inbox_prefix": "in", "ping_interval_sec": "3",
		"tls_ca_file": "f", "tls_cert": "c", "tls_cert_file": "c", "tls_key": "k", "tls_key_file": "k", "tls_first": "true", "tls_server_name": "n",
		"max_in_flight": "3", "ordered": "yes", "max_pending": "5", "max_pending_bytes": "5000", "handler_timeout": "1s", "handler_error": "reply", "handler_retries": "2",
		"handler_retry_wait": "1s", "publish_flush": "server", "max_request_timeout": "1s", "allow_duplicates": "on", "grace": "2s", "strict_compat": "1",
	}
	for _, k := range keys {
		if k.set == nil || k.name == "tls_ca" { // which TestTLS has
			continue
		}
		value, there := values[k.name]
		if !there {
			t.Errorf("no value to try %s with", k.name)
			continue
		}
		s := defaults(false)
		if err := k.set(s, value); err != nil {
			t.Errorf("%s = %s: %v", k.name, value, err)
		}
		if same(s, defaults(false)) && s.tls == defaults(false).tls {
			t.Errorf("%s = %s changes nothing", k.name, value)
		}
	}
}

func TestClosest(t *testing.T) {
	for name, want := range map[string]string{"subscription": "subscriptions", "cluster_uri": "cluster_uris", "max_inflight": "max_in_flight", "tls-ca": "tls_ca", "something_else": "", "x": ""} {
		if got := closest(name); got != want {
			t.Errorf("closest(%q) = %q, want %q", name, got, want)
		}
	}
}

// The gate lets nobody in above its size, forgets those who gave up, and admits more when it grows.
func TestGate(t *testing.T) {
	g := &gate{size: 1}
	if err := g.enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended, cancel := contextEnded(t)
	defer cancel()
	if err := g.enter(ended); err == nil {
		t.Error("enter with an ended context = nil, want its error")
	}
	in := make(chan struct{})
	go func() {
		_ = g.enter(t.Context())
		close(in)
	}()
	g.resize(2)
	<-in
	if got := g.inside(); got != 2 {
		t.Errorf("inside = %d, want 2", got)
	}
	g.leave()
	g.leave()
	if err := g.empty(t.Context()); err != nil {
		t.Errorf("empty = %v, want nil", err)
	}
}

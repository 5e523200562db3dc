package auth

import (
	"net/http"
	"net/netip"
	"testing"
)

func TestIPList(t *testing.T) {
	for _, c := range []struct {
		list     []string
		addr     string
		contains bool
	}{
		{nil, "127.0.0.1", false},
		{[]string{"127.0.0.1", "::1"}, "127.0.0.1", true},
		{[]string{"127.0.0.1", "::1"}, "::1", true},
		{[]string{"127.0.0.1", "::1"}, "127.0.0.2", false},
		{[]string{"127.0.0.1"}, "::ffff:127.0.0.1", true},
		{[]string{"::ffff:10.1.2.3"}, "10.1.2.3", true},
		{[]string{"::ffff:10.0.0.0/104"}, "10.1.2.3", true},
		{[]string{"10.0.0.0/8"}, "10.255.0.1", true},
		{[]string{"10.0.0.0/8"}, "11.0.0.1", false},
		{[]string{"10.1.2.3/8"}, "10.255.0.1", true}, // the bits of the host do not count
		{[]string{"0.0.0.0/0"}, "203.0.113.9", true},
		{[]string{"0.0.0.0/0"}, "2001:db8::1", false},
		{[]string{"0.0.0.0"}, "203.0.113.9", true},
		{[]string{"::"}, "2001:db8::1", true},
		{[]string{"::0"}, "2001:db8::1", true},
		{[]string{"::/0"}, "2001:db8::1", true},
		{[]string{"::0/0"}, "203.0.113.9", false},
		{[]string{"2001:db8::/32"}, "2001:db8:1::5", true},
		{[]string{"fe80::1"}, "fe80::1%eth0", true},
	} {
		list, err := ParseIPList(c.list)
		if err != nil {
			t.Errorf("ParseIPList(%q): %v", c.list, err)
			continue
		}
		if got := list.Contains(netip.MustParseAddr(c.addr)); got != c.contains {
			t.Errorf("%q contains %s = %v, want %v", c.list, c.addr, got, c.contains)
		}
	}
	if Anywhere().Contains(netip.Addr{}) {
		t.Error("an address that could not be read is in the list of all addresses")
	}
	for _, bad := range []string{"", "localhost", "10.0.0.0/33", "10.0.0", "1.2.3.4:80", "::/129", "::ffff:0:0/90"} {
		if _, err := ParseIPList([]string{bad}); err == nil {
			t.Errorf("ParseIPList(%q) = nil error", bad)
		}
	}
}

func TestClientIP(t *testing.T) {
	for _, c := range []struct {
		trust     any
		peer      string
		forwarded []string
		want      string
	}{
		{nil, "192.0.2.1:99", []string{"198.51.100.1"}, "192.0.2.1"},
		{false, "192.0.2.1:99", []string{"198.51.100.1"}, "192.0.2.1"},
		{true, "192.0.2.1:99", nil, "192.0.2.1"},
		{true, "192.0.2.1:99", []string{"198.51.100.1, 198.51.100.2"}, "198.51.100.1"},
		{1.0, "192.0.2.1:99", []string{"198.51.100.1, 198.51.100.2"}, "198.51.100.2"},
		{2.0, "192.0.2.1:99", []string{"198.51.100.1", "198.51.100.2"}, "198.51.100.1"},
		{"1", "192.0.2.1:99", []string{"198.51.100.2"}, "198.51.100.2"},
		{"loopback", "127.0.0.1:99", []string{"203.0.113.7"}, "203.0.113.7"},
		{"loopback", "192.0.2.1:99", []string{"127.0.0.1"}, "192.0.2.1"},
		{"loopback, uniquelocal", "10.0.0.2:99", []string{"203.0.113.7, 127.0.0.1"}, "203.0.113.7"},
		{[]any{"10.0.0.0/8"}, "[::ffff:10.0.0.2]:99", []string{"203.0.113.7, 10.9.9.9"}, "203.0.113.7"},
		{[]any{"10.0.0.0/8"}, "10.0.0.2:99", []string{"127.0.0.1, 203.0.113.7"}, "203.0.113.7"}, // what a stranger claims is not believed
		{true, "10.0.0.2:99", []string{"unknown, 203.0.113.7"}, "203.0.113.7"},
		{true, "10.0.0.2:99", []string{"[2001:db8::1]:443"}, "2001:db8::1"},
	} {
		p, err := ParseProxies(c.trust)
		if err != nil {
			t.Errorf("ParseProxies(%v): %v", c.trust, err)
			continue
		}
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		if got := p.ClientIP(r); got.String() != c.want {
			t.Errorf("trusting %v, ClientIP of %s for %q = %s, want %s", c.trust, c.peer, c.forwarded, got, c.want)
		}
	}
	for _, bad := range []any{-1.0, 1.5, "nonsense", []any{1.0}, map[string]any{}} {
		if _, err := ParseProxies(bad); err == nil {
			t.Errorf("ParseProxies(%v) = nil error", bad)
		}
	}
}

package auth

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// Proxies says which peers may name the client they speak for, in X-Forwarded-For. The zero value trusts none.
type Proxies struct {
	all  bool
	hops int
	list IPList
}

// The names of address ranges that trustProxy may use in place of CIDR.
var proxyNames = map[string][]string{
	"loopback":    {"127.0.0.1/8", "::1/128"},
	"linklocal":   {"169.254.0.0/16", "fe80::/10"},
	"uniquelocal": {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"},
}

// ParseProxies reads the option trustProxy: true (every proxy), false (none), a number of hops, or a list of addresses,
// CIDR ranges and the names loopback, linklocal, uniquelocal; a string holds such a list separated by commas.
func ParseProxies(value any) (Proxies, error) {
	switch v := value.(type) {
	case nil:
		return Proxies{}, nil
	case bool:
		return Proxies{all: v}, nil
	case float64:
		if v < 0 || v != float64(int(v)) {
			return Proxies{}, fmt.Errorf("%v is not a number of proxies", v)
		}
		return Proxies{hops: int(v)}, nil
	case string:
		switch v {
		case "true", "false":
			return Proxies{all: v == "true"}, nil
		}
		if n, err := strconv.Atoi(v); err == nil && n >= 0 {
			return Proxies{hops: n}, nil
		}
		return parseProxyList(strings.Split(v, ","))
	case []string:
		return parseProxyList(v)
	case []any:
		entries := make([]string, len(v))
		for i := range v {
			s, ok := v[i].(string)
			if !ok {
				return Proxies{}, fmt.Errorf("%v is not an address", v[i])
			}
			entries[i] = s
		}
		return parseProxyList(entries)
	}
	return Proxies{}, fmt.Errorf("%T is no list of proxies", value)
}

func parseProxyList(entries []string) (Proxies, error) {
	var cidrs []string
	for _, e := range entries {
		e = strings.TrimSpace(e)
		if e == "" {
			continue
		}
		if named, ok := proxyNames[e]; ok {
			cidrs = append(cidrs, named...)
			continue
		}
		cidrs = append(cidrs, e)
	}
	list, err := ParseIPList(cidrs)
	return Proxies{list: list}, err
}

// ClientIP returns the address of the client of a request. From the peer of the connection it walks X-Forwarded-For from
// the right for as long as the address it stands on is trusted to speak for another; an entry that is not an address ends the walk.
func (p Proxies) ClientIP(r *http.Request) netip.Addr {
	addr := peer(r.RemoteAddr)
	if !p.trusts(addr, 0) {
		return addr
	}
	forwarded := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for hop := 1; len(forwarded) > 0; hop++ {
		last := strings.TrimSpace(forwarded[len(forwarded)-1])
		forwarded = forwarded[:len(forwarded)-1]
		next := peer(last)
		if !next.IsValid() {
			return addr
		}
		addr = next
		if !p.trusts(addr, hop) {
			return addr
		}
	}
	return addr
}

// trusts tells whether the party at a distance of hop from this server is a proxy.
func (p Proxies) trusts(addr netip.Addr, hop int) bool {
	return p.all || hop < p.hops || p.list.Contains(addr)
}

// peer reads "address:port" or an address alone, in either family.
func peer(s string) netip.Addr {
	if host, _, err := net.SplitHostPort(s); err == nil {
		s = host
	}
	addr, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap().WithZone("")
}

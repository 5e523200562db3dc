package webhook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"
)

// allowList says which hosts may be called; nil allows all.
type allowList struct {
	names    []string // "host", or ".domain" for all below it
	prefixes []netip.Prefix
}

var errNotAllowed = errors.New("the address is not among those that may be called")

func parseAllow(texts []string) (*allowList, error) {
	if texts == nil {
		return nil, nil
	}
	l := &allowList{}
	for _, text := range texts {
		if prefix, err := netip.ParsePrefix(text); err == nil {
			l.prefixes = append(l.prefixes, prefix)
			continue
		}
		if addr, err := netip.ParseAddr(text); err == nil {
			l.prefixes = append(l.prefixes, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		name, below := strings.CutPrefix(strings.ToLower(text), "*")
		if name == "" || strings.ContainsAny(name, "*/: ") || below && name[0] != '.' {
			return nil, fmt.Errorf("%q is no host, address or range: write example.com, *.example.com or 10.0.0.0/8", text)
		}
		l.names = append(l.names, name)
	}
	return l, nil
}

// host tells whether a URL may name a host. Of a name that may only be called for its address nothing is known before it is resolved.
func (l *allowList) host(name string) bool {
	if l == nil || l.named(name) {
		return true
	}
	if addr, err := netip.ParseAddr(name); err == nil {
		return l.address(addr)
	}
	return len(l.prefixes) > 0
}

func (l *allowList) named(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return slices.ContainsFunc(l.names, func(name string) bool {
		return host == name || name[0] == '.' && strings.HasSuffix(host, name)
	})
}

func (l *allowList) address(addr netip.Addr) bool {
	addr = addr.Unmap()
	return slices.ContainsFunc(l.prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// dial connects to what is allowed: the address is looked at that is connected to, so that a name that changes its mind gains nothing.
func (s *Service) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if s.allow != nil && !s.allow.named(host) {
		d.Control = func(_, to string, _ syscall.RawConn) error {
			addr, err := netip.ParseAddrPort(to)
			if err != nil || !s.allow.address(addr.Addr()) {
				return errNotAllowed
			}
			return nil
		}
	}
	return d.DialContext(ctx, network, address)
}

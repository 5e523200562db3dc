package auth

import (
	"fmt"
	"net/netip"
	"strings"
)

// IPList is a set of addresses from which a key may be used. The zero value holds none.
type IPList struct {
	prefixes []netip.Prefix
}

// Loopback is the default of the master and the maintenance key.
func Loopback() IPList { return mustIPList("127.0.0.1", "::1") }

// Anywhere is the default of the read-only master key.
func Anywhere() IPList { return mustIPList("0.0.0.0/0", "::/0") }

// ParseIPList reads addresses and CIDR ranges. The forms that Parse Server takes for "every address of this family"
// mean just that: 0.0.0.0, 0.0.0.0/0, ::, ::0, ::/0, ::0/0.
func ParseIPList(entries []string) (IPList, error) {
	var list IPList
	for _, entry := range entries {
		p, err := parsePrefix(strings.TrimSpace(entry))
		if err != nil {
			return IPList{}, fmt.Errorf("%q is neither an IP address nor a CIDR range", entry)
		}
		list.prefixes = append(list.prefixes, p)
	}
	return list, nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		addr, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, err
		}
		addr = addr.Unmap().WithZone("")
		if addr.IsUnspecified() {
			return netip.PrefixFrom(addr, 0), nil
		}
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	if p.Addr().Is4In6() { // ::ffff:10.0.0.0/104 is 10.0.0.0/8
		if p.Bits() < 96 {
			return netip.Prefix{}, fmt.Errorf("range reaches beyond IPv4")
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

func mustIPList(entries ...string) IPList {
	list, err := ParseIPList(entries)
	if err != nil {
		panic(err)
	}
	return list
}

// Contains tells whether the list holds an address. An IPv4 address that is written as IPv6 (::ffff:127.0.0.1) counts
// as the IPv4 address. An invalid address is in no list.
func (l IPList) Contains(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	for _, p := range l.prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// All tells whether the list holds every address of a family, which the security report warns of.
func (l IPList) All() bool {
	for _, p := range l.prefixes {
		if p.Bits() == 0 {
			return true
		}
	}
	return false
}

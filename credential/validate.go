package credential

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"
)

// accept turns a payload into versions, or says why it must not be installed. A
// payload is accepted or refused as a whole, but for what a store tells of the past and
// of the future of its one secret: what cannot be used of that is left out, for a reason
// each, and does not stand in the way of the current value. It consumes the payload: for
// a verifier, the plain values are gone from it afterwards.
func (c *Credential) accept(p Payload, at instant) (versions []version, leftOut []string, err error) {
	scrub()
	defer func() {
		if !c.cfg().Present {
			p.wipe()
			scrub()
		}
	}()
	if err := p.fits(); err != nil {
		return nil, nil, err
	}
	marker := c.marker()
	versions = make([]version, 0, len(p.Versions))
	places := make(map[digest]int, len(p.Versions)) // in versions
	for i := range p.Versions {
		v, err := c.acceptVersion(&p.Versions[i], at, marker)
		switch {
		case err != nil && p.Form != Latest:
			return nil, nil, Errorf(Invalid, "key %d: %s", i+1, asError(err).Reason)
		case err != nil && p.Versions[i].aside() && len(p.Versions) > 1:
			leftOut = append(leftOut, leaveOut(p.Versions[i].ID, err))
			continue
		case err != nil:
			return nil, nil, err
		}
		v.form = p.Form
		earlier, twice := places[v.mark]
		if !twice || v.mark == (digest{}) {
			places[v.mark] = len(versions)
			versions = append(versions, v)
			continue
		}
		// The same bytes twice in one payload are one version, and a refusal of them wins.
		ended := func(v *version) bool { return v.state == Disabled || v.state == Revoked }
		if before := &versions[earlier]; p.Form == Keyset && !ended(before) && !ended(&v) {
			return nil, nil, Errorf(Invalid, "key %d: its value is that of an earlier key", i+1)
		} else if v.state == Revoked || v.state == Disabled && before.state != Revoked {
			*before = v
		}
	}
	if len(versions) == 0 {
		return nil, nil, Errorf(Invalid, "no version that can be used")
	}
	return versions, leftOut, nil
}

// aside reports whether a version stands beside the current one, in a store that has one
// secret: it was current before, or is to be.
func (v *Version) aside() bool { return v.State == Previous || v.State == Pending }

func leaveOut(id string, err error) string {
	if id == "" {
		id = "that is not current"
	}
	return "version " + id + " is left out: " + asError(err).Reason
}

// fits says what is wrong with the form and the size of a payload.
func (p Payload) fits() error {
	if len(p.Versions) == 0 {
		return Errorf(Invalid, "no version")
	}
	total, current := 0, 0
	for i := range p.Versions {
		v := &p.Versions[i]
		size := v.size()
		total += size
		if p.Form == Latest && v.aside() {
			continue // is looked at by itself
		}
		if current += size; size > maxValue || current > maxValue && p.Form == Latest {
			return Errorf(Invalid, "larger than %d bytes", maxValue)
		}
	}
	switch {
	case p.Form > Keyset:
		return Errorf(Invalid, "a form that is not known")
	case total > maxPayload || len(p.Versions) > maxVersions:
		return Errorf(Invalid, "more than %d keys or %d bytes", maxVersions, maxPayload)
	}
	return nil
}

// size is that of the value and the fields, in bytes.
func (v *Version) size() int {
	size := v.Value.Len()
	for _, field := range v.Fields {
		size += field.Len()
	}
	return size
}

func (p Payload) wipe() {
	for _, v := range p.Versions {
		v.Value.Wipe()
		for _, field := range v.Fields {
			field.Wipe()
		}
	}
}

func (c *Credential) acceptVersion(in *Version, at instant, marker marker) (version, error) {
	if in.State > Revoked {
		return version{}, Errorf(Invalid, "a version in an unknown state")
	}
	v := version{id: in.ID, number: in.Number, state: in.State, created: in.Created}
	v.notBefore = farBound(in.NotBefore, -c.leeway(), at)
	v.notAfter = farBound(in.NotAfter, c.leeway(), at)
	if c.info().Monotonic && v.number == 0 {
		return version{}, Errorf(Invalid, "a version without its number")
	}
	if in.State == Previous {
		v.until = farBound(in.Until, 0, at)
	}
	atRest := in.Digest != [32]byte{}
	switch {
	case in.size() > maxValue:
		return version{}, Errorf(Invalid, "larger than %d bytes", maxValue)
	case atRest && (in.Value.Len() > 0 || len(in.Fields) > 0):
		return version{}, Errorf(Invalid, "both a value and its digest")
	case atRest && c.cfg().Present:
		return version{}, Errorf(Invalid, "a digest, of which there is nothing to present")
	case in.State == Revoked || in.State == Disabled:
		if !atRest && in.Value.Len() == 0 && len(in.Fields) == 0 {
			if in.ID == "" {
				return version{}, Errorf(Invalid, "a %s version with neither id nor value", in.State)
			}
			return v, nil
		}
	}
	once := digest(in.Digest)
	if !atRest {
		value, err := c.cleanAll(in)
		if err != nil {
			return version{}, err
		}
		defer clear(value)
		once = hashed(value)
		v.digest = salted(&c.salt, value)
	}
	v.rested = salted(&c.salt, once[:])
	v.mark = keyed(marker.install, &once)
	v.fingerprint = "fp-" + hex.EncodeToString(v.mark[:6])
	if v.id == "" {
		v.id = v.fingerprint
	}
	if marker.set != nil {
		v.claim = keyed(marker.set, &once)
	}
	if c.cfg().Present {
		v.value, v.fields = in.Value, in.Fields
	}
	return v, nil
}

// leeway is how much later than its NotAfter, and earlier than its NotBefore, a version
// is accepted. What is presented is not: whoever issued it will refuse it.
func (c *Credential) leeway() time.Duration {
	if c.cfg().Present {
		return 0
	}
	return skew
}

// farBound is boundAt for a time that may be missing, or so far away that it
// bounds nothing.
func farBound(wall time.Time, shift time.Duration, at instant) bound {
	const century = 100 * 365 * 24 * time.Hour
	if wall.IsZero() {
		return bound{}
	}
	now := at.time()
	switch {
	case wall.Before(now.Add(-century)):
		wall = now.Add(-century)
	case wall.After(now.Add(century)):
		wall = now.Add(century)
	}
	return boundAt(wall.Add(shift), at)
}

// cleanAll cleans the value and the fields of a version in place, lets Config.Check
// see them, and returns a copy of the bytes that identify the version: the value,
// or for a group the value and all its fields.
func (c *Credential) cleanAll(in *Version) ([]byte, error) {
	if in.Value.Len() > 0 || len(in.Fields) == 0 {
		value, err := c.clean(in.Value.raw())
		if err != nil {
			return nil, err
		}
		in.Value = sealed(value)
	}
	identity := in.Value.Reveal()
	for _, name := range slices.Sorted(maps.Keys(in.Fields)) {
		value, err := c.clean(in.Fields[name].raw())
		if err != nil {
			return nil, err
		}
		in.Fields[name] = sealed(value)
		identity = fmt.Appendf(identity, "\x00%d:%s=%d:", len(name), name, len(value))
		identity = append(identity, value...)
	}
	if c.cfg().Check != nil {
		if err := c.cfg().Check(in.Value, in.Fields); err != nil {
			failure := asError(err)
			return nil, Errorf(Invalid, "%s", failure.Reason)
		}
	}
	return identity, nil
}

// clean trims a value and checks it. White space at its ends is refused rather
// than repaired: HTTP strips it on the wire, so such a key could never match.
func (c *Credential) clean(value []byte) ([]byte, error) {
	if cfg := c.cfg(); cfg.Present && cfg.Binary {
		switch {
		case len(value) == 0:
			return nil, Errorf(Invalid, "empty")
		case len(value) < cfg.MinLength:
			return nil, Errorf(Invalid, "shorter than %d bytes", cfg.MinLength)
		}
		return value, nil
	}
	if c.cfg().Trim == TrimNewline {
		if rest, found := bytes.CutSuffix(value, []byte("\n")); found {
			value = bytes.TrimSuffix(rest, []byte("\r"))
		}
	}
	switch {
	case len(value) == 0:
		return nil, Errorf(Invalid, "empty")
	case !utf8.Valid(value):
		return nil, Errorf(Invalid, "not UTF-8")
	case len(bytes.TrimSpace(value)) == 0:
		return nil, Errorf(Invalid, "only white space")
	case bytes.HasPrefix(value, []byte("\uFEFF")):
		return nil, Errorf(Invalid, "starts with a byte order mark")
	case bytes.ContainsFunc(value, c.forbidden):
		return nil, Errorf(Invalid, "contains a control character")
	case !c.cfg().Present && len(bytes.TrimSpace(value)) != len(value):
		return nil, Errorf(Invalid, "starts or ends with white space")
	case len(value) < c.cfg().MinLength:
		return nil, Errorf(Invalid, "shorter than %d bytes", c.cfg().MinLength)
	}
	return value, nil
}

// forbidden tells control characters. What is only presented may have lines: a
// private key in PEM does.
func (c *Credential) forbidden(r rune) bool {
	if c.cfg().Present && (r == '\n' || r == '\r' || r == '\t') {
		return false
	}
	return unicode.IsControl(r)
}

// marker makes marks and claims.
type marker struct {
	install hash.Hash // HMAC under the install key
	set     hash.Hash // … under the key of the Set; nil without one
}

func (c *Credential) marker() marker {
	m := marker{install: hmac.New(sha256.New, c.installKey.raw())}
	if set := c.cfg().Set; set != nil {
		m.set = hmac.New(sha256.New, set.secret())
	}
	return m
}

// keyed returns the HMAC-SHA256 of the SHA-256 of a value: so it is the same whether a store has the value or its
// digest, and the value itself is not given to crypto/hmac, whose state keeps a copy of the end of it.
func keyed(mac hash.Hash, once *digest) (sum digest) {
	mac.Reset()
	mac.Write(once[:])
	mac.Sum(sum[:0])
	return sum
}

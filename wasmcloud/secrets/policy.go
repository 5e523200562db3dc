package secrets

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/parley-backend/parley/wasmcloud/claims"
)

// Terms are what a backend serves, and to whom. They can be replaced while it runs.
type Terms struct {
	// Issuers are the public keys A… of the accounts that are believed when they sign for a component or a provider. At least one.
	Issuers []string
	// HostIssuers and Hosts bound which hosts may ask: by who signed for them (A…, C… or O…), and by their own public keys N…. A host
	// of wasmCloud signs for itself with a key that it makes at each start, so without a host seed of its own there is nothing to
	// name here. Any if empty.
	HostIssuers, Hosts []string
	// Keys are what can be asked for, by name.
	Keys map[string]Key
	// Rules allow; what none allows is refused.
	Rules []Rule
	// Revoked is refused whatever a rule says.
	Revoked Revoked
}

// Rule allows some entities to read some keys. Each member is a list of patterns, in which * stands for any letters, also none. All
// members must match; one that is empty matches everything, but for Keys, which must name some.
type Rule struct {
	Entities     []string // public keys, M… and V…
	Issuers      []string // public keys A… that signed for them
	Applications []string // names of applications, as the host tells them: a convenience among entities that are trusted, and no proof
	Keys         []string
}

// Revoked are entities and issuers that get nothing any more, and versions of keys, by id or fingerprint, that nobody gets.
type Revoked struct {
	Entities []string
	Issuers  []string
	Versions map[string][]string
}

// Check returns all that is wrong with the terms, joined. Credentials may still be missing.
func (t *Terms) Check() error {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if len(t.Issuers) == 0 {
		problem("issuers: name the account that signs your components and providers, A…: anybody can sign with any other")
	}
	public := func(option string, texts []string, kinds ...claims.Kind) {
		for _, text := range texts {
			if kind, _, err := claims.ParsePublic(text); err != nil || !slices.Contains(kinds, kind) {
				problem("%s: %q is not the public key of an %s", option, text, kinds[0])
			}
		}
	}
	public("issuers", t.Issuers, claims.Account)
	public("hostIssuers", t.HostIssuers, claims.Account, claims.Cluster, claims.Operator)
	public("hosts", t.Hosts, claims.Host)
	public("revoked.issuers", t.Revoked.Issuers, claims.Account)
	public("revoked.entities", t.Revoked.Entities, claims.Component, claims.Provider)
	for name, key := range t.Keys {
		if err := checkName("keys: the name "+name, name); err != nil {
			problems = append(problems, err)
		}
		if err := key.check(); err != nil {
			problem("keys.%s: %w", name, err)
		}
	}
	for name := range t.Revoked.Versions {
		if _, known := t.Keys[name]; !known {
			problem("revoked.versions: there is no key %q", name)
		}
	}
	for i, rule := range t.Rules {
		if len(rule.Keys) == 0 {
			problem("rules[%d]: names no keys", i)
		}
		if slices.Contains(slices.Concat(rule.Entities, rule.Issuers, rule.Applications, rule.Keys), "") {
			problem("rules[%d]: holds an empty pattern, which matches nothing", i)
		}
	}
	return errors.Join(problems...)
}

// asker is who asks, as far as it was proven.
type asker struct {
	entity, issuer, name string // of the JWT of the entity
	host, hostIssuer     string // of that of the host
	application          string // as the host says
}

// authenticate verifies both JWTs of a request.
func (b *Backend) authenticate(t *Terms, r *request) (asker, *Error) {
	who := asker{application: value(r.Context.Application.Name)}
	entity, err := claims.Policy{Kinds: []claims.Kind{claims.Component, claims.Provider}, Now: b.cfg.Now}.Verify(r.Context.Entity)
	if err != nil {
		return who, refuse(InvalidEntityJWT, "%s", words(err))
	}
	who.entity, who.issuer = entity.Subject, entity.Issuer
	switch {
	case entity.Component != nil:
		who.name = entity.Component.Name
	case entity.Provider != nil:
		who.name = entity.Provider.Name
	}
	if !slices.Contains(t.Issuers, entity.Issuer) || slices.Contains(t.Revoked.Issuers, entity.Issuer) {
		return who, refuse(InvalidEntityJWT, "its issuer %s is not trusted", entity.Issuer)
	}
	host, err := claims.Policy{Kinds: []claims.Kind{claims.Host}, Now: b.cfg.Now}.Verify(r.Context.Host)
	if err != nil {
		return who, refuse(InvalidHostJWT, "%s", words(err))
	}
	who.host, who.hostIssuer = host.Subject, host.Issuer
	if len(t.HostIssuers) > 0 && !slices.Contains(t.HostIssuers, host.Issuer) {
		return who, refuse(InvalidHostJWT, "its issuer %s is not trusted", host.Issuer)
	}
	if len(t.Hosts) > 0 && !slices.Contains(t.Hosts, host.Subject) {
		return who, refuse(InvalidHostJWT, "the host %s is not trusted", host.Subject)
	}
	return who, nil
}

// words are those of an error of package claims without its name.
func words(err error) string { return strings.TrimPrefix(err.Error(), "claims: ") }

// authorize asks the rules.
func (t *Terms) authorize(who asker, key string) *Error {
	if slices.Contains(t.Revoked.Entities, who.entity) {
		return refuse(Unauthorized, "the entity is revoked")
	}
	for _, rule := range t.Rules {
		if rule.allows(who, key) {
			return nil
		}
	}
	return refuse(Unauthorized, "no rule allows it")
}

func (r *Rule) allows(who asker, key string) bool {
	any := func(patterns []string, text string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, text) })
	}
	return any(r.Keys, key) &&
		(len(r.Entities) == 0 || any(r.Entities, who.entity)) &&
		(len(r.Issuers) == 0 || any(r.Issuers, who.issuer)) &&
		(len(r.Applications) == 0 || any(r.Applications, who.application))
}

// matches compares a text with a pattern in which * stands for any letters. It goes back to the latest star only, so its time is
// bounded by the product of both lengths.
func matches(pattern, text string) bool {
	star, mark := -1, 0
	p := 0
	for t := 0; t < len(text); {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, t
			p++
		case p < len(pattern) && pattern[p] == text[t]:
			p++
			t++
		case star >= 0:
			mark++
			p, t = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

package config

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/parley-backend/parley"
	"github.com/parley-backend/parley/query"
)

// What these options hold is an object or a list of objects; each member is checked by name, so that a misspelt one is an error.

// members checks the members of an object, and reports those that are not allowed.
func (b *builder) members(option string, value any, allowed ...string) map[string]any {
	m, ok := value.(map[string]any)
	if !ok {
		b.problem(option, "must be an object")
		return nil
	}
	for name := range m {
		if !slices.Contains(allowed, name) {
			if near := closestOf(name, allowed); near != "" {
				b.problem(option+"."+name, "unknown option; did you mean %s?", near)
			} else {
				b.problem(option+"."+name, "unknown option")
			}
		}
	}
	return m
}

func closestOf(name string, names []string) string {
	options := make([]Option, len(names))
	for i, n := range names {
		options[i].Name = n
	}
	return Closest(name, options)
}

func (b *builder) rateLimits() []parley.RateLimit {
	value := b.v.JSON("rateLimit")
	if value == nil {
		return nil
	}
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	var limits []parley.RateLimit
	for _, item := range list {
		m := b.members("rateLimit", item, "requestPath", "requestMethods", "requestCount", "requestTimeWindow", "errorResponseMessage",
			"includeInternalRequests", "includeMasterKey", "redisUrl", "zone")
		if m == nil {
			continue
		}
		limits = append(limits, b.rateLimit(m))
	}
	return limits
}

func (b *builder) rateLimit(m map[string]any) parley.RateLimit {
	var l parley.RateLimit
	path, _ := m["requestPath"].(string)
	if path == "" {
		b.problem("rateLimit.requestPath", "is required")
	} else if re, err := parley.CompilePath(path); err != nil {
		b.problem("rateLimit.requestPath", "%v", err)
	} else {
		l.Path = re
	}
	count, ok := m["requestCount"].(float64)
	if !ok || count < 0 {
		b.problem("rateLimit.requestCount", "must be a number of requests")
	}
	l.Count = int(count)
	window, ok := m["requestTimeWindow"].(float64)
	if !ok || window <= 0 {
		b.problem("rateLimit.requestTimeWindow", "must be a number of milliseconds")
	}
	l.Window = time.Duration(window * float64(time.Millisecond))
	l.Message, _ = m["errorResponseMessage"].(string)
	l.IncludeInternal, _ = m["includeInternalRequests"].(bool)
	l.IncludeMaster, _ = m["includeMasterKey"].(bool)
	if _, ok := m["redisUrl"]; ok {
		b.problem("rateLimit.redisUrl", "Redis is not used; counters are kept by each server")
	}
	switch methods := m["requestMethods"].(type) {
	case nil:
	case string:
		re, err := regexp.Compile("(?i)^(?:" + methods + ")$")
		if err != nil {
			b.problem("rateLimit.requestMethods", "is not a regular expression: %v", err)
		}
		l.Methods = re
	case []any:
		var names []string
		for _, name := range methods {
			if s, _ := name.(string); s != "" {
				names = append(names, s)
			}
		}
		if len(names) != len(methods) || len(names) == 0 { // of no method it would limit nothing
			b.problem("rateLimit.requestMethods", "must be a list of methods or a regular expression")
		}
		l.Methods = parley.MethodsOf(names)
	default:
		b.problem("rateLimit.requestMethods", "must be a list of methods or a regular expression")
	}
	switch zone, _ := m["zone"].(string); zone {
	case "", "ip", "user", "session", "global":
		l.Zone = parley.Zone(zone)
	default:
		b.problem("rateLimit.zone", "must be ip, user, session or global")
	}
	return l
}

func (b *builder) denylist() []parley.Keyword {
	value := b.v.JSON("requestKeywordDenylist")
	list, ok := value.([]any)
	if !ok {
		b.problem("requestKeywordDenylist", "must be a list")
		return nil
	}
	words := []parley.Keyword{}
	for _, item := range list {
		m := b.members("requestKeywordDenylist", item, "key", "value")
		if m == nil {
			continue
		}
		key, isText := m["key"].(string)
		if m["key"] != nil && !isText || key == "" && m["value"] == nil {
			b.problem("requestKeywordDenylist", "each entry needs a key, a value, or both")
			continue
		}
		words = append(words, parley.Keyword{Key: key, Value: m["value"]})
	}
	return words
}

func (b *builder) protectedFields() map[string]map[string][]string {
	fields := map[string]map[string][]string{}
	top, ok := b.v.JSON("protectedFields").(map[string]any)
	if !ok {
		b.problem("protectedFields", "must be an object")
		return nil
	}
	for class, value := range top {
		groups, ok := value.(map[string]any)
		if !ok {
			b.problem("protectedFields", "class %s: must be an object", class)
			continue
		}
		fields[class] = map[string][]string{}
		for group, value := range groups {
			list, ok := value.([]any)
			names := []string{}
			for _, item := range list {
				name, isText := item.(string)
				ok = ok && isText
				names = append(names, name)
			}
			if !ok {
				b.problem("protectedFields", "class %s, group %s: must be a list of fields", class, group)
				continue
			}
			fields[class][group] = names
		}
	}
	for _, name := range b.v.List("userSensitiveFields") {
		if fields["_User"] == nil {
			fields["_User"] = map[string][]string{}
		}
		if !slices.Contains(fields["_User"]["*"], name) {
			fields["_User"]["*"] = append(fields["_User"]["*"], name)
		}
	}
	return fields
}

func (b *builder) users(c *parley.Config) {
	v := b.v
	u := parley.UserOptions{
		PublicUsers:                      !v.Bool("enforcePrivateUsers"),
		NoAnonymousUsers:                 !v.Bool("enableAnonymousUsers"),
		KeepSessionsOnPasswordChange:     !v.Bool("revokeSessionOnPasswordReset"),
		LowercaseUsernames:               v.Bool("convertUsernameToLowercase"),
		LowercaseEmails:                  v.Bool("convertEmailToLowercase"),
		PreventSignupWithUnverifiedEmail: v.Bool("preventSignupWithUnverifiedEmail"),
	}
	if v.Bool("preventLoginWithUnverifiedEmail") {
		u.PreventLoginWithUnverifiedEmail = parley.Always
	}
	u.PasswordPolicy = b.passwordPolicy()
	u.AccountLockout = b.accountLockout()
	b.providers()
	c.Users = u
	c.Sessions = parley.SessionOptions{
		Length:      time.Duration(v.Int("sessionLength")) * time.Second,
		NeverExpire: !v.Bool("expireInactiveSessions"),
		ExtendOnUse: v.Bool("extendSessionOnUse"),
	}
	if v.Int("sessionLength") <= 0 {
		b.problem("sessionLength", "must be greater than 0 seconds")
	}
}

func (b *builder) providers() {
	value := b.v.JSON("auth")
	if value == nil {
		return
	}
	m, ok := value.(map[string]any)
	if !ok {
		b.problem("auth", "must be an object of providers")
		return
	}
	for name := range m {
		if name != "anonymous" {
			b.problem("auth", "the provider %s is not available in this version", name)
		}
	}
}

func (b *builder) passwordPolicy() *parley.PasswordPolicy {
	if !b.any("passwordPolicy") {
		return nil
	}
	v := b.v
	p := &parley.PasswordPolicy{
		ValidationError:    v.String("passwordPolicy.validationError"),
		DoNotAllowUsername: v.Bool("passwordPolicy.doNotAllowUsername"),
		MaxPasswordAge:     float64(v.Int("passwordPolicy.maxPasswordAge")),
		MaxPasswordHistory: v.Int("passwordPolicy.maxPasswordHistory"),
	}
	if text := v.String("passwordPolicy.validatorPattern"); text != "" {
		if body, ok := strings.CutPrefix(text, "/"); ok && strings.HasSuffix(body, "/") { // as JavaScript writes it
			text = strings.TrimSuffix(body, "/")
		}
		pattern, err := (&query.Regex{Pattern: text}).Compile() // takes what JavaScript's expressions have and Go's lack
		if err != nil {
			b.problem("passwordPolicy.validatorPattern", "is not a regular expression: %v", err)
		} else {
			p.ValidatorCallback = func(password string) bool {
				found, err := pattern.Match(password)
				return err == nil && found // what cannot be judged in time is refused
			}
		}
	}
	if p.MaxPasswordAge < 0 {
		b.problem("passwordPolicy.maxPasswordAge", "must be a number of days")
	}
	if p.MaxPasswordHistory < 0 || p.MaxPasswordHistory > 20 {
		b.problem("passwordPolicy.maxPasswordHistory", "must be between 0 and 20")
	}
	return p
}

func (b *builder) accountLockout() *parley.AccountLockout {
	if !b.any("accountLockout") {
		return nil
	}
	l := &parley.AccountLockout{
		Threshold: b.v.Int("accountLockout.threshold"), Duration: float64(b.v.Int("accountLockout.duration")),
		UnlockOnPasswordReset: b.v.Bool("accountLockout.unlockOnPasswordReset"),
	}
	if l.Threshold < 1 || l.Threshold > 999 {
		b.problem("accountLockout.threshold", "must be between 1 and 999")
	}
	if l.Duration <= 0 || l.Duration > 99999 {
		b.problem("accountLockout.duration", "must be a number of minutes, greater than 0 and less than 100000")
	}
	return l
}

// any tells whether a member of a group was set.
func (b *builder) any(group string) bool {
	for name := range b.v.set {
		if strings.HasPrefix(name, group+".") {
			return true
		}
	}
	return false
}

package cloud

import (
	"strings"

	"github.com/parley-backend/parley/schema"
)

// Limit is the rate limit of one function or trigger: of requests with one of the Methods (none means all) to one of the Paths below the
// mount path, as option rateLimit of the server has them.
type Limit struct {
	RateLimit
	Paths   []string
	Methods []string
}

// classPaths are the classes with a path of their own.
var classPaths = map[string]string{schema.UserClass: "/users", schema.RoleClass: "/roles", schema.InstallationClass: "/installations", "_Audience": "/push_audiences"}

// Limits returns the rate limits of all validators, in no order.
func (h *Hooks) Limits() []Limit {
	var limits []Limit
	now := h.now()
	add := func(validators []Validator, methods []string, paths ...string) {
		for _, v := range validators {
			if v.RateLimit != nil {
				limits = append(limits, Limit{RateLimit: *v.RateLimit, Paths: paths, Methods: methods})
			}
		}
	}
	for name, f := range now.functions {
		add(f.validators, nil, "/functions/"+literal(name))
	}
	for at, t := range now.triggers {
		rule, _ := ruleOf(at.kind)
		switch own := classPaths[at.class]; {
		case rule.methods == nil: // of live queries, which are no requests over HTTP
		case rule.path != "":
			add(t.validators, rule.methods, rule.path)
		case at.class == FileClass:
			add(t.validators, rule.methods, "/files{/*name}")
		case at.class == ConfigClass:
			add(t.validators, []string{"PUT"}, "/config")
		case own != "":
			add(t.validators, rule.methods, own+"{/*id}", "/classes/"+at.class+"{/*id}")
		default:
			add(t.validators, rule.methods, "/classes/"+at.class+"{/*id}")
		}
	}
	return limits
}

// literal writes a name so that nothing in it is an operator of a path.
func literal(name string) string {
	var b strings.Builder
	for _, c := range name {
		if c == '\\' || strings.ContainsRune(`:*{}()[]+?!`, c) {
			b.WriteByte('\\')
		}
		b.WriteRune(c)
	}
	return b.String()
}

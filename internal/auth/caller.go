// Package auth answers WHO: from the keys, the session token and the address of a request to a [Caller].
// What that caller MAY do is the business of package access.
package auth

import (
	"net/http"
	"net/netip"

	"github.com/parley-backend/parley/parse"
)

// Caller is who asks, resolved once per request and then passed as an argument: a function without a Caller cannot be
// enforcing permissions. A Caller is immutable. The zero value is the anonymous public.
type Caller struct {
	// Master: the master key, or the read-only one.
	Master bool
	// ReadOnly: the read-only master key; Master is true too.
	ReadOnly bool
	// Maintenance: the maintenance key, which also sees and writes internal fields.
	Maintenance bool

	// User is who is logged in, nil for nobody; as stored, without passwords.
	User *parse.Object
	// Roles are all roles of User, inherited ones included, as "role:Name", sorted.
	Roles []string
	// SessionToken is the token that User came with.
	SessionToken string

	// InstallationID of the client, "" when it named none.
	InstallationID string
	// IP is the address of the client, with trusted proxies taken into account.
	IP netip.Addr
	// Headers of the request, without any that holds a key or a session token; nil when there is no cloud code to look at them.
	Headers http.Header
	// Context is what the client handed to triggers (X-Parse-Cloud-Context); may be nil.
	Context *parse.Map
}

// System is the caller of what Parley does on its own behalf: it may do everything.
var System = &Caller{Master: true}

// UserID returns the objectId of the user, "" for nobody.
func (c *Caller) UserID() string {
	if c.User == nil {
		return ""
	}
	return c.User.ID()
}

// Privileged tells whether ACLs and class-level permissions do not apply: the master and the maintenance key.
func (c *Caller) Privileged() bool { return c.Master || c.Maintenance }

// Entities returns the names that an ACL or a CLP may grant something to and that stand for this caller:
// "*", then the user id and its roles when there is a user.
func (c *Caller) Entities() []string {
	names := make([]string, 1, 2+len(c.Roles))
	names[0] = parse.Public
	if id := c.UserID(); id != "" {
		names = append(names, id)
		names = append(names, c.Roles...)
	}
	return names
}

// AsSystem returns the same request with the rights of the master key: for steps that Parley takes on behalf of a
// caller, such as storing the session of a new user.
func (c *Caller) AsSystem() *Caller {
	s := *c
	s.Master, s.ReadOnly, s.Maintenance = true, false, false
	return &s
}

package object

import (
	"slices"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
)

// The stored form of an ACL are two arrays of names, who may read and who may write: a query can compare those. An object
// without them is public, as one that never had an ACL.
const (
	readers = "_rperm"
	writers = "_wperm"
)

// storedACL is the stored form of one ACL.
type storedACL struct{ rperm, wperm []any }

func storeACL(acl parse.ACL) *storedACL {
	return &storedACL{rperm: anys(acl.Readers()), wperm: anys(acl.Writers())}
}

func (a *storedACL) set(m *parse.Map) {
	m.Set(readers, a.rperm)
	m.Set(writers, a.wperm)
}

func anys(names []string) []any {
	list := make([]any, len(names))
	for i := range names {
		list[i] = names[i]
	}
	return list
}

// aclOf reads the member ACL of the body of a write. What JavaScript takes for false is no ACL at all. What is neither that nor
// an object grants nothing to anybody, the removal of the ACL included (measured): a write that does not understand an ACL
// must not open the object.
func aclOf(v any) (acl parse.ACL, given bool, err error) {
	if !parse.Truthy(v) {
		return nil, false, nil
	}
	switch v := v.(type) {
	case parse.ACL:
		return v, true, nil
	case *parse.Map:
		if parse.Truthy(v.Get("*unresolved")) {
			return nil, true, parse.Errorf(parse.InvalidACL, "Invalid ACL.")
		}
		return entriesOf(v), true, nil
	}
	return parse.ACL{}, true, nil
}

// entriesOf reads the entries of an ACL as Parse Server does: a flag counts when JavaScript takes it for true, and whatever else stands
// in an entry does not.
func entriesOf(m *parse.Map) parse.ACL {
	acl := make(parse.ACL, m.Len())
	for name, entry := range m.All() {
		flags, ok := entry.(*parse.Map)
		if !ok {
			continue
		}
		granted := parse.Access{Read: parse.Truthy(flags.Get("read")), Write: parse.Truthy(flags.Get("write"))}
		if granted != (parse.Access{}) {
			acl[name] = granted
		}
	}
	return acl
}

// exposeACL turns the stored form of an object into the client's, in place: ACL goes last, as Parse Server has it.
func exposeACL(o *parse.Object) {
	r, hasR := o.Lookup(readers)
	w, hasW := o.Lookup(writers)
	if !hasR && !hasW {
		return
	}
	o.Delete(readers)
	o.Delete(writers)
	if r == nil && w == nil {
		return
	}
	o.Set("ACL", parse.ACLOf(names(r), names(w)))
}

// readableBy tells whether the ACL of a stored object lets the caller read it: what access.Readable asks of a database.
func readableBy(caller *auth.Caller, o *parse.Object) bool {
	if caller.Privileged() {
		return true
	}
	granted, _ := o.Get(readers).([]any)
	if granted == nil {
		return true
	}
	id := caller.UserID()
	return slices.ContainsFunc(granted, func(v any) bool {
		name, ok := v.(string)
		return ok && (name == parse.Public || id != "" && (name == id || slices.Contains(caller.Roles, name)))
	})
}

func names(v any) []string {
	list, _ := v.([]any)
	out := make([]string, 0, len(list))
	for _, name := range list {
		if s, ok := name.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

package access

import (
	"slices"
	"strings"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// Mask says which fields of the objects of a class a caller does not see. A nil Mask hides nothing.
type Mask struct {
	// fields are hidden unless a group of the object reveals them.
	fields []string
	// groups are those of the users who stand in a field of the object.
	groups []userGroup
	user   string
	// own is the id of the one object that is not masked: the user's own.
	own string
}

type userGroup struct {
	field  string
	hidden []string
}

// Mask returns which fields of the objects of a class the caller does not see (contract parse-api.md, 2.7). Of all groups that
// the caller belongs to, only the fields that each of them hides are hidden: belonging to one more group reveals.
func (r Rules) Mask(caller *auth.Caller, class *schema.Class) *Mask {
	if caller.Privileged() || class == nil {
		return nil
	}
	groups := r.groups(class)
	fields := hidden(caller, groups)
	if len(fields) == 0 {
		return nil
	}
	m := &Mask{fields: fields, user: caller.UserID()}
	if class.Name == schema.UserClass && !r.OwnersLikeOthers {
		m.own = m.user
	}
	if m.user == "" {
		return m
	}
	for group, fields := range groups {
		if field, ok := strings.CutPrefix(group, schema.UserFieldPrefix); ok {
			m.groups = append(m.groups, userGroup{field, fields})
		}
	}
	return m
}

// groups returns the protected fields of a class by group: its own and those of the options.
func (r Rules) groups(class *schema.Class) map[string][]string {
	own := map[string][]string{parse.Public: nil} // a class without permissions protects nothing from the group of everybody
	if class.CLP != nil {
		own = class.CLP.ProtectedFields
	}
	if !r.adds(class) {
		return own
	}
	options := r.ProtectedFields[class.Name]
	merged := make(map[string][]string, len(own)+len(options))
	for group, fields := range own {
		merged[group] = fields
	}
	for group, fields := range options {
		merged[group] = union(merged[group], fields)
	}
	if r.email(class) {
		merged[parse.Public] = union(merged[parse.Public], []string{"email"})
	}
	return merged
}

// adds tells whether the options protect fields of the class.
func (r Rules) adds(class *schema.Class) bool {
	return !schema.IsVolatile(class.Name) && (len(r.ProtectedFields[class.Name]) > 0 || r.email(class))
}

// email tells whether the e-mail address of users is protected by default: options replace that only together with
// OwnersLikeOthers, as in Parse Server.
func (r Rules) email(class *schema.Class) bool {
	return class.Name == schema.UserClass && !(r.OwnersLikeOthers && r.ProtectedFields[class.Name][parse.Public] != nil)
}

// Shown returns the class as PUT /schemas answers it: with the protected fields of the options among its own. It is the class
// itself when the options protect none of it.
func (r Rules) Shown(class *schema.Class) *schema.Class {
	if !r.adds(class) {
		return class
	}
	shown := class.Clone()
	if shown.CLP == nil { // what the class has then, said in so many words
		shown.CLP = &schema.CLP{ACL: map[string]schema.Grants{parse.Public: {Read: true, Write: true}}}
	}
	shown.CLP.ProtectedFields = r.groups(class)
	return shown
}

func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, name := range b {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// hidden returns the fields that every group of the caller hides, whatever the object.
func hidden(caller *auth.Caller, groups map[string][]string) []string {
	var fields []string
	first := true
	for group, names := range groups {
		if !belongs(caller, group) {
			continue
		}
		if first {
			fields, first = names, false
			continue
		}
		fields = intersect(fields, names)
	}
	return fields
}

func belongs(caller *auth.Caller, group string) bool {
	if group == parse.Public {
		return true
	}
	id := caller.UserID()
	if id == "" || strings.HasPrefix(group, schema.UserFieldPrefix) {
		return false
	}
	return group == schema.Authenticated || group == id || slices.Contains(caller.Roles, group)
}

func intersect(a, b []string) []string {
	var both []string
	for _, name := range a {
		if slices.Contains(b, name) {
			both = append(both, name)
		}
	}
	return both
}

// Needs returns the fields that have to be read for [Mask.Hides] even if the query does not ask for them.
func (m *Mask) Needs() []string {
	if m == nil {
		return nil
	}
	names := make([]string, 0, len(m.groups))
	for _, g := range m.groups {
		names = append(names, g.field)
	}
	slices.Sort(names)
	return names
}

// Hides returns the fields of this object that the caller does not see. It is asked before pointers are replaced by their objects.
func (m *Mask) Hides(object *parse.Object) []string {
	if m == nil || m.own != "" && object.ID() == m.own {
		return nil
	}
	fields := m.fields
	for _, g := range m.groups {
		if leadsTo(object.Get(g.field), m.user) {
			fields = intersect(fields, g.hidden)
		}
	}
	return fields
}

// leadsTo tells whether a field points at the user: a pointer, or an array that holds one.
func leadsTo(v any, user string) bool {
	switch v := v.(type) {
	case parse.Pointer:
		return v.ClassName == schema.UserClass && v.ObjectID == user
	case *parse.Object:
		return v.ClassName == schema.UserClass && v.ID() == user
	case []any:
		return slices.ContainsFunc(v, func(element any) bool {
			_, nested := element.([]any)
			return !nested && leadsTo(element, user)
		})
	}
	return false
}

// CheckQuery refuses a query that a protected field decides (code 119): where and order would tell what the mask hides.
// A user who asks for its own object by its id may.
func (r Rules) CheckQuery(caller *auth.Caller, class *schema.Class, q *query.Find) error {
	if class == nil {
		return nil
	}
	if caller.Privileged() {
		return CheckTokens(caller, class, q)
	}
	own := class.Name == schema.UserClass && asksForOwn(caller, q.Where)
	if class.Name == schema.UserClass && !own {
		if err := checkAuthData(q); err != nil {
			return err
		}
	}
	fields := hidden(caller, r.groups(class))
	if len(fields) == 0 || own && !r.OwnersLikeOthers {
		return nil
	}
	if err := checkWhere(q.Where, fields, class.Name); err != nil {
		return err
	}
	for _, o := range q.Order {
		if protects(fields, o.Key) {
			return parse.Denied(parse.OperationForbidden, "This user is not allowed to sort by %s on class %s", o.Key, class.Name)
		}
	}
	return nil
}

// asksForOwn tells whether the query is limited to the object of the caller.
func asksForOwn(caller *auth.Caller, where query.Node) bool {
	id := caller.UserID()
	switch n := where.(type) {
	case *query.Constraint:
		return id != "" && n.Key == "objectId" && n.Op == query.Eq && n.Arg == id
	case query.And:
		return slices.ContainsFunc(n, func(part query.Node) bool { return asksForOwn(caller, part) })
	}
	return false
}

func checkWhere(where query.Node, fields []string, class string) error {
	key := ""
	switch n := where.(type) {
	case query.And:
		return checkAll(n, fields, class)
	case query.Or:
		return checkAll(n, fields, class)
	case query.Nor:
		return checkAll(n, fields, class)
	case *query.Constraint:
		key = n.Key
	case *query.SubQuery:
		key = n.Key
	}
	if key != "" && protects(fields, key) {
		return notQueryable(key, class)
	}
	return nil
}

func checkAll(nodes []query.Node, fields []string, class string) error {
	for _, node := range nodes {
		if err := checkWhere(node, fields, class); err != nil {
			return err
		}
	}
	return nil
}

// checkAuthData refuses a query of users that would tell what their authData holds (code 119). Nobody sees that of others, and an id
// in it may be all that it takes to log in. Clients may look for users that they know the id of, and for who has a provider at all.
func checkAuthData(q *query.Find) error {
	var err error
	query.Walk(q.Where, func(n query.Node) bool {
		switch n := n.(type) {
		case *query.Constraint:
			if isAuthData(n.Key) && !tellsLittle(n) {
				err = notQueryable(n.Key, schema.UserClass)
			}
		case *query.SubQuery:
			if isAuthData(n.Key) {
				err = notQueryable(n.Key, schema.UserClass)
			}
		}
		return err == nil
	})
	for _, o := range q.Order {
		if err == nil && isAuthData(o.Key) {
			err = parse.Denied(parse.OperationForbidden, "This user is not allowed to sort by %s on class %s", o.Key, schema.UserClass)
		}
	}
	return err
}

func isAuthData(key string) bool { return query.Root(key) == "authData" }

// tellsLittle tells whether a constraint on authData asks for one provider's users by their ids, or whether there is something at all.
func tellsLittle(c *query.Constraint) bool {
	if c.Op == query.Exists || c.Arg == nil && (c.Op == query.Eq || c.Op == query.Ne) {
		return strings.Count(c.Key, ".") < 2
	}
	provider, isID := strings.CutSuffix(strings.TrimPrefix(c.Key, "authData."), ".id")
	return isID && !strings.Contains(provider, ".") && (c.Op == query.Eq || c.Op == query.In)
}

func protects(fields []string, key string) bool {
	root, _, _ := strings.Cut(key, ".")
	return slices.Contains(fields, root) || slices.Contains(fields, key)
}

func notQueryable(key, class string) error {
	return parse.Denied(parse.OperationForbidden, "This user is not allowed to query %s on class %s", key, class)
}

// CheckRelated refuses a $relatedTo over a protected Relation of the owning class (code 119). Whether the caller may read
// the owner is a matter of a get.
func (r Rules) CheckRelated(caller *auth.Caller, owner *schema.Class, key string) error {
	if caller.Privileged() || owner == nil {
		return nil
	}
	if protects(hidden(caller, r.groups(owner)), key) {
		return notQueryable(key, owner.Name)
	}
	return nil
}

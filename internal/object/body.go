package object

import (
	"context"
	"strings"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/schema"
)

// Keyword is one entry of the option requestKeywordDenylist: data that names Key, or gives it Value, or both, is refused.
type Keyword struct {
	// Key is the name of a member; "" for any.
	Key string
	// Value of the member; nil for any.
	Value any
}

// DefaultDenylist is what requestKeywordDenylist holds when it is not given.
var DefaultDenylist = []Keyword{{Key: "_bsontype", Value: "Code"}, {Key: "constructor"}, {Key: "__proto__"}}

// normalize checks the form of the body, and gives it the form that the later steps expect: an ACL is a parse.ACL or absent, an
// operator stands for a field only.
func (o *Objects) normalize(_ context.Context, s *Save) error {
	if o.tx != nil {
		// The transaction may run again, and has to begin with what the client sent.
		s.Data = s.Data.Clone()
	}
	if err := o.checkID(s); err != nil {
		return err
	}
	for key, v := range s.Data.All() {
		if err := o.denied(key, v); err != nil {
			return err
		}
		if err := checkKey(s, key); err != nil {
			return err
		}
		s.Data.Set(key, plain(v))
	}
	v, ok := s.Data.Lookup("ACL")
	if !ok {
		return nil
	}
	acl, given, err := aclOf(v)
	if err != nil {
		return err
	}
	if given {
		s.Data.Set("ACL", acl)
	} else {
		s.Data.Delete("ACL")
	}
	return nil
}

// checkID refuses an objectId of the client's choice unless the option allowCustomObjectId is on. An update may name the object
// that it changes, nothing else.
func (o *Objects) checkID(s *Save) error {
	id, given := s.Data.Lookup("objectId")
	text, isText := id.(string)
	switch {
	case !s.IsCreate():
		if given && text != s.ID {
			return parse.Errorf(parse.InvalidKeyName, "objectId is an invalid field name.")
		}
		s.Data.Delete("objectId")
		return nil
	case o.cfg.AllowCustomObjectID:
		if given && (id == nil || text == "" && isText) {
			return parse.Errorf(parse.MissingObjectID, "objectId must not be empty, null or undefined")
		}
		if s.ClassName == schema.UserClass && strings.HasPrefix(text, "role:") {
			return parse.Errorf(parse.OperationForbidden, "Invalid object ID.")
		}
		return nil
	}
	for _, name := range []string{"objectId", "id"} {
		switch v, _ := s.Data.Lookup(name); v {
		case nil, "", false, 0.0:
			s.Data.Delete(name)
		default:
			return parse.Errorf(parse.InvalidKeyName, "%s is an invalid field name.", name)
		}
	}
	return nil
}

// checkKey refuses the names that no class can have, before the schema looks at the others.
func checkKey(s *Save, key string) error {
	root, _, dotted := strings.Cut(key, ".")
	switch {
	case dotted && root == "authData":
		return parse.Errorf(parse.InvalidKeyName, "Invalid field name for update: %s", key)
	case !strings.HasPrefix(key, "_"):
		return nil
	case s.Caller.Maintenance && root != readers && root != writers:
		if _, ok := schema.InternalField(s.ClassName, root); ok {
			return nil
		}
	}
	return parse.Errorf(parse.InvalidKeyName, "Invalid field name: %s.", key)
}

// denied looks for the keywords of requestKeywordDenylist in a member and everything below it.
func (o *Objects) denied(key string, v any) error {
	if err := o.deniedMember(key, v); err != nil {
		return err
	}
	switch v := v.(type) {
	case *parse.Map:
		for key, member := range v.All() {
			if err := o.denied(key, member); err != nil {
				return err
			}
		}
	case *parse.Object:
		return o.denied(key, &v.Map)
	case []any:
		return o.deniedElements(v)
	case parse.Add:
		return o.deniedElements(v.Objects)
	case parse.AddUnique:
		return o.deniedElements(v.Objects)
	case parse.Remove:
		return o.deniedElements(v.Objects)
	}
	return nil
}

func (o *Objects) deniedElements(list []any) error {
	for _, v := range list {
		if err := o.denied("", v); err != nil {
			return err
		}
	}
	return nil
}

func (o *Objects) deniedMember(key string, v any) error {
	for _, word := range o.denylist {
		if word.Key != "" && word.Key != key || word.Value != nil && !parse.Equal(word.Value, v) {
			continue
		}
		shown := &parse.Map{}
		if word.Key != "" {
			shown.Set("key", word.Key)
		}
		if word.Value != nil {
			shown.Set("value", word.Value)
		}
		return parse.Errorf(parse.InvalidKeyName, "Prohibited keyword in request data: %s.", parse.Marshal(shown))
	}
	return nil
}

// plain turns operators that stand inside a value back into data; see [parse.Plain].
func plain(v any) any {
	switch v := v.(type) {
	case nil, bool, float64, string:
		return v
	case parse.Add:
		return parse.Add{Objects: parse.Plain(v.Objects).([]any)}
	case parse.AddUnique:
		return parse.AddUnique{Objects: parse.Plain(v.Objects).([]any)}
	case parse.Remove:
		return parse.Remove{Objects: parse.Plain(v.Objects).([]any)}
	case parse.Op:
		return v
	}
	return parse.Plain(v)
}

// fill gives a create the default values and the default ACL of the class, and refuses a write that leaves or makes a required
// field empty. What was filled in is part of the response.
func (o *Objects) fill(_ context.Context, s *Save) error {
	if err := requiredColumns(s); err != nil {
		return err
	}
	if !s.IsCreate() {
		for key := range s.Data.All() {
			if f := s.Class.Fields[key]; f.Required && missing(s.Data.Get(key)) {
				return parse.Errorf(parse.ValidationError, "%s is required", key)
			}
		}
		return nil
	}
	defaultACL(s)
	for _, name := range o.plan(s.Class).filled {
		f := s.Class.Fields[name]
		v, given := s.Data.Lookup(name)
		if given && !missing(v) {
			continue
		}
		_, deleted := v.(parse.Delete)
		switch {
		case f.Default != nil && (!given || deleted):
			s.Data.Set(name, parse.Clone(f.Default))
			s.Response.Set(name, parse.Clone(f.Default))
		case f.Required:
			return parse.Errorf(parse.ValidationError, "%s is required", name)
		}
	}
	return nil
}

// requiredColumns checks the columns that a system class cannot be without.
func requiredColumns(s *Save) error {
	for _, name := range schema.RequiredColumns(s.ClassName) {
		v, given := s.Data.Lookup(name)
		_, deleted := v.(parse.Delete)
		if deleted || s.IsCreate() && (!given || missing(v)) {
			return parse.Errorf(parse.IncorrectType, "%s is required.", name)
		}
	}
	return nil
}

func missing(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case parse.Delete:
		return true
	}
	return false
}

// defaultACL applies the ACL that the class-level permissions give to new objects; "currentUser" stands for the creator.
func defaultACL(s *Save) {
	if s.Class.CLP == nil || s.Class.CLP.ACL == nil || s.Data.Has("ACL") {
		return
	}
	public := schema.Grants{Read: true, Write: true}
	if len(s.Class.CLP.ACL) == 1 && s.Class.CLP.ACL[parse.Public] == public {
		return
	}
	acl := make(parse.ACL, len(s.Class.CLP.ACL))
	for name, grants := range s.Class.CLP.ACL {
		if name == "currentUser" {
			if name = s.Caller.UserID(); name == "" {
				continue
			}
		}
		if grants.Read || grants.Write {
			acl[name] = parse.Access{Read: grants.Read, Write: grants.Write}
		}
	}
	s.Data.Set("ACL", acl)
	s.Response.Set("ACL", acl.Clone())
}

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
		if err := checkOp(s, v); err != nil {
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

// checkID refuses an objectId of the client's choice on create unless the option allowCustomObjectId is on.
func (o *Objects) checkID(s *Save) error {
	if !s.IsCreate() {
		return nil // see stamp
	}
	if o.cfg.AllowCustomObjectID {
		id, given := s.Data.Lookup("objectId")
		text, isText := id.(string)
		if given && (id == nil || text == "" && isText) {
			return parse.Errorf(parse.MissingObjectID, "objectId must not be empty, null or undefined")
		}
		if s.ClassName == schema.UserClass && strings.HasPrefix(text, "role:") {
			return parse.Denied(parse.OperationForbidden, "Invalid object ID.")
		}
		return nil
	}
	for _, name := range []string{"objectId", "id"} {
		if parse.Truthy(s.Data.Get(name)) {
			return parse.Errorf(parse.InvalidKeyName, "%s is an invalid field name.", name)
		}
		s.Data.Delete(name)
	}
	return nil
}

// checkKey refuses the names that no class can have, before the schema looks at the others.
func checkKey(s *Save, key string) error {
	root, rest, dotted := strings.Cut(key, ".")
	switch {
	case strings.Count(key, ".") >= parse.DefaultDepth:
		// Each part of the key is a level of the stored value. Without this bound one key of a few megabytes makes a
		// value that no client can read, and that nothing can be done with in a stack of finite size.
		return parse.Errorf(parse.InvalidNestedKey, "Nested keys should not be more than %d levels deep", parse.DefaultDepth)
	case strings.Contains(rest, "$"):
		return parse.Errorf(parse.InvalidNestedKey, "Nested keys should not contain the '$' or '.' characters")
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

// checkOp refuses a malformed operator of a create, where Parse Server has one text for all of them. The schema does it for
// updates.
func checkOp(s *Save, v any) error {
	switch name, _ := parse.MalformedOp(v); name {
	case "Increment", "Add", "AddUnique", "Remove":
		if s.IsCreate() {
			return parse.Errorf(parse.InvalidJSON, "objects to add must be an array")
		}
	}
	return nil
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
	if err := schema.CheckRequiredColumns(s.ClassName, s.Data, s.IsCreate()); err != nil {
		return err
	}
	if s.IsCreate() && !s.Data.Has("ACL") {
		if acl := s.Class.DefaultACL(s.Caller.UserID()); acl != nil {
			s.Data.Set("ACL", acl)
			s.Response.Set("ACL", acl.Clone())
		}
	}
	if !o.plan(s.Class).filled {
		return nil
	}
	filled, err := schema.FillDefaults(s.Class, s.Data, s.IsCreate())
	for _, name := range filled {
		s.Response.Set(name, s.Data.Get(name))
	}
	return err
}

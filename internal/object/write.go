package object

import (
	"context"
	"strings"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
)

// write stores the object, and the changes of its relations in the same transaction.
func (o *Objects) write(ctx context.Context, s *Save) error {
	if len(s.relations) == 0 {
		return o.writeObject(ctx, s)
	}
	return o.Transact(ctx, func(ctx context.Context, tx *Objects) error {
		if err := tx.writeObject(ctx, s); err != nil {
			return err
		}
		return tx.writeRelations(ctx, s)
	})
}

func (o *Objects) writeObject(ctx context.Context, s *Save) error {
	if s.IsCreate() {
		return o.insert(ctx, s)
	}
	return o.change(ctx, s)
}

// insert stores a new object. Operators become the value that they make of nothing, dotted keys nest.
func (o *Objects) insert(ctx context.Context, s *Save) error {
	object := (&parse.Object{ClassName: s.ClassName, Map: *s.Data}).Shallow()
	if !simple(s.Data) {
		object.Map = parse.Map{}
		for key, v := range s.Data.All() {
			if op, ok := v.(parse.AddUnique); ok { // a create takes all of them, as given (measured)
				s.Data.Set(key, parse.Add(op))
			}
		}
		if err := parse.ApplyChanges(&object.Map, s.Data); err != nil {
			return err
		}
	}
	if acl, ok := object.Get("ACL").(parse.ACL); ok {
		storeACL(acl).set(&object.Map)
	}
	object.Delete("ACL")
	if err := o.store.Create(ctx, s.Class, object); err != nil {
		return err
	}
	s.stored = object.Shallow()
	expose(s.stored)
	return nil
}

// simple tells whether data holds nothing but the values of fields.
func simple(data *parse.Map) bool {
	for key, v := range data.All() {
		if _, op := v.(parse.Op); op || strings.Contains(key, ".") {
			return false
		}
	}
	return true
}

// change applies an update under all its conditions at once: the object, the rights of the caller, and what the behavior asks for.
func (o *Objects) change(ctx context.Context, s *Save) error {
	where := query.Node(ofID(s.ID))
	if s.Where != nil || len(s.may) > 0 {
		where = query.AndOf(where, s.Where, s.may)
	}
	changes := s.Data
	if acl, ok := s.Data.Get("ACL").(parse.ACL); ok {
		changes = s.Data.Clone()
		changes.Delete("ACL")
		storeACL(acl).set(changes)
	}
	objects, err := o.store.Update(ctx, s.Class, where, changes, 1)
	if err != nil {
		return err
	}
	if len(objects) == 0 {
		return notFound()
	}
	s.stored = objects[0]
	expose(s.stored)
	return nil
}

// respond adds to the response what the client cannot know: the results of its operators. They stand in front, as
// Parse Server has them.
func (o *Objects) respond(_ context.Context, s *Save) error {
	body := &parse.Map{}
	for key, v := range s.Data.All() {
		switch v.(type) {
		case parse.Increment, parse.Add, parse.AddUnique, parse.Remove:
			if err := result(body, s.stored, key); err != nil {
				return err
			}
		}
	}
	if s.IsCreate() {
		body.Set("objectId", s.ID)
		body.Set("createdAt", dateText(s.stored, "createdAt"))
	} else {
		body.Set("updatedAt", dateText(s.stored, "updatedAt"))
	}
	for name, v := range s.Response.All() {
		body.Set(name, v)
	}
	if o.cfg.ProtectSaveResponse {
		for _, name := range o.cfg.Rules.Mask(s.Caller, s.Class).Hides(s.stored) {
			body.Delete(name)
		}
	}
	o.addURLs(body)
	s.Response = body
	return nil
}

// result copies the value of a key from an object into a body: a dotted key nests, and the element of an array brings
// the whole array with it.
func result(body *parse.Map, object *parse.Object, key string) error {
	root, rest, dotted := strings.Cut(key, ".")
	v := object.Get(root)
	if _, array := v.([]any); !dotted || array {
		body.Set(root, v)
		return nil
	}
	path := strings.Split(rest, ".")
	for _, name := range path {
		switch container := v.(type) {
		case *parse.Map:
			v = container.Get(name)
		default:
			v = nil
		}
	}
	nested, err := parse.ApplyPath(body.Get(root), path, v)
	if err != nil {
		return err
	}
	body.Set(root, nested)
	return nil
}

// dateText is a date in the form that createdAt and updatedAt have on the wire.
func dateText(o *parse.Object, name string) any {
	if d, ok := o.Get(name).(parse.Date); ok {
		return d.String()
	}
	return nil
}

func (s *Save) saved() *Saved {
	answer := &Saved{Body: s.Response, Status: s.Status, Location: s.Location}
	if answer.Status == 0 {
		answer.Status = 200
		if s.IsCreate() {
			answer.Status = 201
		}
	}
	if answer.Location == "" && s.IsCreate() && !s.Done {
		answer.Location = "/classes/" + s.ClassName + "/" + s.ID
	}
	return answer
}

package object

import (
	"context"
	"time"

	"github.com/parley-backend/parley/internal/access"
	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// step is one step of a save. An error ends the save; nothing is stored by a step before write.
type step func(o *Objects, ctx context.Context, s *Save) error

// saveSteps are what happens in a create and an update, in this order.
//
// The order is that of Parse Server where a client can see it (which of two errors it reads), with one exception: everything
// that costs nothing and needs no I/O stands in front.
var saveSteps = []step{
	(*Objects).admitWrite,      // read-only key, classes of the master key, may the class come to be
	(*Objects).normalize,       // shape of the body: restricted names, denied keywords, ACL
	(*Objects).loadOriginal,    // what the behavior and the triggers compare with
	(*Objects).prepare,         // the system class: normalises, refuses, may answer by itself
	(*Objects).permit,          // class-level permissions, ACL and pointer permissions, as a condition of the write
	(*Objects).beforeSave,      // cloud code: sees a permitted change, and what it adds is validated like the rest
	(*Objects).evolve,          // missing class and fields, types, permission to add fields
	(*Objects).stamp,           // objectId, createdAt, updatedAt
	(*Objects).fill,            // default values, default ACL, required fields
	(*Objects).complete,        // the system class: hashing, uniqueness, derived fields
	(*Objects).detachRelations, // relation operators become changes of join classes
	(*Objects).write,           // the object and its join rows, at once
	(*Objects).respond,         // results of operators
	(*Objects).written,         // the system class: sessions, caches
	(*Objects).afterSave,       // cloud code
	(*Objects).notifySaved,     // who listens
}

// Create stores a new object made of data, which the save may change.
func (o *Objects) Create(ctx context.Context, caller *auth.Caller, class string, data *parse.Map) (*Saved, error) {
	return o.save(ctx, &Save{Caller: caller, ClassName: class, Data: data})
}

// Update changes an object. Keys of data may be dotted. Data may be changed by the save.
func (o *Objects) Update(ctx context.Context, caller *auth.Caller, class, id string, data *parse.Map) (*Saved, error) {
	return o.save(ctx, &Save{Caller: caller, ClassName: class, ID: id, Data: data, updating: true})
}

// UpdateWhere is [Objects.Update] that is done only if the object still satisfies a condition at the moment of the write
// (optimistic locking); otherwise it is ObjectNotFound.
func (o *Objects) UpdateWhere(ctx context.Context, caller *auth.Caller, class, id string, where query.Node, data *parse.Map) (*Saved, error) {
	return o.save(ctx, &Save{Caller: caller, ClassName: class, ID: id, Where: where, Data: data, updating: true})
}

func (o *Objects) save(ctx context.Context, s *Save) (*Saved, error) {
	s.Objects = o
	s.Response = &parse.Map{}
	s.behavior = o.behavior(s.ClassName)
	s.now = parse.DateOf(time.Now())
	if s.Data == nil {
		s.Data = &parse.Map{}
	}
	for _, run := range saveSteps {
		if err := run(o, ctx, s); err != nil {
			return nil, refused(s.behavior, s.Caller, s.ID, err)
		}
		if s.Done {
			break
		}
	}
	return s.saved(), nil
}

// admitWrite refuses what is refused whatever the body says.
func (o *Objects) admitWrite(_ context.Context, s *Save) error {
	op := schema.OpUpdate
	if s.IsCreate() {
		op = schema.OpCreate
	}
	if err := access.Class(s.Caller, s.ClassName, op); err != nil {
		return err
	}
	if schema.IsJoin(s.ClassName) || !schema.ValidClassName(s.ClassName) && !schema.IsSystem(s.ClassName) {
		return parse.Errorf(parse.InvalidJSON, "schema class name does not revalidate")
	}
	class, exists := o.cfg.Schemas.Class(s.ClassName)
	if !exists {
		if err := o.cfg.Rules.UnknownClass(s.Caller, s.ClassName); err != nil || s.IsCreate() {
			return err
		}
		return notFound() // there is nothing to update, and no reason to create a class
	}
	s.Class = class
	return nil
}

// loadOriginal reads the object of an update, with the rights to write it, for a class with a behavior or a trigger, or when somebody listens.
// Of a plain class nobody needs it: then the update costs one statement.
func (o *Objects) loadOriginal(ctx context.Context, s *Save) error {
	if s.IsCreate() || o.cfg.Notify == nil && !o.behaves(s.ClassName) && !o.triggered(s.ClassName) {
		return nil
	}
	s.Original = &parse.Object{ClassName: s.ClassName}
	s.Original.Set("objectId", s.ID)
	s.Unwritable = true
	if s.Class == nil {
		return nil
	}
	where := query.AndOf(ofID(s.ID), access.Writable(s.Caller))
	found, err := o.first(ctx, s.Class, where)
	if err != nil || found == nil {
		return err
	}
	expose(found)
	s.Original = found
	s.Unwritable = false
	return nil
}

func (o *Objects) prepare(ctx context.Context, s *Save) error {
	if err := s.behavior.Prepare(ctx, s); err != nil {
		return err
	}
	if s.Unwritable && !s.Done {
		return notFound()
	}
	return nil
}

// permit asks the class-level permissions, and collects the conditions under which the write is permitted: they are part of the
// write itself, so that nothing can change between the question and the deed.
func (o *Objects) permit(_ context.Context, s *Save) error {
	op := schema.OpCreate
	if !s.IsCreate() {
		op = schema.OpUpdate
		if node := access.Writable(s.Caller); node != nil {
			s.may = append(s.may, node)
		}
	}
	node, err := access.Operation(s.Caller, s.Class, op)
	if err != nil {
		return err
	}
	if node != nil {
		s.may = append(s.may, node)
		s.pointed = true
	}
	return nil
}

// evolve makes the schema fit the data.
func (o *Objects) evolve(ctx context.Context, s *Save) error {
	internal := detachInternal(s)
	var extra query.Node
	allow := o.cfg.Rules.Evolve(s.Caller, !s.IsCreate(), &extra)
	var class *schema.Class
	var err error
	if o.tx == nil {
		class, err = o.cfg.Schemas.Evolve(ctx, s.ClassName, s.Data, allow)
	} else {
		class, err = o.fitting(s, allow)
	}
	if err != nil {
		return err
	}
	s.Class = class
	if extra != nil {
		s.may = append(s.may, extra)
	}
	for name, v := range internal.All() {
		s.Data.Set(name, v)
	}
	return nil
}

// fitting is the part of evolve inside a transaction, where the schema cannot change: if it has to, the transaction ends, see growth.
func (o *Objects) fitting(s *Save, allow func(*schema.Class, bool, []string) error) (*schema.Class, error) {
	class, err := o.cfg.Schemas.Fitting(s.ClassName, s.Data)
	if err != nil || class != nil {
		return class, err
	}
	known, exists := o.cfg.Schemas.Class(s.ClassName)
	if !exists {
		known = schema.New(s.ClassName)
	}
	if fields := schema.NewFields(known, s.Data); !exists || len(fields) > 0 {
		if err := allow(known, !exists, fields); err != nil {
			return nil, err
		}
	}
	o.tx.grow = &growth{class: s.ClassName, values: s.Data.Clone()}
	return nil, o.tx.grow
}

// detachInternal takes the internal fields that the maintenance key writes out of the data while the schema is made to fit:
// they are no fields of the schema.
func detachInternal(s *Save) *parse.Map {
	if !s.Caller.Maintenance {
		return nil
	}
	var internal *parse.Map
	for _, name := range s.Data.Keys() {
		if _, ok := schema.InternalField(s.ClassName, name); !ok || name == readers || name == writers {
			continue
		}
		if internal == nil {
			internal = &parse.Map{}
		}
		internal.Set(name, s.Data.Get(name))
		s.Data.Delete(name)
	}
	return internal
}

// stamp gives the object its objectId and its moments. Those of the body count for a create with the maintenance key only; the
// schema has already seen to it that they are dates.
func (o *Objects) stamp(_ context.Context, s *Save) error {
	created, hasCreated := s.Data.Get("createdAt").(parse.Date)
	updated, hasUpdated := s.Data.Get("updatedAt").(parse.Date)
	s.Data.Delete("createdAt")
	s.Data.Delete("updatedAt")
	if !s.IsCreate() {
		// Parse Server gives the object the new id, and leaves every pointer to it behind.
		if id := s.Data.Get("objectId"); id != nil && id != s.ID {
			return parse.Errorf(parse.InvalidKeyName, "objectId is an invalid field name.")
		}
		s.Data.Delete("objectId")
		s.Data.Set("updatedAt", s.now)
		return nil
	}
	if !s.Caller.Maintenance || !hasCreated {
		created, updated = s.now, s.now
	} else if !hasUpdated {
		updated = created
	} else if updated < created {
		return parse.Errorf(parse.ValidationError, "updatedAt cannot occur before createdAt")
	}
	s.Data.Set("createdAt", created)
	s.Data.Set("updatedAt", updated)
	if id := s.Data.String("objectId"); id != "" {
		s.ID = id
	} else {
		s.ID = parse.NewID(o.idSize())
		s.Data.Set("objectId", s.ID)
	}
	return nil
}

func (o *Objects) idSize() int {
	if o.cfg.ObjectIDSize > 0 {
		return o.cfg.ObjectIDSize
	}
	return parse.IDSize
}

func (o *Objects) complete(ctx context.Context, s *Save) error { return s.behavior.Complete(ctx, s) }

func (o *Objects) written(ctx context.Context, s *Save) error {
	return s.behavior.Written(ctx, s, s.stored)
}

func (o *Objects) notifySaved(_ context.Context, s *Save) error {
	if o.cfg.Notify != nil {
		o.notify(Change{Caller: s.Caller, Class: s.Class, Original: s.Original, Object: s.stored})
	}
	return nil
}

package object

import (
	"context"

	"github.com/parley-backend/parley/internal/access"
	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

// Found is the answer to a find.
type Found struct {
	// Objects as this caller may see them, included objects in place.
	Objects []*parse.Object
	// Count of all matches; meaningful when the query asked for it.
	Count int64
	// ClassName is set when the query asked for redirectClassNameForKey: the class that the objects are of.
	ClassName string
	// Explain is the plan of the database when the query asked for it, in place of objects.
	Explain any
	// made tells that a trigger made the objects.
	made bool
}

// Find runs a query with the rights of the caller. The objects belong to whoever asked; parts of them may be shared
// with others: replace the value of a field, do not change it.
func (o *Objects) Find(ctx context.Context, caller *auth.Caller, q *query.Find) (*Found, error) {
	found, err := o.read(ctx, caller, q, schema.OpFind)
	if err != nil {
		return nil, clientError(err)
	}
	found.named()
	return found, nil
}

// Get returns one object, an *parse.Error ObjectNotFound when there is none that the caller may read. Of q only keys,
// excludeKeys, include and read preferences count; it may be nil.
func (o *Objects) Get(ctx context.Context, caller *auth.Caller, class, id string, q *query.Find) (*parse.Object, error) {
	one := query.Find{ClassName: class, Where: ofID(id), Limit: 1}
	if q != nil {
		one.Keys, one.ExcludeKeys, one.Include, one.IncludeAll = q.Keys, q.ExcludeKeys, q.Include, q.IncludeAll
		one.ReadPreference, one.IncludeReadPreference, one.SubqueryReadPreference = q.ReadPreference, q.IncludeReadPreference, q.SubqueryReadPreference
	}
	found, err := o.read(ctx, caller, &one, schema.OpGet)
	if err != nil {
		return nil, clientError(err)
	}
	if len(found.Objects) == 0 {
		return nil, notFound()
	}
	found.named()
	return found.Objects[0], nil
}

// reading is one query on its way through the steps of a read.
type reading struct {
	*Objects
	caller *auth.Caller
	q      query.Find // of this reading: steps change it
	class  *schema.Class
	// op is OpFind or OpGet: what class-level permissions call it.
	op schema.Operation
	// where is q.Where resolved, without the condition of the ACL.
	where query.Node
	// few is set when where names the objects by their ids: then they are read whatever their ACL says, and those that
	// the caller may not read are left out here. That spares the database a condition.
	few  bool
	view view
	// changed tells that a trigger has changed the query.
	changed bool
	// shared is the context of the triggers of this read.
	shared *parse.Map
}

// read runs a query. The steps: may this caller ask this class, beforeFind, may it ask about these fields, what does the system class say,
// sub-queries and relations, ACL, class-level permissions, the database, include, afterFind.
func (o *Objects) read(ctx context.Context, caller *auth.Caller, asked *query.Find, op schema.Operation) (*Found, error) {
	r := &reading{Objects: o, caller: caller, q: *asked, op: op}
	found := &Found{}
	if !o.cfg.Cloud.Any() {
		return found, r.answer(ctx, found)
	}
	if err := r.open(); err != nil {
		return nil, err
	}
	done, err := r.beforeFind(ctx, found)
	if err != nil {
		return nil, err
	}
	if done {
		found.made = true
	} else if err := r.answer(ctx, found); err != nil {
		return nil, err
	}
	return found, r.afterFind(ctx, asked.ClassName, found)
}

// answer reads what the query asks for, without triggers.
func (r *reading) answer(ctx context.Context, found *Found) error {
	if err := r.admit(found); err != nil {
		return err
	}
	class, exists := r.Objects.class(r.q.ClassName)
	if !exists {
		return r.cfg.Rules.UnknownClass(r.caller, r.q.ClassName)
	}
	r.class = class
	if err := r.check(); err != nil {
		return err
	}
	if err := r.behavior(class.Name).Restrict(ctx, r.caller, &r.q); err != nil {
		return err
	}
	var err error
	if r.where, err = r.resolve(ctx, r.q.Where); err != nil {
		return err
	}
	if r.q.Explain {
		found.Explain, err = r.explain(ctx)
		return err
	}
	return r.run(ctx, found)
}

// open refuses what is refused whatever the query says.
func (r *reading) open() error {
	if r.q.Explain && !r.caller.Master && !r.cfg.AllowPublicExplain {
		return parse.Errorf(parse.InvalidQuery, "Using the explain query parameter requires the master key")
	}
	return access.Class(r.caller, r.q.ClassName, r.op)
}

// admit asks what does not depend on the schema, and follows redirectClassNameForKey to the class that is really read.
func (r *reading) admit(found *Found) error {
	if err := r.open(); err != nil {
		return err
	}
	if r.op == schema.OpFind {
		r.op = access.Reading(r.q.Where) // as Parse Server: who may get may find by nothing but the objectId
	}
	r.few = r.op == schema.OpGet && !r.changed
	key := r.q.RedirectClassNameForKey
	if key == "" {
		return nil
	}
	if class, ok := r.Objects.class(r.q.ClassName); ok && class.Fields[key].Type == schema.Relation {
		r.q.ClassName = class.Fields[key].TargetClass
	}
	found.ClassName = r.q.ClassName
	return access.Class(r.caller, r.q.ClassName, schema.OpFind)
}

// check fits the query to the class, and refuses one that a protected field would decide.
func (r *reading) check() error {
	if r.op == schema.OpGet && !r.changed && len(r.q.Order) == 0 && !r.q.IncludeAll && len(r.q.Include) == 0 {
		return nil // nothing but an objectId
	}
	checked, err := query.Check(&r.q, r.class, query.Options{Privileged: r.caller.Privileged(), Limits: r.cfg.Limits})
	if err != nil {
		return err
	}
	r.q = *checked
	if r.changed {
		return nil // what the client asked has been checked before the trigger
	}
	return r.cfg.Rules.CheckQuery(r.caller, r.class, &r.q)
}

// run asks the database: the objects, unless none were asked for, and their number.
func (r *reading) run(ctx context.Context, found *Found) error {
	complete := false // whether found holds every object that the count counts
	if r.q.Limit != 0 {
		where, narrowed, err := r.permitted(r.op, !r.few)
		if err != nil {
			return err
		}
		if found.Objects, err = r.fetch(ctx, where); err != nil {
			return err
		}
		complete = !narrowed && r.q.Skip == 0 && (r.q.Limit < 0 || len(found.Objects) < r.q.Limit)
	}
	if r.q.Count {
		where, narrowed, err := r.permitted(schema.OpCount, true)
		if err != nil {
			return err
		}
		if complete && !narrowed {
			found.Count = int64(len(found.Objects))
		} else if found.Count, err = r.from(r.q.ReadPreference).Count(ctx, r.class, where); err != nil {
			return err
		}
	}
	return r.include(ctx, found.Objects)
}

// permitted asks the class-level permissions for one operation and returns where with the condition that they set, and with that
// of the ACL if asked for. It is narrowed when the permissions set one.
func (r *reading) permitted(op schema.Operation, acl bool) (where query.Node, narrowed bool, err error) {
	node, err := access.Operation(r.caller, r.class, op)
	switch {
	case err != nil:
		return nil, false, err
	case acl:
		return query.AndOf(r.where, access.Readable(r.caller), node), node != nil, nil
	case node == nil:
		return r.where, false, nil
	}
	return query.AndOf(r.where, node), true, nil
}

// fetch returns the objects of one page as the caller may see them.
func (r *reading) fetch(ctx context.Context, where query.Node) ([]*parse.Object, error) {
	r.view = r.newView()
	q := r.q
	q.Where = where
	q.Keys = r.view.stored()
	q.ExcludeKeys, q.Include, q.IncludeAll = nil, nil, false
	var objects []*parse.Object
	if q.Limit > 0 {
		objects = make([]*parse.Object, 0, min(q.Limit, 128))
	}
	for object, err := range r.from(q.ReadPreference).Find(ctx, r.class, &q) {
		if err != nil {
			return nil, err
		}
		if r.few && !readableBy(r.caller, object) {
			continue
		}
		r.view.show(object)
		objects = append(objects, object)
	}
	return objects, nil
}

func (r *reading) explain(ctx context.Context) (any, error) {
	where, _, err := r.permitted(r.op, true)
	if err != nil {
		return nil, err
	}
	explainer, ok := r.cfg.Store.(storage.Explainer)
	if !ok {
		return nil, errNoPlan
	}
	q := r.q
	q.Where = where
	return explainer.Explain(ctx, r.class, &q)
}

// from returns where reads with a preference go. What a transaction reads it reads from itself.
func (o *Objects) from(preference string) storage.Reader {
	if replicated, ok := o.store.(storage.Replicated); ok && o.tx == nil {
		return replicated.From(preference)
	}
	return o.store
}

// first returns one stored object that matches, nil for none.
func (o *Objects) first(ctx context.Context, class *schema.Class, where query.Node) (*parse.Object, error) {
	for object, err := range o.store.Find(ctx, class, &query.Find{ClassName: class.Name, Where: where, Limit: 1}) {
		return object, err
	}
	return nil, nil
}

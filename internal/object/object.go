// Package object is what Parley does with objects on behalf of a caller: get, find, count, aggregate, create, update, delete, include,
// batch. It is the only package that combines the rules (package access) with a database (package storage).
//
// save.go is the order of steps of a write, find.go that of a read; behavior.go is what a system class adds to them.
// Of a write: body.go what may stand in its body, write.go what is stored and answered, relation.go its relations.
// Of a read: where.go sub-queries and relations, include.go pointers replaced by objects, view.go what of an object is shown.
// cloud.go is where triggers run, client.go what cloud code asks of this service.
// acl.go turns an ACL into its stored form and back; error.go and transact.go face the database.
package object

import (
	"context"
	"slices"
	"sync"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/internal/access"
	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/internal/schemas"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

// Config is what the service needs. The zero value of an option is the default of Parse Server.
type Config struct {
	Store   storage.Adapter
	Schemas *schemas.Schemas
	// Behaviors by class name.
	Behaviors map[string]Behavior

	// Rules are the options that decide what a caller may do.
	Rules access.Rules
	// AllowCustomObjectID lets a create name its objectId.
	AllowCustomObjectID bool
	// ObjectIDSize is the length of a generated objectId; 0 for parse.IDSize.
	ObjectIDSize int
	// Denylist is the option requestKeywordDenylist; nil for DefaultDenylist, empty for none.
	Denylist []Keyword
	// Limits bound what clients may include; the other limits are checked where a query is parsed.
	Limits query.Limits
	// AllowPublicExplain lets everybody ask for the plan of a query.
	AllowPublicExplain bool
	// ProtectSaveResponse hides protected fields in the answers to writes too (protectedFieldsSaveResponseExempt: false).
	ProtectSaveResponse bool
	// FileURL returns the URL under which a stored file is read; nil leaves files without one.
	FileURL func(name string) string
	// Cloud is the cloud code of the application; nil for none.
	Cloud *cloud.Hooks
	// REST answers what cloud code asks of the REST API, with the rights of a caller whose user is not known yet; nil when there is none.
	REST func(ctx context.Context, objects *Objects, caller *auth.Caller, ask cloud.Ask) *cloud.Answer
	// RolesOf returns the roles of a user as "role:Name", for cloud code that acts as one; nil for none.
	RolesOf func(ctx context.Context, userID string) ([]string, error)
	// Notify is called with each committed write, in no order between different requests; nil when nobody listens. It must not
	// block: the answer to the client waits for it.
	Notify func(Change)
}

// Change is one committed write.
type Change struct {
	Caller *auth.Caller
	Class  *schema.Class
	// Original is the object before an update or a delete, nil for a create. With the client's ACL and internal fields, like Object.
	Original *parse.Object
	// Object is the object after a create or an update, nil for a delete.
	Object *parse.Object
}

// Objects is the service. It is safe for concurrent use, except inside a transaction.
type Objects struct {
	*core
	store storage.Store // the adapter, or a transaction of it
	tx    *transaction  // nil outside of transactions
}

// core is what a service shares with its transactions.
type core struct {
	cfg      Config
	denylist []Keyword
	plans    sync.Map // class name -> *plan
	joins    sync.Map // name of a join class -> *schema.Class, one for each name: adapters remember what they know of a class by it
}

// New returns a service.
func New(cfg Config) *Objects {
	c := &core{cfg: cfg, denylist: cfg.Denylist}
	if c.denylist == nil {
		c.denylist = DefaultDenylist
	}
	return &Objects{core: c, store: cfg.Store}
}

// Store is where this service reads and writes: the database, or the transaction that the service is bound to. For behaviors
// that work on stored objects of their own class; it knows no caller and no rule.
func (o *Objects) Store() storage.Store { return o.store }

// notify tells a change to whoever listens once it is visible.
func (o *Objects) notify(c Change) { o.AfterCommit(func() { o.cfg.Notify(c) }) }

var plainBehavior Behavior = Plain{}

func (o *Objects) behavior(class string) Behavior {
	if b, ok := o.cfg.Behaviors[class]; ok {
		return b
	}
	return plainBehavior
}

func (o *Objects) behaves(class string) bool { return o.cfg.Behaviors[class] != nil }

// class returns the schema of a class, of a join class too.
func (o *Objects) class(name string) (*schema.Class, bool) {
	class, ok := o.cfg.Schemas.Class(name)
	if ok && schema.IsJoin(name) {
		field, owner, _ := parse.SplitJoinClass(name)
		return o.join(owner, field), true
	}
	return class, ok
}

// join returns the class that holds the members of a Relation field.
func (c *core) join(owner, field string) *schema.Class {
	name := parse.JoinClass(field, owner)
	if known, ok := c.joins.Load(name); ok {
		return known.(*schema.Class)
	}
	class, _ := c.joins.LoadOrStore(name, schema.JoinClass(owner, field))
	return class.(*schema.Class)
}

// plan is what the steps ask of a class again and again.
type plan struct {
	class *schema.Class
	// relations are the Relation fields, sorted.
	relations []string
	// filled tells whether a field has a default value or is required.
	filled bool
}

func (c *core) plan(class *schema.Class) *plan {
	if p, ok := c.plans.Load(class.Name); ok && p.(*plan).class == class {
		return p.(*plan)
	}
	p := &plan{class: class}
	for name, f := range class.Fields {
		if f.Type == schema.Relation {
			p.relations = append(p.relations, name)
		}
		if f.Required || f.Default != nil {
			p.filled = true
		}
	}
	slices.Sort(p.relations)
	c.plans.Store(class.Name, p)
	return p
}

// ofID is the condition to be one object.
func ofID(id string) *query.Constraint {
	return &query.Constraint{Key: "objectId", Op: query.Eq, Arg: id}
}

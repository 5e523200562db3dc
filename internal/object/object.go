// Package object is what Parley does with objects on behalf of a caller: get, find, count, aggregate, create, update, delete, include,
// batch. It is the only package that combines the rules (package access) with a database (package storage).
//
// save.go is the order of steps of a write, find.go that of a read; behavior.go is what a system class adds to them.
package object

import (
	"context"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/internal/schemas"
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
	// ClassName is set when the objects are of another class than was asked (redirectClassNameForKey).
	ClassName string
	// Explain is the plan of the database when the query asked for it, in place of objects.
	Explain any
}

// Save is one create or update on its way through the steps of save.go, and what a [Behavior] reads and changes.
type Save struct {
	Caller *auth.Caller
	Class  *schema.Class // after the schema was evolved; before that nil for a class that does not exist yet
	// ClassName of the object.
	ClassName string
	// ID of the object: of an update from the start, of a create once it is assigned.
	ID string
	// Original is the stored object of an update (stored form turned to the client's: ACL in place of _rperm and _wperm), nil for a create.
	Original *parse.Object
	// Where, for an update, is an additional condition that must hold at the moment of the write (optimistic locking); usually nil.
	Where query.Node
	// Data are the fields to write: values and operators, dotted keys on update. Steps change it in place.
	Data *parse.Map
	// Response is what the caller reads besides objectId, createdAt and updatedAt. Steps add to it.
	Response *parse.Map
	// Status is the HTTP status of the answer when a behavior changes it (a create that became an update: 200); 0 for the usual one.
	Status int
	// Location is the path of the object below the mount path when it is not the usual one; see rest.
	Location string
	// Done, when set by a Behavior in Prepare, ends the save successfully without a write: Response is the whole answer.
	Done bool
	// Objects is the service that runs this save; inside a transaction it is bound to the transaction.
	Objects *Objects

	// Notes is for a Behavior's own use between its steps.
	Notes any
}

// IsCreate tells whether the save makes a new object.
func (s *Save) IsCreate() bool { return s.Original == nil }

// Saved is the answer to a save.
type Saved struct {
	// Body is the JSON answer: objectId and createdAt of a create, updatedAt of an update, and what the steps added.
	Body *parse.Map
	// Status is 201 for a create and 200 for an update unless a behavior says otherwise.
	Status int
	// Location is the path of a created object below the mount path, as "/classes/C/id"; "" for an update.
	Location string
}

// Behavior is what a system class adds to the common steps. Embed [Plain] and override what the class needs.
type Behavior interface {
	// Prepare runs first, before the schema is evolved: it normalises and completes s.Data, refuses what the class does not allow,
	// and may turn a create into an update by setting s.ID and s.Original (and s.Status).
	Prepare(ctx context.Context, s *Save) error
	// Complete runs after triggers and schema validation, right before the write: hashing, uniqueness, derived fields.
	Complete(ctx context.Context, s *Save) error
	// Written runs after the write: sessions, caches. object is the object as it is now stored.
	Written(ctx context.Context, s *Save, object *parse.Object) error
	// Restrict may narrow or refuse a read before anything else looks at it.
	Restrict(ctx context.Context, caller *auth.Caller, q *query.Find) error
	// Deleting runs before an object is removed and may refuse; Deleted after.
	Deleting(ctx context.Context, caller *auth.Caller, object *parse.Object) error
	Deleted(ctx context.Context, caller *auth.Caller, object *parse.Object) error
	// Shape turns a stored object into what this caller reads, in place: internal fields are already gone for callers without the maintenance key.
	Shape(caller *auth.Caller, object *parse.Object)
}

// Plain is a Behavior that adds nothing.
type Plain struct{}

func (Plain) Prepare(context.Context, *Save) error                        { return nil }
func (Plain) Complete(context.Context, *Save) error                       { return nil }
func (Plain) Written(context.Context, *Save, *parse.Object) error         { return nil }
func (Plain) Restrict(context.Context, *auth.Caller, *query.Find) error   { return nil }
func (Plain) Deleting(context.Context, *auth.Caller, *parse.Object) error { return nil }
func (Plain) Deleted(context.Context, *auth.Caller, *parse.Object) error  { return nil }
func (Plain) Shape(*auth.Caller, *parse.Object)                           {}

// Config is what the service needs. The zero value of an option is the default of Parse Server.
type Config struct {
	Store   storage.Adapter
	Schemas *schemas.Schemas
	// Behaviors by class name.
	Behaviors map[string]Behavior
	// further options: see the fields that the implementation adds
}

// Objects is the service. It is safe for concurrent use.
type Objects struct {
	cfg   Config
	store storage.Store // the adapter, or a transaction of it
}

// New returns a service.
func New(cfg Config) *Objects { return &Objects{cfg: cfg, store: cfg.Store} }

// Find runs a query with the rights of the caller.
func (o *Objects) Find(ctx context.Context, caller *auth.Caller, q *query.Find) (*Found, error) {
	panic("being written")
}

// Get returns one object, an *parse.Error ObjectNotFound when there is none that the caller may read. Of q only keys, excludeKeys and include count.
func (o *Objects) Get(ctx context.Context, caller *auth.Caller, class, id string, q *query.Find) (*parse.Object, error) {
	panic("being written")
}

// Create stores a new object made of data.
func (o *Objects) Create(ctx context.Context, caller *auth.Caller, class string, data *parse.Map) (*Saved, error) {
	panic("being written")
}

// Update changes an object.
func (o *Objects) Update(ctx context.Context, caller *auth.Caller, class, id string, data *parse.Map) (*Saved, error) {
	panic("being written")
}

// Delete removes an object.
func (o *Objects) Delete(ctx context.Context, caller *auth.Caller, class, id string) error {
	panic("being written")
}

// Aggregate runs a pipeline, or a distinct; master key only.
func (o *Objects) Aggregate(ctx context.Context, caller *auth.Caller, class string, p *query.Pipeline) ([]any, error) {
	panic("being written")
}

// Purge removes all objects of a class; master key only.
func (o *Objects) Purge(ctx context.Context, caller *auth.Caller, class string) error {
	panic("being written")
}

// Transact runs fn with a service whose reads and writes are one transaction; a Transient conflict runs it again, up to five times.
func (o *Objects) Transact(ctx context.Context, fn func(ctx context.Context, tx *Objects) error) error {
	panic("being written")
}

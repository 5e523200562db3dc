package object

import (
	"context"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// Behavior is what a system class adds to the common steps. Embed [Plain] and override what the class needs.
type Behavior interface {
	// Prepare runs first, before the schema is evolved: it normalises and completes s.Data, refuses what the class does not allow,
	// and may turn a create into an update by setting s.ID and s.Original (and s.Status).
	Prepare(ctx context.Context, s *Save) error
	// Complete runs after triggers and schema validation, right before the write: hashing, uniqueness, derived fields.
	Complete(ctx context.Context, s *Save) error
	// Written runs after the write: sessions, caches. object is the object as it is now stored.
	Written(ctx context.Context, s *Save, object *parse.Object) error
	// Restrict may narrow or refuse a read; what the caller itself asked has been checked before.
	Restrict(ctx context.Context, caller *auth.Caller, q *query.Find) error
	// Deleting runs before an object is removed and may refuse.
	Deleting(ctx context.Context, caller *auth.Caller, object *parse.Object) error
	// Deleted runs once the object is gone for everybody: after the commit of the transaction, if there is one.
	Deleted(caller *auth.Caller, object *parse.Object)
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
func (Plain) Deleted(*auth.Caller, *parse.Object)                         {}
func (Plain) Shape(*auth.Caller, *parse.Object)                           {}

// Refuser is a [Behavior] that has words of its own for what went wrong: it turns the final error of a save or a delete
// of its class into the one that the caller reads. Asked after everything else, never with a nil error.
// id is the object that was named, "" for a create. A clash with a unique index arrives as *parse.Error
// DuplicateValue that wraps the *storage.Error with its Fields.
type Refuser interface {
	Refused(caller *auth.Caller, id string, err error) error
}

// Owner is a [Behavior] whose objects own objects of other classes, which go with them. The object is gone already; in a
// transaction both are undone together.
type Owner interface {
	RemoveOwned(ctx context.Context, objects *Objects, object *parse.Object) error
}

// Purged is a [Behavior] that keeps something about the objects of its class in memory: it is told when all of them are gone.
type Purged interface{ Purged(ctx context.Context) }

// Save is one create or update on its way through the steps of save.go, and what a [Behavior] reads and changes.
type Save struct {
	Caller *auth.Caller
	Class  *schema.Class // after the schema was evolved; before that nil for a class that does not exist yet
	// ClassName of the object.
	ClassName string
	// ID of the object: of an update from the start, of a create once it is assigned.
	ID string
	// Original is the stored object of an update (stored form turned to the client's: ACL in place of _rperm and _wperm; internal
	// fields are there), nil for a create. Of a class without a Behavior it is read only when somebody needs it, see [Save.IsCreate].
	Original *parse.Object
	// Unwritable is set with the Original of an update whose object does not exist, or that this caller may not write: Original
	// then holds nothing but its objectId, and the save ends with ObjectNotFound after Prepare, unless Prepare has a better answer.
	Unwritable bool
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

	// updating is set from the start for an update whose original is not read.
	updating bool
	// behavior of the class; Plain when it has none of its own.
	behavior Behavior
	// may is what permissions add to the condition of the write; pointed tells that pointer permissions are among them.
	may     query.And
	pointed bool
	// shared is the context of the triggers of this save.
	shared *parse.Map
	// now is the moment of this save: updatedAt, and createdAt of a create.
	now parse.Date
	// relations are the relation operators that were taken out of Data.
	relations []relationChange
	// stored is the object after the write.
	stored *parse.Object
}

// IsCreate tells whether the save makes a new object.
func (s *Save) IsCreate() bool { return s.Original == nil && !s.updating }

// Saved is the answer to a save.
type Saved struct {
	// Body is the JSON answer: objectId and createdAt of a create, updatedAt of an update, and what the steps added.
	Body *parse.Map
	// Status is 201 for a create and 200 for an update unless a behavior says otherwise.
	Status int
	// Location is the path of a created object below the mount path, as "/classes/C/id"; "" for an update.
	Location string
}

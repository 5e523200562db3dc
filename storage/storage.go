// Package storage is the contract between Parley and a database.
//
// An adapter stores objects and finds them. It never sees a caller, an ACL or a trigger: it gets a finished query.
// An object at this level holds the stored form: no field "ACL" but the arrays "_rperm" and "_wperm" (absent for a public
// object), no Relation (members live in the class "_Join:field:Class" with the String fields relatedId and owningId),
// and whatever internal fields the system classes have ([schema.Internal]). createdAt and updatedAt are parse.Date.
//
// storage/memory is the reference; storage/storagetest is the suite that every adapter passes.
package storage

import (
	"context"
	"iter"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// Store reads and writes objects. It is an [Adapter], or a transaction of one.
// All methods are safe for concurrent use on an Adapter; inside a transaction they are called one at a time.
//
// The class argument is always the current schema of the class. A class whose [schema.Class] exists but which the
// database has never seen behaves as empty. Errors are of type *[Error] with one of the kinds below; after an error of a
// write nothing of it is stored. An ended context is Unavailable and wraps its cause.
type Store interface {
	// Find visits the objects that match q.Where in q.Order (ties by objectId), after q.Skip, at most q.Limit of them
	// (negative: all). Only the top-level fields of q.Keys (plus objectId, createdAt, updatedAt, _rperm, _wperm) need be
	// there when q.Keys is not nil. Sub-queries, relations and include are resolved before: q.Where holds none.
	// An error ends the sequence. The visitor may keep the objects and must not call the Store of a transaction while it iterates.
	Find(ctx context.Context, class *schema.Class, q *query.Find) iter.Seq2[*parse.Object, error]

	// Count returns how many objects match.
	Count(ctx context.Context, class *schema.Class, where query.Node) (int64, error)

	// Create stores new objects, all or none. Each has an objectId. A clash with a unique index is a Duplicate error.
	Create(ctx context.Context, class *schema.Class, objects ...*parse.Object) error

	// Update applies the changes to the objects that match, at most limit of them (negative: all), and returns them as they are
	// afterwards, in no special order. No match is not an error. Each object changes atomically: of concurrent updates none is lost.
	// An operator or a path that does not fit what is stored (see [parse.ApplyPath]) is Unsupported and wraps the *parse.Error.
	Update(ctx context.Context, class *schema.Class, where query.Node, changes Changes, limit int) ([]*parse.Object, error)

	// Delete removes the objects that match, at most limit of them (negative: all), and returns how many there were.
	Delete(ctx context.Context, class *schema.Class, where query.Node, limit int) (int64, error)
}

// Changes are what an update does to each matching object: the name of a field, or a dotted key into an Object or Array
// field, and its new value or a [parse.Op] (never a relation operator). They are applied in order.
type Changes = *parse.Map

// Adapter is a database that holds the objects of one application.
type Adapter interface {
	Store

	// Transact runs fn in a transaction: its writes become visible together when fn returns nil, and never when it
	// returns an error or panics. Transactions are serializable with respect to each other.
	// A Transient error means that the whole may be tried again. Transactions do not nest.
	Transact(ctx context.Context, fn func(ctx context.Context, tx Store) error) error

	// Classes returns the stored schema of all classes.
	Classes(ctx context.Context) ([]*schema.Class, error)
	// SaveClass creates a class, or turns the stored one into the given: fields and indexes that are new are added, those that
	// are gone are dropped together with their values. The caller has checked that the change is legal ([schema.Change]);
	// fields never change their type. Two nodes may save the same class at once; the result is the union of what they add.
	// A unique index over values that clash is a Duplicate error and changes nothing.
	SaveClass(ctx context.Context, class *schema.Class) error
	// DropClass removes a class with its objects and the join classes of its relations. A missing class is no error.
	DropClass(ctx context.Context, class string) error

	// Capabilities tells what this database can do.
	Capabilities() Capabilities
	// Ping tells whether the database answers.
	Ping(ctx context.Context) error
	// Close finishes what was begun and releases everything. No other method may be called afterwards.
	Close() error
}

// Explainer is an Adapter that can show how it would run a query, as one JSON value.
type Explainer interface {
	Explain(ctx context.Context, class *schema.Class, q *query.Find) (any, error)
}

// Backuper is an Adapter that can copy its live database into a new file.
type Backuper interface {
	Backup(ctx context.Context, file string) error
}

// Finding is something to know of a database before it is served or copied.
type Finding struct {
	// Level is "error" for what would be lost, or keep the database from being used; "warning" for what will be otherwise than it was; "note" for
	// what stays where it is.
	Level string `json:"level"`
	// About is what it is about, as "class Thing", "column Thing.x".
	About string `json:"about"`
	Text  string `json:"text"`
}

// Reader is what reads of a [Store].
type Reader interface {
	Find(ctx context.Context, class *schema.Class, q *query.Find) iter.Seq2[*parse.Object, error]
	Count(ctx context.Context, class *schema.Class, where query.Node) (int64, error)
}

// Replicated is an Adapter that may have replicas.
type Replicated interface {
	// From returns where to read with a preference: PRIMARY, PRIMARY_PREFERRED, SECONDARY, SECONDARY_PREFERRED or NEAREST; "" is the default of
	// the database. What it reads from a replica may be older than what was written. It fails only where the adapter does, too.
	From(preference string) Reader
}

// Snapshotter is an Adapter whose objects can be read as they were at one moment, however long the reading takes.
type Snapshotter interface {
	// Snapshot runs fn. All reads of r see the moment at which it began; they are done one at a time, and hand out objects while they go on.
	Snapshot(ctx context.Context, fn func(ctx context.Context, r Reader) error) error
}

// Watcher is an Adapter that hears of classes that other processes change.
type Watcher interface {
	// Watch calls changed, one call at a time, after another process changed a class, and whenever it may have missed that, until
	// ctx ends. It has no error: where nothing can be heard it waits and tries again, and its caller looks for itself every so often.
	Watch(ctx context.Context, changed func())
}

// Locker is an Adapter of which one process at a time may hold something.
type Locker interface {
	// Lock holds what the name says until unlock is called or the process ends. Its error wraps [ErrLocked] when another one holds it.
	Lock(ctx context.Context, name string) (unlock func(), err error)
}

// Identified is an Adapter that tells which database it is, however it is reached.
type Identified interface {
	// Identity is without secrets; "" when the database does not say.
	Identity(ctx context.Context) (string, error)
}

// Capabilities says as data what an adapter can do.
type Capabilities struct {
	// Name of the database for logs and explain: "sqlite", "memory", "postgres".
	Name string
	// Durable: an acknowledged write survives a crash of the process and of the machine.
	Durable bool
	// Transactions: Transact is all or nothing.
	Transactions bool
	// Shared: other processes may write to the same database.
	Shared bool
	// NoNUL: strings with the character U+0000 are refused as Unsupported.
	NoNUL bool
	// NoNull: null in a field is stored as a field that is not there.
	NoNull bool
	// OldestDate, if not 0: dates before it are refused as Unsupported.
	OldestDate parse.Date
}

// Kind classes an error of an adapter. The list is closed.
type Kind uint8

// The kinds.
const (
	// Unavailable: the database does not answer, is locked, its disk is full. Nothing of the write was stored.
	Unavailable Kind = iota + 1
	// Duplicate: a unique index refused the write.
	Duplicate
	// Transient: a conflict between transactions; try again.
	Transient
	// Unsupported: the database cannot run this query.
	Unsupported
	// Corrupt: the database is damaged, or was written by a newer version.
	Corrupt
	// Internal: a defect of the adapter.
	Internal
)

// Error is an error of an adapter.
type Error struct {
	Kind Kind
	// Op is the method that failed, as "sqlite.Create".
	Op string
	// Class that was worked on; may be "".
	Class string
	// Fields of the index that refused a Duplicate, when known.
	Fields []string
	// Err is the cause, for logs only: it never reaches a client.
	Err error
}

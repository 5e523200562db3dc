// Package schemas keeps the living schema of the application: an immutable snapshot that every request reads without a lock,
// and the one place that changes it in the database.
//
// The signatures below are what other packages rely on.
package schemas

import (
	"context"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

// Schemas is the schema of all classes of one application.
type Schemas struct {
	store storage.Adapter
}

// Load reads the schema from the database and makes the system classes exist.
func Load(ctx context.Context, store storage.Adapter) (*Schemas, error) { panic("being written") }

// Class returns the current schema of a class, and whether the class exists.
func (s *Schemas) Class(name string) (*schema.Class, bool) { panic("being written") }

// All returns all classes, sorted by name.
func (s *Schemas) All() []*schema.Class { panic("being written") }

// Evolve returns the schema of a class after it was made to fit a write: a missing class and missing fields are created
// with the types of the given values and operators, in one change of the database. Values that do not fit are an *parse.Error (111).
// It does no I/O when nothing is missing. Whether the caller may add classes or fields is asked through allow, which gets the names
// of the fields to be added (none for a new class without fields) and whether the class is new, before anything is changed; it may be nil.
func (s *Schemas) Evolve(ctx context.Context, class string, values *parse.Map, allow func(class *schema.Class, isNew bool, newFields []string) error) (*schema.Class, error) {
	panic("being written")
}

// Create makes a new class from the body of POST /schemas/:class (code 103 when it exists).
func (s *Schemas) Create(ctx context.Context, name string, body *parse.Map) (*schema.Class, error) {
	panic("being written")
}

// Modify changes a class by the body of PUT /schemas/:class.
func (s *Schemas) Modify(ctx context.Context, name string, body *parse.Map) (*schema.Class, error) {
	panic("being written")
}

// Drop removes an empty class (code 255 when it has objects).
func (s *Schemas) Drop(ctx context.Context, name string) error { panic("being written") }

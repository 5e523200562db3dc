package object

import (
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

// Store returns the database this service works on: the adapter or, inside [Objects.Transact], the transaction.
// It is for what a system class keeps for itself (counters, the sessions of a user), where no rule applies.
func (o *Objects) Store() storage.Store { return o.store }

// Class returns the current schema of a class, for calls on [Objects.Store].
func (o *Objects) Class(name string) (*schema.Class, bool) { return o.cfg.Schemas.Class(name) }

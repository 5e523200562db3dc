package object

import "github.com/parley-backend/parley/internal/auth"

// Refuser is a [Behavior] that has words of its own for what went wrong: it turns the final error of a save or a delete
// of its class into the one that the caller reads. Asked after everything else, never with a nil error.
// id is the object that was named, "" for a create. A clash with a unique index arrives as *parse.Error
// DuplicateValue that wraps the *storage.Error with its Fields.
type Refuser interface {
	Refused(caller *auth.Caller, id string, err error) error
}

package object

import (
	"context"
	"errors"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/storage"
)

// notFound is the answer for an object that does not exist or that the caller may not see or change: the two are
// not to be told apart.
func notFound() *parse.Error { return parse.Errorf(parse.ObjectNotFound, "Object not found.") }

// kinds are what a client reads when the database fails; the cause is for the log.
var kinds = map[storage.Kind]parse.Error{
	storage.Unavailable: {Code: parse.InternalServerError, Message: "An internal server error occurred"},
	storage.Transient:   {Code: parse.InternalServerError, Message: "An internal server error occurred"},
	storage.Corrupt:     {Code: parse.InternalServerError, Message: "An internal server error occurred"},
	storage.Internal:    {Code: parse.InternalServerError, Message: "An internal server error occurred"},
	storage.Unsupported: {Code: parse.InvalidQuery, Message: "The database does not support this query."},
	storage.Duplicate:   {Code: parse.DuplicateValue, Message: "A duplicate value for a field with unique values was provided"},
}

// clientError turns whatever came from below into what a client may be told: a *parse.Error stays, an error of the
// database becomes the text of its kind with the cause behind it, so that errors.Is still finds the kind.
func clientError(err error) error {
	if err == nil {
		return nil
	}
	var told *parse.Error
	var grow *growth
	if errors.As(err, &told) || errors.As(err, &grow) {
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return &parse.Error{Code: parse.Timeout, Message: "The request was not completed in time.", Err: err}
	}
	answer := kinds[storage.KindOf(err)]
	if answer.Err = err; errors.Is(err, storage.ErrBusy) {
		answer.Message = "The database is busy. Try again later."
	}
	return &answer
}

// refused is the final error of a save or a delete: that of clientError, in the words of the behavior if it has any.
func refused(b Behavior, caller *auth.Caller, id string, err error) error {
	if err = clientError(err); err == nil {
		return nil
	}
	var retry *growth
	if refuser, ok := b.(Refuser); ok && !errors.Is(err, storage.Transient) && !errors.As(err, &retry) {
		return refuser.Refused(caller, id, err)
	}
	return err
}

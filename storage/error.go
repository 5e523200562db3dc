package storage

import (
	"errors"
	"fmt"
)

// ErrBusy is in the chain of an Unavailable error of a request that got no connection in time: nothing was done, and it may do better soon.
var ErrBusy = errors.New("no connection to the database became free in time")

// ErrLocked says that another process holds what [Locker] was asked for.
var ErrLocked = errors.New("another process holds it")

var kindNames = [...]string{Unavailable: "unavailable", Duplicate: "duplicate", Transient: "transient", Unsupported: "unsupported", Corrupt: "corrupt", Internal: "internal"}

func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Error makes a Kind usable with errors.Is.
func (k Kind) Error() string { return "storage: " + k.String() }

func (e *Error) Error() string {
	text := e.Op + ": " + e.Kind.String()
	if e.Class != "" {
		text += " (class " + e.Class + ")"
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Is makes errors.Is(err, kind) true for the kind of the error.
func (e *Error) Is(target error) bool {
	k, ok := target.(Kind)
	return ok && k == e.Kind
}

func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of an error, Internal for one that is not of this package, 0 for nil.
func KindOf(err error) Kind {
	if err == nil {
		return 0
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

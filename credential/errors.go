package credential

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// Class says what a failure to read a credential means. It is a closed list and
// itself an error, so that errors.Is(err, credential.Missing) reads as written.
type Class uint8

// The error classes and what each does to the material in memory.
const (
	// Unavailable: time-out, refused connection, 5xx, sealed. The last good
	// set is served for up to ttl + stale_max; attempts back off.
	Unavailable Class = iota + 1
	// Denied: the store refused our own login or the file its permission.
	// Like Unavailable, but logged as an error at once. Not a revocation.
	Denied
	// Missing: the store is well and has no such secret. The last good set is
	// kept (Config.OnMissing), logged as an error.
	Missing
	// Gone: the store says that the secret was deleted or disabled. Every
	// version is refused at once, the overlap included.
	Gone
	// Invalid: something came that must not be installed: empty, oversized,
	// not text, too short, equal to another role's key. The old set is kept
	// and keeps ageing.
	Invalid
	// Misconfigured: a reference or an option is wrong. Refused at start.
	Misconfigured
)

var classNames = [...]string{Unavailable: "unavailable", Denied: "denied", Missing: "missing", Gone: "gone", Invalid: "invalid", Misconfigured: "config"}

// String returns the name used in logs and metric labels: "unavailable",
// "denied", "missing", "gone", "invalid", "config", or "none".
func (c Class) String() string {
	if int(c) >= len(classNames) || classNames[c] == "" {
		return "none"
	}
	return classNames[c]
}

// MarshalText returns the name.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Error makes a Class a target for errors.Is.
func (c Class) Error() string { return "credential: " + c.String() }

// Error is every error of this package. Its text is made of words that Parley
// wrote or that the operator configured (a path, a variable's name); never of
// what a store sent, never of a value.
type Error struct {
	Class  Class
	Reason string
	// Subject is the credential or the place that the reason is about, "" if
	// there is none.
	Subject string
	// RetryAfter is the store's own wish; the engine waits at least so long.
	RetryAfter time.Duration

	cause error // only errors known to carry no foreign text
	held  bool  // no attempt was made: the instance is being left alone
}

// Errorf returns an Error of the given class. The arguments end up in logs:
// pass no value and no text that came from a store.
func Errorf(class Class, format string, args ...any) *Error {
	return &Error{Class: class, Reason: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string {
	text := "credential"
	if e.Subject != "" {
		text += " " + e.Subject
	}
	return text + ": " + e.Class.String() + ": " + e.Reason
}

// Is reports whether target is the class of e.
func (e *Error) Is(target error) bool {
	class, ok := target.(Class)
	return ok && class == e.Class
}

// Unwrap returns context.DeadlineExceeded or context.Canceled where one of them
// is behind e, and nil otherwise: foreign errors are described, not carried.
func (e *Error) Unwrap() error { return e.cause }

func (e *Error) about(subject string) *Error {
	if e.Subject != "" {
		return e
	}
	named := *e
	named.Subject = subject
	return &named
}

// asError turns whatever a source returned into an Error. A foreign error's text
// may quote the secret or a store's answer, so only its kind is kept: the words
// of an errno, "timed out", or the Go type.
func asError(err error) *Error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	var class Class
	if errors.As(err, &class) {
		return &Error{Class: class, Reason: "reported by the source"}
	}
	var errno syscall.Errno
	var network net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return &Error{Class: Unavailable, Reason: "timed out", cause: context.DeadlineExceeded}
	case errors.Is(err, context.Canceled):
		return &Error{Class: Unavailable, Reason: "canceled", cause: context.Canceled}
	case errors.As(err, &errno):
		return &Error{Class: Unavailable, Reason: errno.Error()}
	case errors.As(err, &network) && network.Timeout():
		return &Error{Class: Unavailable, Reason: "network time-out"}
	}
	return &Error{Class: Unavailable, Reason: fmt.Sprintf("the source failed (%T)", err)}
}

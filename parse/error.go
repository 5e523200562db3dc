package parse

import "fmt"

// Error is what a client is told: a code and a text. Its text never comes from a driver, a source or another library.
//
// A [Code] is itself an error, so that errors.Is(err, parse.ObjectNotFound) finds it.
type Error struct {
	Code    Code
	Message string
	// Value, when it is not nil, is what the client reads where Message stands otherwise: a webhook may fail with an object. Message says
	// in words what happened, then.
	Value any
	// Reason, when set, is the detailed text that is logged, and that is answered in place of Message
	// when sanitized error responses are switched off (option enableSanitizedErrorResponse).
	Reason string
	// Err is the cause, for logs only.
	Err error
}

// Errorf returns an error of a code with a formatted text.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Denied returns the error of a refused operation: the client reads "Permission denied", the log the reason.
func Denied(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: "Permission denied", Reason: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string {
	text := e.Message
	if e.Reason != "" {
		text = e.Reason
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return fmt.Sprintf("%d %s", int(e.Code), text)
}

// Is makes errors.Is(err, code) true for the code of the error.
func (e *Error) Is(target error) bool {
	c, ok := target.(Code)
	return ok && c == e.Code
}

func (e *Error) Unwrap() error { return e.Err }

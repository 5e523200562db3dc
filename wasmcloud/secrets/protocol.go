package secrets

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The names of the protocol.
const (
	Version        = "v1alpha1"
	hostKeyHeader  = "WasmCloud-Host-Xkey"
	replyKeyHeader = "Server-Response-Xkey"
	propertiesType = "properties.secret.wasmcloud.dev/v1alpha1"
)

// Code is the name of an error of the protocol. It is itself an error: errors.Is(err, secrets.Unauthorized).
type Code string

// The errors that a host may be told.
const (
	InvalidEntityJWT Code = "InvalidEntityJWT" // malformed, forged, expired, or of an issuer that is not trusted
	InvalidHostJWT   Code = "InvalidHostJWT"   // the same of the host
	SecretNotFound   Code = "SecretNotFound"   // no such key, version or field
	InvalidXKey      Code = "InvalidXKey"      // the header holds no public curve key
	EncryptionError  Code = "EncryptionError"  // the answer cannot be sealed
	DecryptionError  Code = "DecryptionError"  // sealed for another key, or damaged
	UpstreamError    Code = "UpstreamError"    // the source of the key does not supply it
	Unauthorized     Code = "Unauthorized"     // no rule allows it, or the entity is revoked
	InvalidRequest   Code = "InvalidRequest"   // opened, but not a request
	InvalidPayload   Code = "InvalidPayload"   // nothing sealed, or too large
	InvalidHeaders   Code = "InvalidHeaders"   // without the header of the host's key, or with several
	PolicyError      Code = "PolicyError"      // the policy in the request is not one
	Other            Code = "Other"            // a version that has ended, too many requests
)

// codes is the table of errors: whether a text goes with the name.
var codes = []struct {
	code Code
	text bool
}{
	{InvalidEntityJWT, true}, {InvalidHostJWT, true}, {SecretNotFound, false}, {InvalidXKey, false}, {EncryptionError, false},
	{DecryptionError, false}, {UpstreamError, true}, {Unauthorized, false}, {InvalidRequest, false}, {InvalidPayload, false},
	{InvalidHeaders, false}, {PolicyError, true}, {Other, true},
}

// Codes returns the names of all errors.
func Codes() []Code {
	all := make([]Code, len(codes))
	for i, row := range codes {
		all[i] = row.code
	}
	return all
}

func (c Code) Error() string { return "secrets: " + string(c) }

func (c Code) hasText() bool {
	return slices.ContainsFunc(codes, func(row struct {
		code Code
		text bool
	}) bool {
		return row.code == c && row.text
	})
}

// Error is an answer that refuses. Its text is made of words of this package and of public keys.
type Error struct {
	Code Code
	Text string // only what goes with the name is sent; the log has it of all
}

func refuse(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string {
	if e.Text == "" {
		return e.Code.Error()
	}
	return e.Code.Error() + ": " + e.Text
}

// Unwrap returns the Code.
func (e *Error) Unwrap() error { return e.Code }

// MarshalJSON writes "Name" or {"Name":"text"}.
func (e *Error) MarshalJSON() ([]byte, error) {
	if e.Code.hasText() {
		return json.Marshal(map[Code]string{e.Code: e.Text})
	}
	return json.Marshal(e.Code)
}

// UnmarshalJSON reads both forms.
func (e *Error) UnmarshalJSON(data []byte) error {
	var name Code
	if json.Unmarshal(data, &name) == nil {
		*e = Error{Code: name}
		return nil
	}
	var named map[Code]string
	if err := json.Unmarshal(data, &named); err != nil || len(named) != 1 {
		return errors.New("secrets: not an error of the protocol")
	}
	for name, text := range named {
		*e = Error{Code: name, Text: text}
	}
	return nil
}

// request is what a host seals.
type request struct {
	Key     string  `json:"key"`
	Field   *string `json:"field"`
	Version *string `json:"version"`
	Context struct {
		Entity      string `json:"entity_jwt"`
		Host        string `json:"host_jwt"`
		Application struct {
			Name   *string `json:"name"`
			Policy string  `json:"policy"`
		} `json:"application"`
	} `json:"context"`
}

// maxName bounds the names in a request, in bytes.
const maxName = 1024

// parseRequest reads what was opened. An empty field or version is none.
func parseRequest(text []byte) (*request, *Error) {
	var r request
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, refuse(InvalidRequest, "not the JSON of a request")
	}
	if r.Key == "" {
		return nil, refuse(InvalidRequest, "no key")
	}
	for _, name := range []string{r.Key, value(r.Field), value(r.Version), value(r.Context.Application.Name)} {
		if len(name) > maxName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
			return nil, refuse(InvalidRequest, "a name is too long, or not text")
		}
	}
	return &r, nil
}

func value(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// checkPolicy looks at the policy of a request, which is JSON in a string. Whoever deploys the application writes it, so it grants
// nothing; one that is not understood is refused, because its author expects something of it.
func (r *request) checkPolicy() *Error {
	text := r.Context.Application.Policy
	if text == "" {
		return nil
	}
	var policy struct {
		Type       string         `json:"type"`
		Properties map[string]any `json:"properties"`
	}
	switch err := json.Unmarshal([]byte(text), &policy); {
	case err != nil:
		return refuse(PolicyError, "the policy is not JSON with a type and properties")
	case policy.Type != propertiesType:
		return refuse(PolicyError, "the type of the policy is not %s", propertiesType)
	}
	return nil
}

// response is what is answered: in clear with an Error, sealed with a Secret.
type response struct {
	Secret *secret `json:"secret,omitempty"`
	Error  *Error  `json:"error,omitempty"`
}

// secret is a value and its version. One of String and Binary is not nil.
type secret struct {
	Version string  `json:"version"`
	String  *string `json:"string_secret"`
	Binary  numbers `json:"binary_secret"`
}

// numbers are bytes that are numbers in JSON, as Rust writes them; nil is null.
type numbers []byte

func (n numbers) MarshalJSON() ([]byte, error) {
	if n == nil {
		return []byte("null"), nil
	}
	out := make([]byte, 0, 2+4*len(n))
	out = append(out, '[')
	for i, b := range n {
		if i > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendUint(out, uint64(b), 10)
	}
	return append(out, ']'), nil
}

func (n *numbers) UnmarshalJSON(text []byte) error {
	if bytes.Equal(text, []byte("null")) {
		*n = nil
		return nil
	}
	var wide []uint16
	if err := json.Unmarshal(text, &wide); err != nil {
		return errors.New("secrets: not an array of bytes")
	}
	*n = make(numbers, len(wide))
	for i, b := range wide {
		if b > 255 {
			return errors.New("secrets: not an array of bytes")
		}
		(*n)[i] = byte(b)
	}
	return nil
}

// checkName says what is wrong with a part of a subject that an operator chose.
func checkName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%s is empty", what)
	case len(name) > 255:
		return fmt.Errorf("%s is longer than 255 bytes", what)
	case strings.HasPrefix(name, "."), strings.HasSuffix(name, "."), strings.Contains(name, ".."):
		return fmt.Errorf("%s has an empty part between dots, which NATS does not carry", what)
	case strings.ContainsAny(name, "*>"), strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f || r == utf8.RuneError }):
		return fmt.Errorf("%s holds a blank, a *, a > or a control character, which NATS does not carry", what)
	}
	return nil
}

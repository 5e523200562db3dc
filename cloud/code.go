package cloud

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/parley-backend/parley/schema"
)

// Code is the cloud code of one application. Its zero value is empty and ready. It is filled before [parley.New] gets it and
// does not change afterwards: to register something later panics.
//
// A registration that is wrong (a class that can have no such trigger, a name that is taken) is told by [Code.Compile], and so
// by parley.New, with the line of the program that made it.
//
// [parley.New]: https://pkg.go.dev/github.com/parley-backend/parley#New
type Code struct {
	// Timeout bounds each run of a function or a trigger: its context ends then, and the client is answered with code 124 whatever the
	// function does. 0 is the time-out of clients (option clientTimeout, 30 s), negative sets no bound.
	Timeout time.Duration

	mu       sync.Mutex
	sealed   bool
	problems []error
	triggers map[slot]*trigger
	defined  map[string]*function
}

// Kind is a kind of trigger, by the name that Parse has for it.
type Kind string

// The kinds of triggers.
const (
	BeforeSave   Kind = "beforeSave"
	AfterSave    Kind = "afterSave"
	BeforeDelete Kind = "beforeDelete"
	AfterDelete  Kind = "afterDelete"
	BeforeFind   Kind = "beforeFind"
	AfterFind    Kind = "afterFind"
	BeforeLogin  Kind = "beforeLogin"
	AfterLogin   Kind = "afterLogin"
	AfterLogout  Kind = "afterLogout"
)

// slot is where a trigger is registered.
type slot struct {
	kind  Kind
	class string
}

func (s slot) String() string { return string(s.kind) + " of " + s.class }

// trigger is one registered trigger. run gets the request type of its kind.
type trigger struct {
	slot
	run        func(ctx context.Context, req any) error
	validators []Validator
}

// function is one registered function.
type function struct {
	name       string
	run        Function
	validators []Validator
}

// Function is a cloud function. Its result is encoded as [Value] says; nil is an answer without a result.
type Function func(ctx context.Context, req *FunctionRequest) (any, error)

// BeforeSave runs f before an object of the class is created or updated. It may change req.Object; an error refuses the save.
func (c *Code) BeforeSave(class string, f func(ctx context.Context, req *SaveRequest) error, validators ...Validator) {
	c.add(BeforeSave, class, f == nil, func(ctx context.Context, req any) error { return f(ctx, req.(*SaveRequest)) }, validators)
}

// AfterSave runs f once an object of the class is stored. What it sets in req.Object the client reads in the answer; nothing of it
// is stored. An error is logged and the client does not hear of it.
func (c *Code) AfterSave(class string, f func(ctx context.Context, req *SaveRequest) error, validators ...Validator) {
	c.add(AfterSave, class, f == nil, func(ctx context.Context, req any) error { return f(ctx, req.(*SaveRequest)) }, validators)
}

// BeforeDelete runs f before an object of the class is deleted; an error refuses that.
func (c *Code) BeforeDelete(class string, f func(ctx context.Context, req *DeleteRequest) error, validators ...Validator) {
	c.add(BeforeDelete, class, f == nil, func(ctx context.Context, req any) error { return f(ctx, req.(*DeleteRequest)) }, validators)
}

// AfterDelete runs f once an object of the class is gone. The client reads its error, and the object stays deleted.
func (c *Code) AfterDelete(class string, f func(ctx context.Context, req *DeleteRequest) error, validators ...Validator) {
	c.add(AfterDelete, class, f == nil, func(ctx context.Context, req any) error { return f(ctx, req.(*DeleteRequest)) }, validators)
}

// BeforeFind runs f before objects of the class are read: by a find, a get, an include or a sub-query. It may change req.Query, or
// give the objects itself; an error refuses the read.
func (c *Code) BeforeFind(class string, f func(ctx context.Context, req *FindRequest) error, validators ...Validator) {
	c.add(BeforeFind, class, f == nil, func(ctx context.Context, req any) error { return f(ctx, req.(*FindRequest)) }, validators)
}

// AfterFind runs f on what was read of the class. It may change, leave out and add objects of req.Objects.
func (c *Code) AfterFind(class string, f func(ctx context.Context, req *FoundRequest) error, validators ...Validator) {
	c.add(AfterFind, class, f == nil, func(ctx context.Context, req any) error { return f(ctx, req.(*FoundRequest)) }, validators)
}

// BeforeLogin runs f when a user has given the right password or authData, before there is a session; an error refuses the login.
func (c *Code) BeforeLogin(f func(ctx context.Context, req *LoginRequest) error, validators ...Validator) {
	c.add(BeforeLogin, schema.UserClass, f == nil, func(ctx context.Context, req any) error { return f(ctx, req.(*LoginRequest)) }, validators)
}

// AfterLogin runs f when a user has logged in with a password. The client reads its error, and the session stays.
func (c *Code) AfterLogin(f func(ctx context.Context, req *LoginRequest) error, validators ...Validator) {
	c.add(AfterLogin, schema.UserClass, f == nil, func(ctx context.Context, req any) error { return f(ctx, req.(*LoginRequest)) }, validators)
}

// AfterLogout runs f when a session was ended by its user.
func (c *Code) AfterLogout(f func(ctx context.Context, req *LogoutRequest) error, validators ...Validator) {
	c.add(AfterLogout, schema.SessionClass, f == nil, func(ctx context.Context, req any) error { return f(ctx, req.(*LogoutRequest)) }, validators)
}

func (c *Code) add(kind Kind, class string, missing bool, run func(context.Context, any) error, validators []Validator) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := slot{kind, class}
	c.seal(at.String())
	if c.triggers == nil {
		c.triggers = map[slot]*trigger{}
	}
	switch problem := impossible(at); {
	case problem != "":
		c.problem(at.String(), problem)
	case missing:
		c.problem(at.String(), "there is no function to run")
	case c.triggers[at] != nil:
		c.problem(at.String(), "is registered already")
	default:
		t := &trigger{slot: at, run: run, validators: slices.Clone(validators)}
		c.normalise(at.String(), t.validators)
		c.triggers[at] = t
	}
}

// own are classes that the server writes by itself: nothing would run where a trigger of them is expected to.
var own = []string{"_Hooks", "_GlobalConfig", "_GraphQLConfig", "_Idempotency"}

// impossible says why there can be no such trigger, "" when there can.
func impossible(at slot) string {
	switch {
	case at.kind == BeforeLogin || at.kind == AfterLogin || at.kind == AfterLogout:
		return ""
	case at.class == schema.SessionClass:
		return "Only the afterLogout trigger is allowed for the _Session class."
	case at.class == "_PushStatus" && at.kind == BeforeSave:
		return "Only afterSave is allowed on _PushStatus"
	case slices.Contains(own, at.class):
		return "objects of this class are written by the server itself"
	case schema.IsJoin(at.class) || !schema.IsSystem(at.class) && !schema.ValidClassName(at.class):
		return "is no name of a class"
	}
	return ""
}

// Define makes a function that clients call by its name: POST /functions/name.
func (c *Code) Define(name string, f Function, validators ...Validator) {
	c.mu.Lock()
	defer c.mu.Unlock()
	what := fmt.Sprintf("function %q", name)
	c.seal(what)
	if c.defined == nil {
		c.defined = map[string]*function{}
	}
	switch {
	case name == "" || strings.ContainsAny(name, "'\"`"):
		c.problem(what, "a name is not empty and has no quotation marks")
	case f == nil:
		c.problem(what, "there is no function to run")
	case c.defined[name] != nil:
		c.problem(what, "is registered already")
	default:
		d := &function{name: name, run: f, validators: slices.Clone(validators)}
		c.normalise(what, d.validators)
		c.defined[name] = d
	}
}

func (c *Code) normalise(what string, validators []Validator) {
	for i := range validators {
		if err := validators[i].normalise(); err != nil {
			c.problem(what, err.Error())
		}
	}
}

func (c *Code) seal(what string) {
	if c.sealed {
		panic("cloud: " + what + " is registered after the server was made")
	}
}

// problem remembers what is wrong with a registration, and which line of the program made it.
func (c *Code) problem(what, text string) {
	at := ""
	for skip := 2; skip < 8; skip++ {
		if _, file, line, ok := runtime.Caller(skip); ok && !strings.HasSuffix(file, "/cloud/code.go") {
			at = fmt.Sprintf("%s:%d: ", file[strings.LastIndexByte(file, '/')+1:], line)
			break
		}
	}
	c.problems = append(c.problems, fmt.Errorf("%scloud code: %s: %s", at, what, text))
}

// Options are what a server adds to the code of its application.
type Options struct {
	// Log gets what goes wrong and is the Log of requests; nil discards it.
	Log *slog.Logger
	// ClientTimeout is the Timeout of code that names none; 0 is 30 s.
	ClientTimeout time.Duration
}

// Hooks is compiled code, ready to run. A nil *Hooks has no trigger and no function. It is safe for concurrent use.
type Hooks struct {
	log       *slog.Logger
	timeout   time.Duration
	triggers  map[slot]*trigger
	functions map[string]*function
}

// Compile ends the registration. It returns nil Hooks for nil or empty code, and an error that names every registration that is
// wrong. A server calls it; it may be called more than once.
func (c *Code) Compile(o Options) (*Hooks, error) {
	if c == nil {
		return nil, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sealed = true
	if err := errors.Join(c.problems...); err != nil || len(c.triggers)+len(c.defined) == 0 {
		return nil, err
	}
	h := &Hooks{log: o.Log, timeout: c.Timeout, triggers: c.triggers, functions: c.defined}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if h.timeout == 0 {
		h.timeout = o.ClientTimeout
	}
	if h.timeout == 0 {
		h.timeout = 30 * time.Second
	}
	return h, nil
}

// Has tells whether there is a trigger.
func (h *Hooks) Has(kind Kind, class string) bool {
	return h != nil && h.triggers[slot{kind, class}] != nil
}

// Log is where the server writes about cloud code.
func (h *Hooks) Log() *slog.Logger { return h.log }

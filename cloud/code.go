package cloud

import (
	"context"
	"fmt"
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
	// JobTimeout bounds each run of a job; 0 sets no bound.
	JobTimeout time.Duration

	mu       sync.Mutex
	sealed   bool
	problems []error
	triggers map[slot]*trigger
	defined  map[string]*function
	jobs     map[string]*job
	watchers []*watcher
}

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
	timeout    time.Duration // of the code that it belongs to
}

// function is one registered function.
type function struct {
	name       string
	run        Function
	validators []Validator
	timeout    time.Duration
}

// job is one registered job.
type job struct {
	name    string
	run     func(ctx context.Context, req *JobRequest) error
	timeout time.Duration
}

// watcher is told of what happens to the connections of live queries.
type watcher struct {
	run     func(ctx context.Context, req *LiveEventRequest) error
	timeout time.Duration
}

// Function is a cloud function. Its result is encoded as [Value] says; nil is an answer without a result.
type Function func(ctx context.Context, req *FunctionRequest) (any, error)

// BeforeSave runs f before an object of the class is created or updated. It may change req.Object; an error refuses the save.
func (c *Code) BeforeSave(class string, f func(ctx context.Context, req *SaveRequest) error, validators ...Validator) {
	register(c, BeforeSave, class, f, validators)
}

// AfterSave runs f once an object of the class is stored. What it sets in req.Object the client reads in the answer; nothing of it
// is stored. An error is logged and the client does not hear of it.
func (c *Code) AfterSave(class string, f func(ctx context.Context, req *SaveRequest) error, validators ...Validator) {
	register(c, AfterSave, class, f, validators)
}

// BeforeDelete runs f before an object of the class is deleted; an error refuses that.
func (c *Code) BeforeDelete(class string, f func(ctx context.Context, req *DeleteRequest) error, validators ...Validator) {
	register(c, BeforeDelete, class, f, validators)
}

// AfterDelete runs f once an object of the class is gone. The client reads its error, and the object stays deleted.
func (c *Code) AfterDelete(class string, f func(ctx context.Context, req *DeleteRequest) error, validators ...Validator) {
	register(c, AfterDelete, class, f, validators)
}

// BeforeFind runs f before objects of the class are read: by a find, a get, an include or a sub-query. It may change req.Query, or
// give the objects itself; an error refuses the read.
func (c *Code) BeforeFind(class string, f func(ctx context.Context, req *FindRequest) error, validators ...Validator) {
	register(c, BeforeFind, class, f, validators)
}

// AfterFind runs f on what was read of the class. It may change, leave out and add objects of req.Objects.
func (c *Code) AfterFind(class string, f func(ctx context.Context, req *FoundRequest) error, validators ...Validator) {
	register(c, AfterFind, class, f, validators)
}

// BeforeLogin runs f when a user has given the right password or authData, before there is a session; an error refuses the login.
func (c *Code) BeforeLogin(f func(ctx context.Context, req *LoginRequest) error, validators ...Validator) {
	register(c, BeforeLogin, schema.UserClass, f, validators)
}

// AfterLogin runs f when a user has logged in with a password. The client reads its error, and the session stays.
func (c *Code) AfterLogin(f func(ctx context.Context, req *LoginRequest) error, validators ...Validator) {
	register(c, AfterLogin, schema.UserClass, f, validators)
}

// AfterLogout runs f when a session was ended by its user.
func (c *Code) AfterLogout(f func(ctx context.Context, req *LogoutRequest) error, validators ...Validator) {
	register(c, AfterLogout, schema.SessionClass, f, validators)
}

// BeforePasswordResetRequest runs f when somebody asks for a mail to reset the password of a user that there is; an error refuses that.
func (c *Code) BeforePasswordResetRequest(f func(ctx context.Context, req *PasswordResetRequest) error, validators ...Validator) {
	register(c, BeforePasswordResetRequest, schema.UserClass, f, validators)
}

// BeforeSaveFile runs f before a file is stored. It may change req.File; an error refuses the upload.
func (c *Code) BeforeSaveFile(f func(ctx context.Context, req *FileRequest) error, validators ...Validator) {
	register(c, BeforeSave, FileClass, f, validators)
}

// AfterSaveFile runs f once a file is stored.
func (c *Code) AfterSaveFile(f func(ctx context.Context, req *FileRequest) error, validators ...Validator) {
	register(c, AfterSave, FileClass, f, validators)
}

// BeforeDeleteFile runs f before a file is deleted; an error refuses that.
func (c *Code) BeforeDeleteFile(f func(ctx context.Context, req *FileRequest) error, validators ...Validator) {
	register(c, BeforeDelete, FileClass, f, validators)
}

// AfterDeleteFile runs f once a file is gone.
func (c *Code) AfterDeleteFile(f func(ctx context.Context, req *FileRequest) error, validators ...Validator) {
	register(c, AfterDelete, FileClass, f, validators)
}

// BeforeFindFile runs f before a file is read. It may name another file in req.File; an error refuses the read.
func (c *Code) BeforeFindFile(f func(ctx context.Context, req *FileRequest) error, validators ...Validator) {
	register(c, BeforeFind, FileClass, f, validators)
}

// AfterFindFile runs f on a file that was read, before it is sent. It may change req.File and how it is sent.
func (c *Code) AfterFindFile(f func(ctx context.Context, req *FileRequest) error, validators ...Validator) {
	register(c, AfterFind, FileClass, f, validators)
}

// BeforeSaveConfig runs f before the config is changed; an error refuses that.
func (c *Code) BeforeSaveConfig(f func(ctx context.Context, req *ConfigRequest) error, validators ...Validator) {
	register(c, BeforeSave, ConfigClass, f, validators)
}

// AfterSaveConfig runs f once the config was changed. The client reads its error, and the config stays changed.
func (c *Code) AfterSaveConfig(f func(ctx context.Context, req *ConfigRequest) error, validators ...Validator) {
	register(c, AfterSave, ConfigClass, f, validators)
}

// BeforeConnect runs f when a client of live queries connects; an error refuses that.
func (c *Code) BeforeConnect(f func(ctx context.Context, req *ConnectRequest) error, validators ...Validator) {
	register(c, BeforeConnect, ConnectClass, f, validators)
}

// BeforeSubscribe runs f before a live query of the class begins. It may change req.Query; an error refuses the subscription.
func (c *Code) BeforeSubscribe(class string, f func(ctx context.Context, req *SubscribeRequest) error, validators ...Validator) {
	register(c, BeforeSubscribe, class, f, validators)
}

// AfterLiveQueryEvent runs f before an event of a live query of the class is sent. It may change req.Object and req.Original, and keep
// the event from being sent.
func (c *Code) AfterLiveQueryEvent(class string, f func(ctx context.Context, req *EventRequest) error, validators ...Validator) {
	register(c, AfterEvent, class, f, validators)
}

// OnLiveQueryEvent runs f when something happens to a connection of live queries. There may be several; their errors are logged.
func (c *Code) OnLiveQueryEvent(f func(ctx context.Context, req *LiveEventRequest) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seal("onLiveQueryEvent")
	if f == nil {
		c.problem("onLiveQueryEvent", "there is no function to run")
		return
	}
	c.watchers = append(c.watchers, &watcher{run: f})
}

// On registers a trigger by its kind and its class, for code that knows them only when it runs: f gets the request type that the method
// for this kind has, such as *[SaveRequest]. Files, the config and connections have the classes [FileClass], [ConfigClass] and [ConnectClass].
func (c *Code) On(kind Kind, class string, f func(ctx context.Context, req any) error, validators ...Validator) {
	c.add(kind, class, f == nil, f, validators)
}

// register is the registration of a trigger whose requests have the type R.
func register[R requests](c *Code, kind Kind, class string, f func(ctx context.Context, req R) error, validators []Validator) {
	if at, method := (slot{kind, class}), serviceMethod(kind, class); method != "" && !isService[R]() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.seal(at.String())
		c.problem(at.String(), "requests of "+class+" have another type: use "+method+" or On")
		return
	}
	c.add(kind, class, f == nil, func(ctx context.Context, req any) error { return f(ctx, req.(R)) }, validators)
}

// serviceMethod is the method that registers a trigger of what is no class, "" for a class.
func serviceMethod(kind Kind, class string) string {
	if class != FileClass && class != ConfigClass {
		return ""
	}
	return strings.ToUpper(string(kind[:1])) + string(kind[1:]) + class[1:]
}

func isService[R requests]() bool {
	var r R
	switch any(r).(type) {
	case *FileRequest, *ConfigRequest:
		return true
	}
	return false
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
	case badName(name):
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

// Job makes a job that requests with the master key start by its name, POST /jobs/name, and that schedules start. It runs until it
// returns, its context ends, or Code.JobTimeout is over; who started it does not wait.
func (c *Code) Job(name string, f func(ctx context.Context, req *JobRequest) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	what := fmt.Sprintf("job %q", name)
	c.seal(what)
	if c.jobs == nil {
		c.jobs = map[string]*job{}
	}
	switch {
	case badName(name):
		c.problem(what, "a name is not empty and has no quotation marks")
	case f == nil:
		c.problem(what, "there is no function to run")
	case c.jobs[name] != nil:
		c.problem(what, "is registered already")
	default:
		c.jobs[name] = &job{name: name, run: f}
	}
}

// badName: Parse Server knows no function and no job whose name has quotation marks.
func badName(name string) bool { return name == "" || strings.ContainsAny(name, "'\"`") }

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

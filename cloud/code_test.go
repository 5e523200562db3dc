package cloud

import (
	"context"
	"strings"
	"testing"
	"time"
)

func save(context.Context, *SaveRequest) error            { return nil }
func find(context.Context, *FindRequest) error            { return nil }
func call(context.Context, *FunctionRequest) (any, error) { return nil, nil }

func TestRegistrationsThatAreWrong(t *testing.T) {
	for _, c := range []struct {
		name     string
		register func(*Code)
		want     string // of the error; "" for none
	}{
		{"none", func(*Code) {}, ""},
		{"good", func(c *Code) {
			c.BeforeSave("Game", save)
			c.BeforeSave("_User", save)
			c.AfterSave("_PushStatus", save)
			c.Define("a.b", call)
		}, ""},
		{"all services", func(c *Code) {
			c.BeforeSaveFile(func(context.Context, *FileRequest) error { return nil })
			c.AfterSaveConfig(func(context.Context, *ConfigRequest) error { return nil })
			c.BeforeConnect(func(context.Context, *ConnectRequest) error { return nil })
			c.BeforePasswordResetRequest(func(context.Context, *PasswordResetRequest) error { return nil })
			c.BeforeSubscribe("Game", func(context.Context, *SubscribeRequest) error { return nil })
			c.AfterLiveQueryEvent("Game", func(context.Context, *EventRequest) error { return nil })
			c.OnLiveQueryEvent(func(context.Context, *LiveEventRequest) error { return nil })
			c.Job("a job", func(context.Context, *JobRequest) error { return nil })
			c.On(BeforeSave, "@Config", func(context.Context, any) error { return nil })
		}, ""},
		{"another kind", func(c *Code) { c.On("beforeNothing", "A", func(context.Context, any) error { return nil }) }, "beforeNothing of A: there is no such kind of trigger"},
		{"a login of another class", func(c *Code) { c.On(BeforeLogin, "A", func(context.Context, any) error { return nil }) }, "beforeLogin of A: Only the _User class is allowed for the beforeLogin, afterLogin, and beforePasswordResetRequest triggers"},
		{"a logout of another class", func(c *Code) { c.On(AfterLogout, "A", func(context.Context, any) error { return nil }) }, "afterLogout of A: Only the _Session class is allowed for the afterLogout trigger."},
		{"a connection of a class", func(c *Code) { c.On(BeforeConnect, "A", func(context.Context, any) error { return nil }) }, "beforeConnect of A: Only @Connect is allowed for the beforeConnect trigger"},
		{"the config is not deleted", func(c *Code) { c.On(BeforeDelete, "@Config", func(context.Context, any) error { return nil }) }, "beforeDelete of @Config: is no name of a class"},
		{"a file has a method of its own", func(c *Code) { c.BeforeSave("@File", save) }, "beforeSave of @File: requests of @File have another type: use BeforeSaveFile or On"},
		{"no watcher", func(c *Code) { c.OnLiveQueryEvent(nil) }, "onLiveQueryEvent: there is no function to run"},
		{"a job twice", func(c *Code) {
			c.Job("j", func(context.Context, *JobRequest) error { return nil })
			c.Job("j", func(context.Context, *JobRequest) error { return nil })
		}, `job "j": is registered already`},
		{"a job without a name", func(c *Code) { c.Job("", func(context.Context, *JobRequest) error { return nil }) }, `job "": a name is not empty`},
		{"no job", func(c *Code) { c.Job("j", nil) }, `job "j": there is no function to run`},
		{"a session", func(c *Code) { c.BeforeSave("_Session", save) }, "beforeSave of _Session: Only the afterLogout trigger is allowed for the _Session class."},
		{"a session is found", func(c *Code) { c.BeforeFind("_Session", find) }, "beforeFind of _Session: Only the afterLogout"},
		{"a push", func(c *Code) { c.BeforeSave("_PushStatus", save) }, "beforeSave of _PushStatus: Only afterSave is allowed on _PushStatus"},
		{"the config", func(c *Code) { c.AfterSave("_GlobalConfig", save) }, "written by the server itself"},
		{"a join class", func(c *Code) { c.AfterSave("_Join:users:_Role", save) }, "is no name of a class"},
		{"no class", func(c *Code) { c.AfterSave("1 2", save) }, "is no name of a class"},
		{"an empty class", func(c *Code) { c.AfterSave("", save) }, "is no name of a class"},
		{"twice", func(c *Code) { c.AfterSave("A", save); c.AfterSave("A", save) }, "afterSave of A: is registered already"},
		{"nothing to run", func(c *Code) { c.AfterSave("A", nil) }, "afterSave of A: there is no function to run"},
		{"a function twice", func(c *Code) { c.Define("f", call); c.Define("f", call) }, `function "f": is registered already`},
		{"a function without a name", func(c *Code) { c.Define("", call) }, "a name is not empty"},
		{"a quotation mark", func(c *Code) { c.Define("a'b", call) }, "no quotation marks"},
		{"no function", func(c *Code) { c.Define("f", nil) }, "there is no function to run"},
		{"a limit of nothing", func(c *Code) { c.Define("f", call, Validator{RateLimit: &RateLimit{}}) }, "a rate limit needs a count and a window"},
		{"a zone", func(c *Code) {
			c.Define("f", call, Validator{RateLimit: &RateLimit{Count: 1, Window: time.Second, Zone: "x"}})
		}, `"x" is no zone`},
		{"a field without a name", func(c *Code) { c.Define("f", call, Validator{Fields: []Field{{}}}) }, "has no name"},
		{"a default that is no value", func(c *Code) { c.Define("f", call, Validator{Fields: []Field{{Name: "a", Default: func() {}}}}) }, "the default of a: func() is no value"},
	} {
		var code Code
		c.register(&code)
		_, err := code.Compile(Options{})
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: Compile() = %v, want nil", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "code_test.go:")):
			t.Errorf("%s: Compile() = %v, want code_test.go:… %s", c.name, err, c.want)
		}
	}
}

// All mistakes are told at once.
func TestCompileTellsAll(t *testing.T) {
	var code Code
	code.BeforeSave("_Session", save)
	code.Define("", call)
	_, err := code.Compile(Options{})
	if err == nil || len(strings.Split(err.Error(), "\n")) != 2 {
		t.Errorf("Compile() = %v, want two lines", err)
	}
}

func TestCodeIsSealed(t *testing.T) {
	var code Code
	if h, err := code.Compile(Options{}); err != nil || h.Any() {
		t.Errorf("Compile() of no code = %v, %v, want nothing, nil", h, err)
	}
	defer func() {
		if v := recover(); v != `cloud: function "late" is registered after the server was made` {
			t.Errorf("Define() panicked with %v", v)
		}
	}()
	code.Define("late", call)
	t.Error("Define() after Compile() did not panic")
}

func TestNoCode(t *testing.T) {
	compiled, err := (*Code)(nil).Compile(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []*Hooks{nil, compiled} {
		nothingToRun(t, h)
	}
}

func nothingToRun(t *testing.T, h *Hooks) {
	if h.Any() || h.Has(BeforeSave, "A") || len(h.Limits()) != 0 || len(h.Jobs()) != 0 || len(h.Functions()) != 0 || h.Watched() {
		t.Errorf("nil code has something: %v", h)
	}
	if err := h.Run(t.Context(), BeforeSave, "A", &SaveRequest{}); err != nil {
		t.Errorf("Run() = %v, want nil", err)
	}
	if _, _, err := h.Call(t.Context(), &FunctionRequest{Function: "f"}); err == nil || err.Error() != `141 Invalid function: "f"` {
		t.Errorf("Call() = %v", err)
	}
}

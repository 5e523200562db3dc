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
	if h, err := code.Compile(Options{}); h != nil || err != nil {
		t.Errorf("Compile() of no code = %v, %v, want nil, nil", h, err)
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
	var none *Code
	h, err := none.Compile(Options{})
	if h != nil || err != nil || h.Has(BeforeSave, "A") || len(h.Limits()) != 0 {
		t.Errorf("nil code has something: %v, %v", h, err)
	}
	if err := h.Run(t.Context(), BeforeSave, "A", &SaveRequest{}); err != nil {
		t.Errorf("Run() = %v, want nil", err)
	}
	if _, _, err := h.Call(t.Context(), &FunctionRequest{Function: "f"}); err == nil || err.Error() != `141 Invalid function: "f"` {
		t.Errorf("Call() = %v", err)
	}
}

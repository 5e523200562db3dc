package cloud

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/parley-backend/parley/parse"
)

func TestValidator(t *testing.T) {
	ann := parse.NewObject("_User", "objectId", "ann", "phone", "1", "createdAt", parse.Date(0))
	above := func(_ context.Context, v any) error {
		if n, _ := v.(float64); n <= 2 {
			return ErrInvalid
		}
		return nil
	}
	field := func(f Field) Validator { return Validator{Fields: []Field{f}} }
	userKey := func(f Field) Validator { return Validator{RequireUserKeys: []Field{f}} }
	p := parse.NewMap
	for _, c := range []struct {
		name      string
		validator Validator
		user      *parse.Object
		roles     []string
		master    bool
		params    *parse.Map
		want      string
	}{
		{name: "nothing is required"},
		{name: "a user, nobody", validator: Validator{RequireUser: true}, want: "142 Validation failed. Please login to continue."},
		{name: "a user", validator: Validator{RequireUser: true}, user: ann},
		{name: "a user, master", validator: Validator{RequireUser: true}, master: true},
		{name: "a user, master is asked", validator: Validator{RequireUser: true, ValidateMasterKey: true}, master: true, want: "142 Validation failed. Please login to continue."},
		{name: "master", validator: Validator{RequireMaster: true}, master: true},
		{name: "master is asked", validator: Validator{RequireMaster: true, ValidateMasterKey: true}, master: true},
		{name: "no master", validator: Validator{RequireMaster: true}, user: ann, want: "142 Validation failed. Master key is required to complete this request."},
		{name: "any role, nobody", validator: Validator{RequireAnyUserRoles: []string{"a"}}, want: "142 Validation failed. Please login to continue."},
		{name: "any role, none", validator: Validator{RequireAnyUserRoles: []string{"a"}}, user: ann, want: "142 Validation failed. User does not match the required roles."},
		{name: "any role", validator: Validator{RequireAnyUserRoles: []string{"a", "b"}}, user: ann, roles: []string{"role:b"}},
		{name: "any of no roles", validator: Validator{RequireAnyUserRoles: []string{}}, user: ann, roles: []string{"role:b"}, want: "142 Validation failed. User does not match the required roles."},
		{name: "all roles, one", validator: Validator{RequireAllUserRoles: []string{"a", "b"}}, user: ann, roles: []string{"role:b"}, want: "142 Validation failed. User does not match all the required roles."},
		{name: "all roles", validator: Validator{RequireAllUserRoles: []string{"a", "b"}}, user: ann, roles: []string{"role:a", "role:b"}},
		{name: "all roles, nobody", validator: Validator{RequireAllUserRoles: []string{"a"}}, want: "142 Validation failed. Please login to continue."},
		{name: "a key, nobody", validator: userKey(Field{Name: "phone"}), want: "142 Please login to make this request."},
		{name: "a key", validator: userKey(Field{Name: "phone"}), user: ann},
		{name: "no key", validator: userKey(Field{Name: "fax"}), user: ann, want: "142 Validation failed. Please set data for fax on your account."},
		{name: "a key with options", validator: userKey(Field{Name: "phone", Options: []any{"1"}}), user: ann},
		{name: "a key with other options", validator: userKey(Field{Name: "phone", Options: []any{"2"}, Error: "no"}), user: ann, want: "142 no"},
		{name: "required", validator: field(Field{Name: "a", Required: true}), want: "142 Validation failed. Please specify data for a."},
		{name: "required, null", validator: field(Field{Name: "a", Required: true}), params: p("a", nil), want: "142 Validation failed. Please specify data for a."},
		{name: "required, false", validator: field(Field{Name: "a", Required: true}), params: p("a", false)},
		{name: "required, default", validator: field(Field{Name: "a", Required: true, Default: 1})},
		{name: "optional, absent", validator: field(Field{Name: "a", Type: Text, Options: []any{"x"}})},
		{name: "text", validator: field(Field{Name: "a", Type: Text}), params: p("a", 1.0), want: "142 Validation failed. Invalid type for a. Expected: string"},
		{name: "number", validator: field(Field{Name: "a", Type: Number}), params: p("a", "1"), want: "142 Validation failed. Invalid type for a. Expected: number"},
		{name: "Boolean", validator: field(Field{Name: "a", Type: Boolean}), params: p("a", 0.0), want: "142 Validation failed. Invalid type for a. Expected: boolean"},
		{name: "Array", validator: field(Field{Name: "a", Type: Array}), params: p("a", p()), want: "142 Validation failed. Invalid type for a. Expected: array"},
		{name: "Object", validator: field(Field{Name: "a", Type: Object}), params: p("a", []any{}), want: "142 Validation failed. Invalid type for a. Expected: object"},
		{name: "a Date is an Object", validator: field(Field{Name: "a", Type: Object}), params: p("a", parse.Date(0))},
		{name: "null is an Object", validator: field(Field{Name: "a", Type: Object}), params: p("a", nil)},
		{name: "the default has a type", validator: field(Field{Name: "a", Type: Text, Default: 1}), want: "142 Validation failed. Invalid type for a. Expected: string"},
		{name: "an option", validator: field(Field{Name: "a", Options: []any{"x", 2}}), params: p("a", 2.0)},
		{name: "no option", validator: field(Field{Name: "a", Options: []any{"x", 2, nil}}), params: p("a", 3.0), want: "142 Validation failed. Invalid option for a. Expected: x, 2, "},
		{name: "no option, own words", validator: field(Field{Name: "a", Options: []any{"x"}, Error: "x, please"}), params: p("a", 3.0), want: "142 x, please"},
		{name: "valid", validator: field(Field{Name: "a", Valid: above}), params: p("a", 3.0)},
		{name: "invalid", validator: field(Field{Name: "a", Valid: above}), params: p("a", 2.0), want: "142 Validation failed. Invalid value for a."},
		{name: "invalid, own words", validator: field(Field{Name: "a", Valid: above, Error: "more"}), params: p("a", 2.0), want: "142 more"},
		{name: "invalid, its words", validator: field(Field{Name: "a", Valid: func(context.Context, any) error { return errors.New("bad") }}), params: p("a", 2.0), want: "142 bad"},
		{name: "check", validator: Validator{Check: func(context.Context, Validation) error { return errors.New("no") }}, want: "142 no"},
		{name: "check asks master too", validator: Validator{Check: func(context.Context, Validation) error { return parse.Errorf(9, "no") }}, master: true, want: "9 no"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := c.validator
			if err := v.normalise(); err != nil {
				t.Fatalf("normalise() = %v", err)
			}
			req := &FunctionRequest{Request: Request{User: c.user, Roles: c.roles, Master: c.master}, Params: c.params}
			if req.Params == nil {
				req.Params = p()
			}
			got := ""
			if _, err := validate(t.Context(), []Validator{v}, req); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("validate() = %q, want %q", got, c.want)
			}
		})
	}
}

func TestValidatorChangesFields(t *testing.T) {
	v := Validator{Fields: []Field{{Name: "c", Constant: true, Default: "k"}, {Name: "free", Constant: true}, {Name: "d", Default: []int{1}}}}
	if err := v.normalise(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name             string
		object, original *parse.Object
		want             *parse.Object
	}{
		{"create", parse.NewObject("C", "c", "mine", "free", 1.0), nil, parse.NewObject("C", "c", "k", "free", 1.0, "d", []any{1.0})},
		{"update", parse.NewObject("C", "c", "mine", "free", 1.0, "d", 2.0), parse.NewObject("C", "c", "was"), parse.NewObject("C", "c", "was", "d", 2.0)},
	} {
		req := &SaveRequest{Object: c.object, Original: c.original}
		if _, err := validate(t.Context(), []Validator{v}, req); err != nil || !c.object.Equal(c.want) {
			t.Errorf("%s: validate() made %s, %v, want %s", c.name, parse.Marshal(c.object), err, parse.Marshal(c.want))
		}
	}
}

// Who signs up counts as the user of the request.
func TestValidatorOfSignUp(t *testing.T) {
	v := []Validator{{RequireUser: true, RequireUserKeys: []Field{{Name: "email"}}}}
	signup := &SaveRequest{Object: parse.NewObject("_User", "email", "a@b")}
	if _, err := validate(t.Context(), v, signup); err != nil {
		t.Errorf("validate(sign-up) = %v, want nil", err)
	}
	other := &SaveRequest{Object: parse.NewObject("_User", "email", "a@b"), Original: parse.NewObject("_User")}
	if _, err := validate(t.Context(), v, other); !errors.Is(err, parse.ValidationError) {
		t.Errorf("validate(update by nobody) = %v, want 142", err)
	}
}

func TestLimits(t *testing.T) {
	var code Code
	limit := Validator{RateLimit: &RateLimit{Count: 1, Window: time.Second}}
	code.Define("a.b:c", func(context.Context, *FunctionRequest) (any, error) { return nil, nil }, limit)
	code.BeforeSave("_User", func(context.Context, *SaveRequest) error { return nil }, limit)
	code.BeforeLogin(func(context.Context, *LoginRequest) error { return nil }, limit)
	h, err := code.Compile(Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, l := range h.Limits() {
		for _, path := range l.Paths {
			got[path] = true
		}
	}
	for _, path := range []string{`/functions/a.b\:c`, "/users{/*id}", "/classes/_User{/*id}", "/login"} {
		if !got[path] {
			t.Errorf("Limits() = %v, want %s among them", got, path)
		}
	}
}

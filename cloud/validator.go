package cloud

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/schema"
)

// Validator is what has to hold before a function or a trigger runs (contract parse-api.md, 5.6). What does not hold is code 142 with
// the text of Parse Server. The zero value admits everybody.
//
// A request with the master key is not asked, unless ValidateMasterKey is set.
type Validator struct {
	RequireUser   bool
	RequireMaster bool
	// ValidateMasterKey asks requests with the master key like any other.
	ValidateMasterKey bool
	// SkipWithMasterKey leaves the trigger out for requests with the master key. It has no meaning for a function.
	SkipWithMasterKey bool
	// RequireAnyUserRoles are names of roles of which the user must have one, RequireAllUserRoles those of which it must have all:
	// directly or by inheritance, without "role:".
	RequireAnyUserRoles []string
	RequireAllUserRoles []string
	// AnyUserRoles and AllUserRoles, when set, are asked for these names in place of the two above.
	AnyUserRoles, AllUserRoles func(ctx context.Context) ([]string, error)
	// RequireUserKeys are fields that the user must have a value in; one with Options or Valid is held against these instead.
	RequireUserKeys []Field
	// Fields are the params of a function, or the fields of the object of a trigger.
	Fields []Field
	// RateLimit bounds how often the function may be called, or the request be made that the trigger belongs to.
	RateLimit *RateLimit
	// Check is asked last; its error is code 142 unless it is a *parse.Error.
	Check func(ctx context.Context, in Validation) error
}

// Type is a type of a [Field].
type Type string

// The types. Whatever is neither text, number, Boolean nor Array is an Object: a Date, a Pointer and null, too.
const (
	Text    Type = "string"
	Number  Type = "number"
	Boolean Type = "boolean"
	Array   Type = "array"
	Object  Type = "object"
)

// Field is what has to hold for one param or one field.
type Field struct {
	Name string
	// Type of the value; "" for any.
	Type Type
	// Required: the value is there and not null.
	Required bool
	// Default is set when there is no value; nil for none.
	Default any
	// Constant makes a field of an object keep its value: an update leaves it as it was, a create sets Default if there is one.
	Constant bool
	// Options are the values that are admitted; none admits all. Valid, when it is set, is asked instead; its error is the text that the client reads.
	Options []any
	Valid   func(ctx context.Context, value any) error
	// Error is the text for a value that Options or Valid do not admit; "" for the usual one.
	Error string
}

// ErrInvalid is what a [Field.Valid] returns that has nothing to say: the client reads the usual text.
var ErrInvalid = errors.New("invalid value")

// RateLimit is how often clients may ask, by the rules of option rateLimit of the server.
type RateLimit struct {
	// Count requests in each Window.
	Count  int
	Window time.Duration
	// Zone says which requests count together: "ip" (also ""), "user", "session" or "global".
	Zone string
	// Message is the text of the refusal; "" is "Too many requests."
	Message string
	// IncludeMaster counts requests with the master key; IncludeInternal those from this machine.
	IncludeMaster, IncludeInternal bool
}

// Validation is what a [Validator.Check] looks at.
type Validation struct {
	*Request
	// Params of a function, nil for a trigger.
	Params *parse.Map
	// Object and Original of a trigger; nil where there is none.
	Object, Original *parse.Object
}

// normalise turns the Go values of fields into those of package parse.
func (v *Validator) normalise() error {
	v.Fields, v.RequireUserKeys = slices.Clone(v.Fields), slices.Clone(v.RequireUserKeys)
	for _, fields := range [][]Field{v.Fields, v.RequireUserKeys} {
		for i := range fields {
			f := &fields[i]
			if f.Name == "" {
				return errors.New("a field of a validator has no name")
			}
			var err error
			if f.Default, err = Value(f.Default); err != nil {
				return fmt.Errorf("the default of %s: %w", f.Name, err)
			}
			options := make([]any, len(f.Options))
			for j := range f.Options {
				if options[j], err = Value(f.Options[j]); err != nil {
					return fmt.Errorf("an option of %s: %w", f.Name, err)
				}
			}
			f.Options = options
		}
	}
	if l := v.RateLimit; l != nil {
		if l.Count <= 0 || l.Window <= 0 {
			return errors.New("a rate limit needs a count and a window")
		}
		if !slices.Contains([]string{"", "ip", "user", "session", "global"}, l.Zone) {
			return fmt.Errorf("%q is no zone of a rate limit", l.Zone)
		}
	}
	return nil
}

// validate asks all validators. skip tells that one of them leaves the trigger out for this request.
func validate(ctx context.Context, validators []Validator, req requests) (skip bool, err error) {
	for i := range validators {
		v := &validators[i]
		in := Validation{Request: req.base()}
		in.Params, in.Object, in.Original = req.subject()
		if v.SkipWithMasterKey && in.Master {
			skip = true
		}
		if err := v.check(ctx, in); err != nil {
			return skip, asParse(err, parse.ValidationError)
		}
	}
	return skip, nil
}

func (v *Validator) check(ctx context.Context, in Validation) error {
	if !in.Master || v.ValidateMasterKey {
		if err := v.checkRequest(ctx, in); err != nil {
			return err
		}
	}
	if v.Check != nil {
		return v.Check(ctx, in)
	}
	return nil
}

// checkRequest asks in the order of Parse Server: of several things that do not hold the client reads the first.
func (v *Validator) checkRequest(ctx context.Context, in Validation) error {
	user := in.User
	if user == nil && in.Object != nil && in.Object.ClassName == schema.UserClass && in.Original == nil && !in.Object.Has("createdAt") {
		user = in.Object // who signs up
	}
	switch {
	case user == nil && (v.RequireUser || v.asksRoles()):
		return invalid("Please login to continue.")
	case v.RequireMaster && !in.Master:
		return invalid("Master key is required to complete this request.")
	}
	if err := v.checkFields(ctx, in); err != nil {
		return err
	}
	if err := v.checkRoles(ctx, in); err != nil {
		return err
	}
	return v.checkUserKeys(ctx, user)
}

func (v *Validator) asksRoles() bool {
	return v.RequireAnyUserRoles != nil || v.RequireAllUserRoles != nil || v.AnyUserRoles != nil || v.AllUserRoles != nil
}

func (v *Validator) checkRoles(ctx context.Context, in Validation) (err error) {
	any, all := v.RequireAnyUserRoles, v.RequireAllUserRoles
	if v.AnyUserRoles != nil {
		if any, err = v.AnyUserRoles(ctx); err != nil {
			return err
		}
	}
	if v.AllUserRoles != nil {
		if all, err = v.AllUserRoles(ctx); err != nil {
			return err
		}
	}
	has := func(role string) bool { return slices.Contains(in.Roles, "role:"+role) }
	if (any != nil || v.AnyUserRoles != nil) && !slices.ContainsFunc(any, has) {
		return invalid("User does not match the required roles.")
	}
	for _, role := range all {
		if !has(role) {
			return invalid("User does not match all the required roles.")
		}
	}
	return nil
}

func (v *Validator) checkUserKeys(ctx context.Context, user *parse.Object) error {
	for _, key := range v.RequireUserKeys {
		if user == nil {
			return parse.Errorf(parse.ValidationError, "Please login to make this request.")
		}
		value := user.Get(key.Name)
		if len(key.Options) > 0 || key.Valid != nil {
			if err := key.admit(ctx, value); err != nil {
				return err
			}
		} else if value == nil {
			return invalid("Please set data for %s on your account.", key.Name)
		}
	}
	return nil
}

func invalid(format string, args ...any) error {
	return parse.Errorf(parse.ValidationError, "Validation failed. "+format, args...)
}

// checkFields looks at the values as the client gave them, and fills in what is missing.
func (v *Validator) checkFields(ctx context.Context, in Validation) error {
	given := in.Params
	if in.Object != nil {
		given = &in.Object.Shallow().Map
	}
	for i := range v.Fields {
		f := &v.Fields[i]
		value, present := given.Lookup(f.Name)
		if value == nil && f.Default != nil {
			value, present = parse.Clone(f.Default), true
			set(in, f.Name, value)
		}
		if f.Constant && in.Object != nil {
			f.keep(in)
		}
		if value == nil && f.Required {
			return invalid("Please specify data for %s.", f.Name)
		}
		if !present {
			continue
		}
		if f.Type != "" && typeOf(value) != f.Type {
			return invalid("Invalid type for %s. Expected: %s", f.Name, f.Type)
		}
		if err := f.admit(ctx, value); err != nil {
			return err
		}
	}
	return nil
}

func set(in Validation, name string, value any) {
	switch {
	case in.Object != nil:
		in.Object.Set(name, value)
	case in.Params != nil:
		in.Params.Set(name, value)
	}
}

// keep undoes what the client wants of a constant field.
func (f *Field) keep(in Validation) {
	if in.Original == nil {
		if f.Default != nil {
			in.Object.Set(f.Name, parse.Clone(f.Default))
		}
		return
	}
	if value, had := in.Original.Lookup(f.Name); had {
		in.Object.Set(f.Name, parse.Clone(value))
	} else {
		in.Object.Delete(f.Name)
	}
}

// admit holds a value against Options or Valid.
func (f *Field) admit(ctx context.Context, value any) error {
	told := func(text string) error {
		if f.Error != "" {
			text = f.Error
		}
		return &parse.Error{Code: parse.ValidationError, Message: text}
	}
	if f.Valid != nil {
		err := f.Valid(ctx, value)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, ErrInvalid):
			return told("Validation failed. Invalid value for " + f.Name + ".")
		}
		return told(err.Error())
	}
	if len(f.Options) == 0 || slices.ContainsFunc(f.Options, func(option any) bool { return parse.Equal(option, value) }) {
		return nil
	}
	texts := make([]string, len(f.Options))
	for i, option := range f.Options {
		if text, ok := option.(string); ok {
			texts[i] = text
		} else if option != nil {
			texts[i] = string(parse.Marshal(option))
		}
	}
	return told("Validation failed. Invalid option for " + f.Name + ". Expected: " + strings.Join(texts, ", "))
}

func typeOf(value any) Type {
	switch value.(type) {
	case string:
		return Text
	case float64:
		return Number
	case bool:
		return Boolean
	case []any:
		return Array
	}
	return Object
}

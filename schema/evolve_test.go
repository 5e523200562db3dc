package schema

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/parley-backend/parley/parse"
)

func TestFit(t *testing.T) {
	class := New("C")
	class.Fields["n"] = Field{Type: Number}
	const geo = `{"__type":"GeoPoint","latitude":1,"longitude":1}`
	for _, test := range []struct {
		values string
		added  map[string]Field
		asked  []string
		err    string
	}{
		{values: `{}`},
		{values: `{"n":1,"ACL":{"*":{"read":true}},"objectId":"x"}`},
		{values: `{"n":null,"x":{"__op":"Delete"},"_x":{"__op":"Delete"}}`},
		{values: `{"x":null}`, asked: []string{"x"}},
		{values: `{"s":"a","n":2,"p":{"__type":"Pointer","className":"D","objectId":"x"},"o.k":1,"a.0":1}`,
			added: map[string]Field{"s": {Type: String}, "p": {Type: Pointer, TargetClass: "D"}, "o": {Type: Object}, "a": {Type: Array}}, asked: []string{"s", "p", "o", "a"}},
		{values: `{"r":{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"D","objectId":"x"}]},"l":{"__op":"Remove","objects":[]}}`,
			added: map[string]Field{"r": {Type: Relation, TargetClass: "D"}, "l": {Type: Array}}, asked: []string{"r", "l"}},
		{values: `{"g":` + geo + `}`, added: map[string]Field{"g": {Type: GeoPoint}}, asked: []string{"g"}},
		{values: `{"g":` + geo + `,"h":` + geo + `}`, asked: []string{"g", "h"}, err: "111 there can only be one geopoint field in a class"},
		{values: `{"n":"s"}`, err: "111 schema mismatch for C.n; expected Number but got String"},
		{values: `{"o.a":1,"o":5}`, asked: []string{"o", "o"}, err: "111 schema mismatch for C.o; expected Object but got Number"},
		{values: `{"_rperm":["*"]}`, asked: []string{"_rperm"}, err: "105 Invalid field name: _rperm."},
		{values: `{"className":1}`, asked: []string{"className"}, err: "105 Invalid field name: className."},
		{values: `{"length":null}`, asked: []string{"length"}, err: "105 Invalid field name: length."},
		{values: `{"x":{"__op":"Foo"}}`, asked: []string{"x"}, err: "108 The Foo operator is not supported yet."},
		{values: `{"x":{"__type":"Foo"}}`, asked: []string{"x"}, err: "111 This is not a valid Foo"},
		{values: `{"x":{"a":{"b.c":1}}}`, asked: []string{"x"}, err: "121 Nested keys should not contain the '$' or '.' characters"},
		{values: `{"x":{"__type":"Pointer","className":"_x","objectId":"a"}}`, asked: []string{"x"}, err: "103 Invalid classname: _x, classnames can only have alphanumeric characters and _, and must start with an alpha character "},
	} {
		values := decodeMap(t, test.values)
		if got := NewFields(class, values); !slices.Equal(got, test.asked) {
			t.Errorf("NewFields(%s) = %q, want %q", test.values, got, test.asked)
		}
		got, err := Fit(class, values)
		if text(err) != test.err {
			t.Errorf("Fit(%s): %q, want %q", test.values, text(err), test.err)
		}
		if err != nil {
			continue
		}
		if test.added == nil {
			if got != class {
				t.Errorf("Fit(%s) is a copy, want the class itself", test.values)
			}
			continue
		}
		want := class.Clone()
		for name, f := range test.added {
			want.Fields[name] = f
		}
		if !got.Equal(want) {
			t.Errorf("Fit(%s) = %v, want %v", test.values, got.Fields, want.Fields)
		}
	}
}

// A write that fits costs nothing: it is the usual one.
func TestFitDoesNotAllocate(t *testing.T) {
	class, err := Fit(New("C"), decodeMap(t, `{"a":1,"b":"s","c":{"x":{"y":[1,2]}},"d":["x"],"e":true}`))
	if err != nil {
		t.Fatal(err)
	}
	values := decodeMap(t, `{"a":2,"b":"t","c":{"x":1},"d":{"__op":"Add","objects":["y"]},"e":null,"c.x":5}`)
	if n := testing.AllocsPerRun(100, func() {
		if NewFields(class, values) != nil {
			t.Error("NewFields is not nil")
		}
		if _, err := Fit(class, values); err != nil {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("Fit of values that fit allocates %v times, want 0", n)
	}
}

// Once a class fits a write, the same write fits it without a change, and nothing that was there is gone.
func TestFitIsIdempotent(t *testing.T) {
	names := rapid.SampledFrom([]string{"a", "b", "c", "d.x", "d.0", "objectId", "ACL"})
	values := rapid.OneOf(
		rapid.Just[any](nil), rapid.Just[any](1.0), rapid.Just[any]("s"), rapid.Just[any](true), rapid.Just[any]([]any{1.0}),
		rapid.Just[any](parse.Date(0)), rapid.Just[any](parse.Pointer{ClassName: "D", ObjectID: "x"}), rapid.Just[any](parse.GeoPoint{}),
		rapid.Just[any](parse.Delete{}), rapid.Just[any](parse.Increment{Amount: 1}), rapid.Just[any](parse.Add{}),
	)
	rapid.Check(t, func(t *rapid.T) {
		class := New("C")
		for range rapid.IntRange(1, 5).Draw(t, "writes") {
			write := parse.NewMap()
			for range rapid.IntRange(0, 4).Draw(t, "fields") {
				write.Set(names.Draw(t, "name"), values.Draw(t, "value"))
			}
			fit, err := Fit(class, write)
			if err != nil {
				continue
			}
			for name, f := range class.Fields {
				if got := fit.Fields[name]; got != f {
					t.Fatalf("Fit(%v) made %s of %s: %v, want %v", write.Keys(), name, class.Name, got, f)
				}
			}
			if again, err := Fit(fit, write); again != fit || err != nil {
				t.Fatalf("Fit(Fit(class, %s)) = %v, %v, want the same", parse.Marshal(write), again, err)
			}
			class = fit
		}
	})
}

func TestRequiredColumns(t *testing.T) {
	for _, test := range []struct {
		class, values string
		create        bool
		want          string
	}{
		{"C", `{}`, true, ""},
		{"_Role", `{"name":"r","ACL":{"*":{"read":true}}}`, true, ""},
		{"_Role", `{"name":"r"}`, true, "111 ACL is required."},
		{"_Role", `{"name":"","ACL":{}}`, true, "111 name is required."},
		{"_Role", `{}`, false, ""},
		{"_Role", `{"name":{"__op":"Delete"}}`, false, "111 name is required."},
		{"_Product", `{}`, true, "111 productIdentifier is required."},
	} {
		if got := text(CheckRequiredColumns(test.class, decodeMap(t, test.values), test.create)); got != test.want {
			t.Errorf("CheckRequiredColumns(%s, %s, create %v) = %q, want %q", test.class, test.values, test.create, got, test.want)
		}
	}
}

func TestFillDefaults(t *testing.T) {
	class, err := Define("C", decodeMap(t, `{"fields":{"d":{"type":"String","defaultValue":"z"},"r":{"type":"Number","required":true},"rd":{"type":"Array","required":true,"defaultValue":[1]}}}`), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		values string
		create bool
		want   string
		filled []string
		err    string
	}{
		{`{"r":1}`, true, `{"r":1,"d":"z","rd":[1]}`, []string{"d", "rd"}, ""},
		{`{"r":0,"d":"y","rd":[]}`, true, `{"r":0,"d":"y","rd":[]}`, nil, ""},
		{`{"r":1,"d":null,"rd":{"__op":"Delete"}}`, true, `{"r":1,"d":"z","rd":[1]}`, []string{"d", "rd"}, ""},
		{`{"r":1,"d":""}`, true, `{"r":1,"d":"","rd":[1]}`, []string{"rd"}, ""},
		{`{}`, true, ``, nil, "142 r is required"},
		{`{"r":1,"rd":""}`, true, ``, nil, "142 rd is required"},
		{`{}`, false, `{}`, nil, ""},
		{`{"d":{"__op":"Delete"}}`, false, `{"d":{"__op":"Delete"}}`, nil, ""},
		{`{"r":{"__op":"Delete"}}`, false, ``, nil, "142 r is required"},
		{`{"rd":null}`, false, ``, nil, "142 rd is required"},
		{`{"r":""}`, false, ``, nil, "142 r is required"},
	} {
		values := decodeMap(t, test.values)
		filled, err := FillDefaults(class, values, test.create)
		if text(err) != test.err {
			t.Errorf("FillDefaults(%s, create %v): %q, want %q", test.values, test.create, text(err), test.err)
		}
		if err != nil {
			continue
		}
		if got := string(parse.Marshal(values)); got != test.want || !slices.Equal(filled, test.filled) {
			t.Errorf("FillDefaults(%s, create %v) = %s, %v, want %s, %v", test.values, test.create, got, filled, test.want, test.filled)
		}
	}
	values := decodeMap(t, `{"r":1}`)
	if _, err := FillDefaults(class, values, true); err != nil {
		t.Fatal(err)
	}
	values.Get("rd").([]any)[0] = 7.0
	if got := class.Fields["rd"].Default; !parse.Equal(got, []any{1.0}) {
		t.Errorf("after changing the filled value the default is %v, want [1]", got)
	}
}

func TestDefaultACL(t *testing.T) {
	for _, test := range []struct {
		clp, user string
		want      parse.ACL
	}{
		{`null`, "u", nil},
		{`{}`, "u", nil},
		{`{"ACL":{"*":{"read":true,"write":true}}}`, "u", nil},
		{`{"ACL":{"*":{"read":true}}}`, "u", parse.ACL{"*": {Read: true}}},
		{`{"ACL":{"currentUser":{"read":true,"write":true},"role:a":{"read":true}}}`, "u", parse.ACL{"u": {Read: true, Write: true}, "role:a": {Read: true}}},
		{`{"ACL":{"currentUser":{"read":true,"write":true}}}`, "", parse.ACL{}},
	} {
		class, err := Define("C", decodeMap(t, `{"classLevelPermissions":`+test.clp+`}`), false)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, class.DefaultACL(test.user)); diff != "" {
			t.Errorf("DefaultACL(%q) of %s (-want +got):\n%s", test.user, test.clp, diff)
		}
	}
}

func TestFitBoundsTheNumberOfFields(t *testing.T) {
	class := New("C")
	values := parse.NewMap()
	for i := len(class.Fields); i < MaxFields; i++ {
		values.Set(fmt.Sprintf("f%d", i), 1.0)
	}
	full, err := Fit(class, values)
	if err != nil || len(full.Fields) != MaxFields {
		t.Fatalf("Fit(%d new fields) = %d fields, %v, want %d", values.Len(), len(full.Fields), err, MaxFields)
	}
	_, err = Fit(full, parse.NewMap("onemore", 1.0))
	if want := "255 Class C cannot have more than 1000 fields."; err == nil || err.Error() != want {
		t.Errorf("Fit(one field more) = %v, want %s", err, want)
	}
	if fit, err := Fit(full, parse.NewMap("f500", 2.0)); fit != full || err != nil {
		t.Errorf("Fit(a field that is there) = %v, %v, want the class itself", fit, err)
	}
}

func TestFitOfAPartThatBecomesNull(t *testing.T) {
	class := New("C")
	class.Fields["s"] = Field{Type: String}
	if _, err := Fit(class, parse.NewMap("s.x", nil)); err == nil || err.Error() != "111 schema mismatch for C.s; expected String but got Object" {
		t.Errorf("Fit(s.x: null) of a String = %v, want 111", err)
	}
	fit, err := Fit(class, parse.NewMap("o.x", nil))
	if err != nil || fit.Fields["o"] != (Field{Type: Object}) {
		t.Errorf("Fit(o.x: null) = %v, %v, want an Object", fit.Fields["o"], err)
	}
}

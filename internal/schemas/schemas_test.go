package schemas

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
	"github.com/parley-backend/parley/storage/memory"
)

// counted is a database that counts what is asked of its schema, and fails or claims to be shared when told so.
type counted struct {
	storage.Adapter
	reads, saves atomic.Int64
	shared       bool
	fail         error
}

func newCounted() *counted { return &counted{Adapter: memory.New()} }

func (c *counted) Classes(ctx context.Context) ([]*schema.Class, error) {
	c.reads.Add(1)
	return c.Adapter.Classes(ctx)
}

func (c *counted) SaveClass(ctx context.Context, class *schema.Class) error {
	c.saves.Add(1)
	if c.fail != nil {
		return c.fail
	}
	return c.Adapter.SaveClass(ctx, class)
}

func (c *counted) Capabilities() storage.Capabilities {
	caps := c.Adapter.Capabilities()
	caps.Shared = c.shared
	return caps
}

func load(t *testing.T, store storage.Adapter) *Schemas {
	t.Helper()
	s, err := Load(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func body(t *testing.T, text string) *parse.Map {
	t.Helper()
	m, err := parse.DecodeMap([]byte(text), parse.Limits{})
	if err != nil {
		t.Fatalf("DecodeMap(%s): %v", text, err)
	}
	return m
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// own returns the fields of a class besides the default ones, as "name Type", sorted.
func own(class *schema.Class) []string {
	list := []string{}
	for name, f := range class.Fields {
		if !schema.IsDefaultField(class.Name, name) {
			list = append(list, name+" "+f.String())
		}
	}
	slices.Sort(list)
	return list
}

func names(classes []*schema.Class) []string {
	list := []string{}
	for _, class := range classes {
		list = append(list, class.Name)
	}
	return list
}

func TestLoad(t *testing.T) {
	store := newCounted()
	s := load(t, store)
	if got, want := names(s.All()), []string{"_Role", "_User"}; !slices.Equal(got, want) {
		t.Errorf("All() = %v, want %v", got, want)
	}
	stored, err := store.Classes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := names(stored), []string{"_Role", "_User"}; !slices.Equal(got, want) {
		t.Errorf("stored classes = %v, want %v", got, want)
	}
	for _, name := range append(schema.SystemClasses(), "_Join:users:_Role") {
		class, ok := s.Class(name)
		if !ok || !class.Equal(schema.New(name)) {
			t.Errorf("Class(%s) = %v, %v, want its default columns", name, class, ok)
		}
	}
	for _, name := range []string{"C", "_Bad", "", "_Join:name:_Role", "_Join:users:C", "_Join:users"} {
		if class, ok := s.Class(name); ok {
			t.Errorf("Class(%q) = %v, want none", name, class)
		}
	}
	for name, want := range map[string]string{
		"_User": "", "_PushStatus": "", "_Hooks": "",
		"_Session": "103 Class _Session does not exist.", "None": "103 Class None does not exist.",
	} {
		if _, err := s.Describe(name); text(err) != want {
			t.Errorf("Describe(%s): %q, want %q", name, text(err), want)
		}
	}
	before := store.saves.Load()
	load(t, store)
	if n := store.saves.Load() - before; n != 0 {
		t.Errorf("the second Load saved %d classes, want 0", n)
	}
}

// A database that an older version wrote may lack default columns: it gets them before anybody relies on them.
func TestLoadCompletesSystemClasses(t *testing.T) {
	store := newCounted()
	old := schema.New("_User")
	delete(old.Fields, "emailVerified")
	old.Fields["nick"] = schema.Field{Type: schema.String}
	for _, class := range []*schema.Class{old, schema.New("_Role")} {
		if err := store.SaveClass(t.Context(), class); err != nil {
			t.Fatal(err)
		}
	}
	s := load(t, store)
	want := schema.New("_User")
	want.Fields["nick"] = schema.Field{Type: schema.String}
	if got, _ := s.Class("_User"); !got.Equal(want) {
		t.Errorf("Class(_User) = %v, want %v", got.Fields, want.Fields)
	}
	stored, err := store.Classes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(stored, func(c *schema.Class) bool { return c.Name == "_User" }); !stored[i].Equal(want) {
		t.Errorf("the stored _User is %v, want %v", stored[i].Fields, want.Fields)
	}
}

func TestLoadFails(t *testing.T) {
	store := newCounted()
	store.fail = &storage.Error{Kind: storage.Unavailable, Op: "test.SaveClass"}
	if _, err := Load(t.Context(), store); !errors.Is(err, storage.Unavailable) {
		t.Errorf("Load of a database that cannot be written = %v, want Unavailable", err)
	}
}

func TestEvolve(t *testing.T) {
	store := newCounted()
	s := load(t, store)
	// Each step writes to the schema that the steps before left.
	for _, step := range []struct {
		class, values string
		want          []string
		saves         int64
		asked, err    string
	}{
		{class: "C", values: `{}`, want: []string{}, saves: 1, asked: "C new []"},
		{class: "C", values: `{"a":1,"b":"s","c":null}`, want: []string{"a Number", "b String"}, saves: 1, asked: "C [a b c]"},
		{class: "C", values: `{"a":2}`, want: []string{"a Number", "b String"}},
		{class: "C", values: `{"a":{"__op":"Increment","amount":1},"b":{"__op":"Delete"},"x":{"__op":"Delete"}}`, want: []string{"a Number", "b String"}},
		{class: "C", values: `{"a":"s"}`, err: "111 schema mismatch for C.a; expected Number but got String"},
		{class: "C", values: `{"a":"s","new":1}`, asked: "C [new]", err: "111 schema mismatch for C.a; expected Number but got String"},
		{class: "C", values: `{"_rperm":["*"]}`, asked: "C [_rperm]", err: "105 Invalid field name: _rperm."},
		{class: "D", values: `{"p":{"__type":"Pointer","className":"C","objectId":"x"},"o.k":1}`, want: []string{"o Object", "p Pointer<C>"}, saves: 1, asked: "D new [p o]"},
		{class: "E", values: `{"x":{"__type":"Foo"}}`, asked: "E new [x]", err: "111 This is not a valid Foo"},
		{class: "_Bad", values: `{"a":1}`, asked: "_Bad new [a]", err: "107 schema class name does not revalidate"},
		{class: "9x", values: `{}`, asked: "9x new []", err: "107 schema class name does not revalidate"},
		{class: "_Join:f:C", values: `{}`, asked: "_Join:f:C new []", err: "107 schema class name does not revalidate"},
		{class: "_Session", values: `{"sessionToken":"r:1"}`, want: []string{}, saves: 1},
		{class: "_Session", values: `{"sessionToken":"r:2","extra":true}`, want: []string{"extra Boolean"}, saves: 1, asked: "_Session [extra]"},
		{class: "_Session", values: `{"sessionToken":"r:3"}`, want: []string{"extra Boolean"}},
	} {
		asked := ""
		saves, reads := store.saves.Load(), store.reads.Load()
		class, err := s.Evolve(t.Context(), step.class, body(t, step.values), func(class *schema.Class, isNew bool, fields []string) error {
			asked = class.Name
			if isNew {
				asked += " new"
			}
			asked += fmt.Sprintf(" %v", fields)
			return nil
		})
		saves, reads = store.saves.Load()-saves, store.reads.Load()-reads
		if text(err) != step.err || asked != step.asked || saves != step.saves || reads != 0 {
			t.Errorf("Evolve(%s, %s): error %q, asked %q, %d saves, %d reads, want %q, %q, %d, 0", step.class, step.values, text(err), asked, saves, reads, step.err, step.asked, step.saves)
		}
		if err != nil {
			continue
		}
		if diff := cmp.Diff(step.want, own(class)); diff != "" {
			t.Errorf("Evolve(%s, %s) (-want +got):\n%s", step.class, step.values, diff)
		}
		if now, _ := s.Class(step.class); now != class {
			t.Errorf("after Evolve(%s) Class is another one than was returned", step.class)
		}
	}
	if got, want := names(s.All()), []string{"C", "D", "_Role", "_Session", "_User"}; !slices.Equal(got, want) {
		t.Errorf("All() = %v, want %v", got, want)
	}
	if _, ok := s.Class("E"); ok {
		t.Error("Class(E) exists after a write that was refused")
	}
	// What was evolved is what the database has.
	again := load(t, store)
	for _, class := range s.All() {
		if stored, _ := again.Class(class.Name); !stored.Equal(class) {
			t.Errorf("a new Load sees %s as %v, want %v", class.Name, stored.Fields, class.Fields)
		}
	}
}

func TestEvolveIsRefused(t *testing.T) {
	store := newCounted()
	s := load(t, store)
	before := store.saves.Load()
	refused := parse.Denied(parse.OperationForbidden, "no")
	if _, err := s.Evolve(t.Context(), "C", body(t, `{"a":1}`), func(*schema.Class, bool, []string) error { return refused }); err != refused {
		t.Errorf("Evolve = %v, want the refusal", err)
	}
	if _, ok := s.Class("C"); ok || store.saves.Load() != before {
		t.Errorf("after a refusal Class(C) exists: %v, saves: %d, want neither", ok, store.saves.Load()-before)
	}
}

// When the database fails, the schema stays what the database has.
func TestEvolveFails(t *testing.T) {
	store := newCounted()
	s := load(t, store)
	store.fail = &storage.Error{Kind: storage.Unavailable, Op: "test.SaveClass"}
	if _, err := s.Evolve(t.Context(), "C", body(t, `{"a":1}`), nil); !errors.Is(err, storage.Unavailable) {
		t.Errorf("Evolve = %v, want Unavailable", err)
	}
	if _, ok := s.Class("C"); ok {
		t.Error("Class(C) exists after a failed save")
	}
	store.fail = nil
	if class, err := s.Evolve(t.Context(), "C", body(t, `{"a":"s"}`), nil); err != nil || !slices.Equal(own(class), []string{"a String"}) {
		t.Errorf("Evolve after the failure = %v, %v, want a String", class, err)
	}
}

func TestEvolveDoesNotAllocate(t *testing.T) {
	s := load(t, memory.New())
	values := body(t, `{"a":1,"b":"s","c":{"x":[1]},"d":[1]}`)
	allow := func(*schema.Class, bool, []string) error { return errors.New("asked") }
	if _, err := s.Evolve(t.Context(), "C", values, nil); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		if _, err := s.Evolve(ctx, "C", values, allow); err != nil {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("Evolve with nothing missing allocates %v times, want 0", n)
	}
}

// Of many writes that bring one new field with different types, those of one type win, and all others are told so.
func TestConcurrentEvolveOfOneField(t *testing.T) {
	for round := range 20 {
		store := newCounted()
		s := load(t, store)
		values := []*parse.Map{body(t, `{"f":1}`), body(t, `{"f":"s"}`), body(t, `{"f":true}`)}
		types := []string{"f Number", "f String", "f Boolean"}
		const each = 4
		var won [3]atomic.Int64
		var group sync.WaitGroup
		for i := range each * len(values) {
			group.Go(func() {
				kind := i % len(values)
				class, err := s.Evolve(context.Background(), "C", values[kind], nil)
				switch {
				case err == nil && slices.Equal(own(class), []string{types[kind]}):
					won[kind].Add(1)
				case err == nil:
					t.Errorf("round %d: Evolve with %s = %v", round, types[kind], own(class))
				case !errors.Is(err, parse.IncorrectType):
					t.Errorf("round %d: Evolve with %s: %v, want code 111", round, types[kind], err)
				}
			})
		}
		group.Wait()
		class, _ := s.Class("C")
		for kind := range values {
			want := int64(0)
			if slices.Equal(own(class), []string{types[kind]}) {
				want = each
			}
			if got := won[kind].Load(); got != want {
				t.Errorf("round %d: class has %v, and %d writes with %s succeeded, want %d", round, own(class), got, types[kind], want)
			}
		}
		if n := store.saves.Load(); n != 3 { // _User, _Role, C
			t.Errorf("round %d: %d saves, want 3", round, n)
		}
	}
}

func TestConcurrentEvolveOfManyFields(t *testing.T) {
	s := load(t, memory.New())
	var group sync.WaitGroup
	var want []string
	for i := range 32 {
		name := fmt.Sprintf("f%02d", i)
		want = append(want, name+" Number")
		group.Go(func() {
			class, err := s.Evolve(context.Background(), "C", parse.NewMap(name, 1.0), nil)
			if err != nil || class.Fields[name].Type != schema.Number {
				t.Errorf("Evolve(%s) = %v, %v", name, class, err)
			}
			for _, class := range s.All() { // readers meanwhile
				_, _ = s.Class(class.Name)
			}
		})
	}
	group.Wait()
	class, _ := s.Class("C")
	if diff := cmp.Diff(want, own(class)); diff != "" {
		t.Errorf("Class(C) (-want +got):\n%s", diff)
	}
}

// Two nodes over one database: the second learns from the first before it changes anything, and by Refresh.
func TestTwoNodes(t *testing.T) {
	store := newCounted()
	store.shared = true
	first, second := load(t, store), load(t, store)
	if _, err := first.Evolve(t.Context(), "C", body(t, `{"a":1,"b":1}`), nil); err != nil {
		t.Fatal(err)
	}
	_, err := second.Evolve(t.Context(), "C", body(t, `{"a":"s"}`), nil)
	if got, want := text(err), "111 schema mismatch for C.a; expected Number but got String"; got != want {
		t.Errorf("Evolve of the second node: %q, want %q", got, want)
	}
	class, err := second.Evolve(t.Context(), "C", body(t, `{"c":"s"}`), nil)
	if err != nil || !slices.Equal(own(class), []string{"a Number", "b Number", "c String"}) {
		t.Errorf("Evolve of the second node = %v, %v, want all fields", class, err)
	}
	if class, _ := first.Class("C"); !slices.Equal(own(class), []string{"a Number", "b Number"}) {
		t.Errorf("before Refresh the first node sees %v, want a and b", own(class))
	}
	if err := first.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if class, _ := first.Class("C"); !slices.Equal(own(class), []string{"a Number", "b Number", "c String"}) {
		t.Errorf("after Refresh the first node sees %v, want all fields", own(class))
	}
	if err := second.Drop(t.Context(), "C"); err != nil {
		t.Fatal(err)
	}
	if err := first.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok := first.Class("C"); ok {
		t.Error("after the second node dropped it the first still has the class")
	}
}

// slow is a database to which another node adds a field of another type between our reading and our writing.
type slow struct {
	*counted
	meanwhile *schema.Class
}

func (s *slow) SaveClass(ctx context.Context, class *schema.Class) error {
	if other := s.meanwhile; other != nil && class.Name == other.Name {
		class = class.Clone()
		for name, f := range other.Fields { // the database keeps the type that came first
			class.Fields[name] = f
		}
	}
	return s.counted.SaveClass(ctx, class)
}

func TestLostRaceOfNodes(t *testing.T) {
	store := &slow{counted: newCounted()}
	store.shared = true
	s := load(t, store)
	other := schema.New("C")
	other.Fields["a"] = schema.Field{Type: schema.Number}
	store.meanwhile = other
	_, err := s.Evolve(t.Context(), "C", body(t, `{"a":"s","b":1}`), nil)
	if got, want := text(err), "111 schema mismatch for C.a; expected Number but got String"; got != want {
		t.Errorf("Evolve = %q, want %q", got, want)
	}
	if class, _ := s.Class("C"); !slices.Equal(own(class), []string{"a Number", "b Number"}) {
		t.Errorf("Class(C) = %v, want what the database has", own(class))
	}
}

func TestSchemaAPI(t *testing.T) {
	store := newCounted()
	s := load(t, store)
	ctx := t.Context()
	answer := func(class *schema.Class, err error) string {
		if err != nil {
			return err.Error()
		}
		return strings.Join(own(class), ", ")
	}
	put := func(class, id string, pairs ...any) {
		t.Helper()
		c, err := s.Evolve(ctx, class, parse.NewMap(pairs...), nil)
		if err == nil {
			err = store.Create(ctx, c, parse.NewObject(class, append([]any{"objectId", id}, pairs...)...))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	check := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s = %q, want %q", what, got, want)
		}
	}
	check("Create", answer(s.Create(ctx, "Sch", body(t, `{"fields":{"a":{"type":"String"},"p":{"type":"Pointer","targetClass":"_User"}},"indexes":{"ix":{"a":1}}}`))), "a String, p Pointer<_User>")
	check("Create again", answer(s.Create(ctx, "Sch", body(t, `{}`))), "103 Class Sch already exists.")
	check("Create of _User", answer(s.Create(ctx, "_User", body(t, `{}`))), "103 Class _User already exists.")
	check("Create of a volatile class", answer(s.Create(ctx, "_PushStatus", body(t, `{}`))), "103 Class _PushStatus already exists.")
	check("Create of a system class", answer(s.Create(ctx, "_Session", body(t, `{"fields":{"x":{"type":"Number"}}}`))), "x Number")
	check("Create of a bad name", answer(s.Create(ctx, "_Bad", body(t, `{}`))), "103 Invalid classname: _Bad, classnames can only have alphanumeric characters and _, and must start with an alpha character ")
	check("Create with a bad type", answer(s.Create(ctx, "Sch2", body(t, `{"fields":{"a":{"type":"Foo"}}}`))), "111 invalid field type: Foo")
	if _, ok := s.Class("Sch2"); ok {
		t.Error("Class(Sch2) exists after it was refused")
	}

	check("Modify", answer(s.Modify(ctx, "Sch", body(t, `{"fields":{"b":{"type":"Number"}}}`))), "a String, b Number, p Pointer<_User>")
	check("Modify of no class", answer(s.Modify(ctx, "None", body(t, `{}`))), "103 Class None does not exist.")
	check("Modify of a class without objects", answer(s.Modify(ctx, "_Installation", body(t, `{}`))), "103 Class _Installation does not exist.")
	check("Modify of a type", answer(s.Modify(ctx, "Sch", body(t, `{"fields":{"a":{"type":"Number"}}}`))), "255 Field a exists, cannot update.")
	saves := store.saves.Load()
	check("Modify of nothing", answer(s.Modify(ctx, "Sch", body(t, `{"className":"Sch"}`))), "a String, b Number, p Pointer<_User>")
	if n := store.saves.Load() - saves; n != 0 {
		t.Errorf("Modify of nothing saved %d times, want 0", n)
	}

	put("Sch", "o1", "a", "x", "b", 1.0)
	check("Drop", text(s.Drop(ctx, "Sch")), "255 Class Sch is not empty, contains 1 objects, cannot drop schema.")
	check("Modify deleting", answer(s.Modify(ctx, "Sch", body(t, `{"fields":{"a":{"__op":"Delete"}}}`))), "b Number, p Pointer<_User>")
	class, _ := s.Class("Sch")
	for object, err := range store.Find(ctx, class, &query.Find{ClassName: "Sch", Limit: -1}) {
		if want := parse.NewObject("Sch", "objectId", "o1", "b", 1.0); err != nil || !object.Equal(want) {
			t.Errorf("after the field was deleted Find = %s, %v, want %s", parse.Marshal(object), err, parse.Marshal(want))
		}
	}
	if n, err := store.Delete(ctx, class, nil, -1); n != 1 || err != nil {
		t.Fatalf("Delete = %d, %v, want 1", n, err)
	}
	check("Drop of the empty class", text(s.Drop(ctx, "Sch")), "")
	check("Drop of no class", text(s.Drop(ctx, "Sch")), "")
	check("Drop of a bad name", text(s.Drop(ctx, "_Nope")), "103 Invalid classname: _Nope, classnames can only have alphanumeric characters and _, and must start with an alpha character ")
	if _, ok := s.Class("Sch"); ok {
		t.Error("Class(Sch) exists after it was dropped")
	}
	check("Drop of a system class", text(s.Drop(ctx, "_Session")), "")
	if class, ok := s.Class("_Session"); !ok || len(own(class)) != 0 {
		t.Errorf("Class(_Session) after it was dropped = %v, %v, want its default columns", class, ok)
	}
	if got, want := names(s.All()), []string{"_Role", "_User"}; !slices.Equal(got, want) {
		t.Errorf("All() = %v, want %v", got, want)
	}
}

func TestLocked(t *testing.T) {
	ctx := t.Context()
	s, err := Options{Locked: true}.Load(ctx, memory.New())
	if err != nil {
		t.Fatal(err)
	}
	const want = "119 Cannot perform this operation when schemas options is used."
	_, created := s.Create(ctx, "C", body(t, `{}`))
	_, modified := s.Modify(ctx, "_User", body(t, `{}`))
	for what, err := range map[string]error{"Create": created, "Modify": modified, "Drop": s.Drop(ctx, "_User")} {
		if text(err) != want {
			t.Errorf("%s of a locked schema: %q, want %q", what, text(err), want)
		}
	}
	if class, err := s.Evolve(ctx, "C", body(t, `{"a":1}`), nil); err != nil || !slices.Equal(own(class), []string{"a Number"}) {
		t.Errorf("Evolve of a locked schema = %v, %v, want a Number", class, err)
	}
}

func TestFitting(t *testing.T) {
	store := newCounted()
	s := load(t, store)
	if _, err := s.Evolve(t.Context(), "C", body(t, `{"a":1}`), nil); err != nil {
		t.Fatal(err)
	}
	known, _ := s.Class("C")
	saves := store.saves.Load()
	for _, test := range []struct {
		class, values string
		want          *schema.Class
		err           string
	}{
		{"C", `{"a":2,"ACL":{}}`, known, ""},
		{"C", `{"b":2}`, nil, ""},
		{"C", `{"a":"s"}`, nil, "111 schema mismatch for C.a; expected Number but got String"},
		{"D", `{}`, nil, ""},
		{"_Session", `{"sessionToken":"r:1"}`, nil, ""},
	} {
		class, err := s.Fitting(test.class, body(t, test.values))
		if class != test.want || text(err) != test.err {
			t.Errorf("Fitting(%s, %s) = %v, %q, want %v, %q", test.class, test.values, class, text(err), test.want, test.err)
		}
	}
	if n := store.saves.Load() - saves; n != 0 {
		t.Errorf("Fitting saved %d times, want 0", n)
	}
}

package storagetest

import (
	"errors"
	"slices"
	"testing"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

var uniqueTests = []test{
	{"SystemClasses", testUniqueValues},
	{"Sparse", testSparse},
	{"Update", testUniqueUpdate},
	{"Freed", testUniqueFreed},
	{"OwnClassesAreFree", testNotUnique},
}

// testUniqueValues: two objects with one value are refused, and the error names the field.
func testUniqueValues(s *suite) {
	anonymous, other := schema.AuthDataPrefix+"anonymous", schema.AuthDataPrefix+"other"
	user := func() *schema.Class { return schema.New(schema.UserClass) }
	for _, tt := range []struct {
		class         *schema.Class
		first, second []any
		fields        []string // nil when both may be stored
	}{
		{user(), list("username", "ann"), list("username", "ann"), []string{"username"}}, {user(), list("username", "ann"), list("username", "Ann"), []string{"username"}}, {user(), list("username", "ÉMILE"), list("username", "émile"), []string{"username"}},
		{user(), list("username", "ann"), list("username", "ann "), nil}, {user(), list("username", "ann"), list("email", "ann"), nil},
		{user(), list("email", "a@b.c"), list("email", "A@B.C"), []string{"email"}}, {user(), list("email", "a@b.c"), list("email", "a@b.d"), nil},
		{user(), list(anonymous, parse.NewMap("id", "1")), list(anonymous, parse.NewMap("id", "1", "k", "v")), []string{anonymous + ".id"}}, {user(), list(anonymous, parse.NewMap("id", "1")), list(anonymous, parse.NewMap("id", "2")), nil},
		{user(), list(other, parse.NewMap("id", "1")), list(other, parse.NewMap("id", "1")), []string{other + ".id"}}, {user(), list(other, parse.NewMap("id", "1")), list(anonymous, parse.NewMap("id", "1")), nil},
		{schema.New(schema.RoleClass), list("name", "admins"), list("name", "admins"), []string{"name"}}, {schema.New(schema.RoleClass), list("name", "admins"), list("name", "Admins"), nil},
		{schema.New("_Idempotency"), list("reqId", "r"), list("reqId", "r"), []string{"reqId"}}, {schema.New("_Idempotency"), list("reqId", "r"), list("reqId", "s"), nil},
		{schema.JoinClass(schema.RoleClass, "users"), list("owningId", "a", "relatedId", "b"), list("owningId", "a", "relatedId", "b"), []string{"owningId", "relatedId"}},
		{schema.JoinClass(schema.RoleClass, "users"), list("owningId", "a", "relatedId", "b"), list("owningId", "b", "relatedId", "a"), nil},
		{schema.New("Own"), list(), list("objectId", "first"), []string{"objectId"}},
	} {
		s.Run(tt.class.Name, func(t *testing.T) {
			s := &suite{t, s.Adapter, s.ctx}
			for _, name := range []string{schema.UserClass, schema.RoleClass, "_Idempotency", "Own"} {
				s.save(schema.New(name))
			}
			first, second := object(tt.class, "first", tt.first...), object(tt.class, "second", tt.second...)
			s.create(tt.class, "first", tt.first...)
			err := s.Create(s.ctx, tt.class, second)
			var e *storage.Error
			switch {
			case tt.fields == nil && err != nil:
				t.Errorf("Create(%s) beside %s = %v", text(second), text(first), err)
			case tt.fields != nil && (!errors.Is(err, storage.Duplicate) || !errors.As(err, &e) || !slices.Equal(e.Fields, tt.fields) || e.Class != tt.class.Name):
				t.Errorf("Create(%s) beside %s = %+v, want Duplicate of %v", text(second), text(first), err, tt.fields)
			}
			if _, err := s.Delete(s.ctx, tt.class, nil, -1); err != nil {
				t.Fatalf("Delete(all) = %v", err)
			}
		})
	}
}

// testSparse: any number of objects may have no value.
func testSparse(s *suite) {
	class := schema.New(schema.UserClass)
	s.save(class)
	for _, id := range []string{"a", "b", "c"} {
		s.create(class, id, "username", "user "+id)
	}
	s.create(class, "d", "email", nil)
	s.create(class, "e", "email", nil)
	s.update(class, nil, "email", parse.Delete{})
	s.wantIDs("Find(email missing)", s.find(class, eq("email", nil)), "a", "b", "c", "d", "e")
}

func testUniqueUpdate(s *suite) {
	class := schema.New(schema.UserClass)
	s.save(class)
	ann, bob := s.create(class, "a", "username", "ann"), s.create(class, "b", "username", "bob")
	_, err := s.Update(s.ctx, class, byID("b"), parse.NewMap("username", "ANN", "email", "b@x"), -1)
	s.wantKind("Update(bob = ANN)", err, storage.Duplicate)
	_, err = s.Update(s.ctx, class, nil, parse.NewMap("email", "same@x"), -1)
	s.wantKind("Update(all = same e-mail)", err, storage.Duplicate)
	s.wantObject(class, ann)
	s.wantObject(class, bob)
	s.update(class, byID("a"), "username", "Ann") // its own value in another case
	ann.Set("username", "Ann")
	s.wantObject(class, ann)
	s.update(class, byID("a"), "username", "Ann", "email", "a@x")
}

func testUniqueFreed(s *suite) {
	class := schema.New(schema.UserClass)
	s.save(class)
	s.create(class, "a", "username", "ann")
	s.update(class, byID("a"), "username", "anna")
	s.create(class, "b", "username", "ann")
	if n, err := s.Delete(s.ctx, class, byID("b"), -1); n != 1 || err != nil {
		s.Fatalf("Delete(b) = %d, %v", n, err)
	}
	s.create(class, "b", "username", "ann")
	s.wantKind("Create(anna)", s.Create(s.ctx, class, object(class, "c", "username", "ANNA")), storage.Duplicate)
	s.update(class, byID("a"), "username", parse.Delete{})
	s.create(class, "c", "username", "ANNA")
	if err := s.DropClass(s.ctx, schema.UserClass); err != nil {
		s.Fatalf("DropClass = %v", err)
	}
	s.save(class)
	s.create(class, "a", "username", "anna")
}

// testNotUnique: a field that is called like a unique one is not unique in a class of the application.
func testNotUnique(s *suite) {
	class := s.class("Thing", "username", schema.String, "name", schema.String, "email", schema.String)
	s.create(class, "a", "username", "x", "name", "x", "email", "x")
	s.create(class, "b", "username", "x", "name", "x", "email", "x")
	s.wantIDs("Find(x)", s.find(class, eq("username", "x")), "a", "b")
}

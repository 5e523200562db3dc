package object

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// recorder is a behavior that writes down its steps.
type recorder struct {
	Plain
	steps []string
	// prepare, when set, replaces Prepare.
	prepare func(s *Save) error
	purged  int
}

func (r *recorder) note(format string, args ...any) {
	r.steps = append(r.steps, fmt.Sprintf(format, args...))
}

func (r *recorder) Prepare(_ context.Context, s *Save) error {
	r.note("prepare create=%v unwritable=%v original=%v", s.IsCreate(), s.Unwritable, text(s.Original))
	if r.prepare != nil {
		return r.prepare(s)
	}
	return nil
}

func (r *recorder) Complete(_ context.Context, s *Save) error {
	r.note("complete %v class=%s", slices.Sorted(slices.Values(s.Data.Keys())), s.Class.Name)
	s.Data.Set("_session_token", "internal")
	s.Response.Set("extra", 1.0)
	return nil
}

func (r *recorder) Written(_ context.Context, s *Save, object *parse.Object) error {
	r.note("written %v token=%v", text(object), object.Get("_session_token"))
	return nil
}

func (r *recorder) Restrict(_ context.Context, caller *auth.Caller, q *query.Find) error {
	if caller == bob {
		return parse.Errorf(parse.InvalidSessionToken, "not bob")
	}
	if caller == alice {
		q.Where = query.AndOf(q.Where, &query.Constraint{Key: "username", Op: query.Eq, Arg: "a"})
	}
	return nil
}

func (r *recorder) Deleting(_ context.Context, _ *auth.Caller, object *parse.Object) error {
	r.note("deleting %v", text(object))
	if object.Get("username") == "keep" {
		return parse.Errorf(parse.OperationForbidden, "kept")
	}
	return nil
}

func (r *recorder) Deleted(_ *auth.Caller, object *parse.Object) {
	r.note("deleted %v", text(object))
}

func (r *recorder) Shape(caller *auth.Caller, object *parse.Object) {
	object.Set("shaped", caller.Master)
	if object.Has("_session_token") && !caller.Maintenance {
		r.note("an internal field was shown")
	}
}

func (r *recorder) Purged(context.Context) { r.purged++ }

// text is what of an object the tests look at.
func text(o *parse.Object) string {
	if o == nil {
		return "nil"
	}
	return fmt.Sprintf("%v/%v", o.Get("username"), o.Get("ACL"))
}

// Refused has an answer of its own for what is not found.
type refuser struct{ recorder }

func (r *refuser) Refused(_ *auth.Caller, id string, err error) error {
	if errors.Is(err, parse.ObjectNotFound) {
		return parse.Errorf(parse.SessionMissing, "refused %s", id)
	}
	return err
}

func TestBehavior(t *testing.T) {
	var r *recorder
	behave := func(c *Config) {
		r = &recorder{}
		c.Behaviors = map[string]Behavior{schema.UserClass: r}
		c.AllowCustomObjectID = true
	}
	onEach(t, func(t *testing.T, b *bed) {
		const created = `201 {"objectId":"<id>","createdAt":"<date>","extra":1} /classes/_User/<id>`
		const updated = `200 {"updatedAt":"<date>","extra":1}`
		b.play([]exchange{
			{line: "POST _User", body: `{"username":"a","ACL":{"alice":{"read":true,"write":true}}}`, as: "a", want: created},
			{line: "POST _User", body: `{"username":"keep"}`, as: "keep", want: created},
			{caller: alice, line: "PUT _User/$a$", body: `{"x":1}`, want: updated},
			{line: "PUT _User/$a$", body: `{"x":1}`, want: `101 Object not found.`},
			{line: "PUT _User/none", body: `{"x":1}`, want: `101 Object not found.`},
			{caller: alice, line: "GET _User?keys=username", want: `200 [{"objectId":"<a>","createdAt":"<date>","updatedAt":"<date>","username":"a","ACL":{"alice":{"read":true,"write":true}},"shaped":false}]`},
			{caller: alice, line: "GET _User/$keep$", want: `101 Object not found.`},
			{caller: bob, line: "GET _User", want: `209 not bob`},
			{caller: master, line: "GET _User?keys=username&order=username", want: `200 [{"objectId":"<a>","createdAt":"<date>","updatedAt":"<date>","username":"a","ACL":{"alice":{"read":true,"write":true}},"shaped":true},{"objectId":"<keep>","createdAt":"<date>","updatedAt":"<date>","username":"keep","shaped":true}]`},
			{line: "DELETE _User/$keep$", want: `119 kept`},
			{line: "DELETE _User/$a$", want: `101 Object not found.`},
			{caller: alice, line: "DELETE _User/$a$", want: `200 {}`},
		})
		acl := "map[alice:{true true}]"
		want := []string{
			"prepare create=true unwritable=false original=nil", "complete [ACL createdAt objectId updatedAt username] class=_User", "written a/" + acl + " token=internal",
			"prepare create=true unwritable=false original=nil", "complete [createdAt objectId updatedAt username] class=_User", "written keep/<nil> token=internal",
			"prepare create=false unwritable=false original=a/" + acl, "complete [updatedAt x] class=_User", "written a/" + acl + " token=internal",
			"prepare create=false unwritable=true original=<nil>/<nil>",
			"prepare create=false unwritable=true original=<nil>/<nil>",
			"deleting keep/<nil>",
			"deleting <nil>/<nil>",
			"deleting a/" + acl, "deleted a/" + acl,
		}
		if diff := cmp.Diff(want, r.steps); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
		if err := b.Purge(context.Background(), master, schema.UserClass); err != nil || r.purged != 1 {
			t.Errorf("Purge() = %v, told %d times, want 1", err, r.purged)
		}
	}, behave)
}

func TestBehaviorAnswersByItself(t *testing.T) {
	r := &recorder{prepare: func(s *Save) error {
		s.Done, s.Status, s.Location = true, 203, "/here"
		s.Response = parse.NewMap("mine", true)
		return nil
	}}
	onEach(t, func(t *testing.T, b *bed) {
		b.play([]exchange{
			{line: "POST _User", body: `{"username":"a"}`, want: `203 {"mine":true} /here`},
			{caller: master, line: "GET _User?count=1&limit=0", want: `200 [] count 0`},
		})
	}, func(c *Config) { c.Behaviors = map[string]Behavior{schema.UserClass: r} })
}

func TestBehaviorTurnsACreateIntoAnUpdate(t *testing.T) {
	r := &recorder{}
	onEach(t, func(t *testing.T, b *bed) {
		r.prepare = nil
		b.do(public, "POST _User", `{"username":"a"}`)
		id := b.names["last"]
		r.prepare = func(s *Save) error {
			if s.IsCreate() {
				s.ID, s.Status = id, 200
				s.Original = parse.NewObject(schema.UserClass, "objectId", id)
			}
			return nil
		}
		b.names["a"] = id
		b.play([]exchange{
			{line: "POST _User", body: `{"n":{"__op":"Increment","amount":2}}`, want: `200 {"n":2,"updatedAt":"<date>","extra":1}`},
			{caller: master, line: "GET _User", want: `200 [{"objectId":"<a>","createdAt":"<date>","updatedAt":"<date>","username":"a","n":2,"shaped":true}]`},
		})
	}, func(c *Config) { c.Behaviors = map[string]Behavior{schema.UserClass: r} })
}

func TestRefuser(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		b.play([]exchange{
			{line: "PUT _User/none", body: `{"x":1}`, want: `206 refused none`},
			{line: "DELETE _User/none", want: `206 refused none`},
			{line: "POST _User", body: `{"username":5}`, want: `111 schema mismatch for _User.username; expected String but got Number`},
		})
	}, func(c *Config) { c.Behaviors = map[string]Behavior{schema.UserClass: &refuser{}} })
}

func TestMaintenanceKeySeesAndWritesInternalFields(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		b.play([]exchange{
			{caller: maintenance, line: "POST _User", body: `{"username":"a","_failed_login_count":3,"_auth_data_x":{"id":"1"}}`, as: "u", want: `201 {"objectId":"<id>","createdAt":"<date>"} /classes/_User/<id>`},
			{caller: maintenance, line: "GET _User/$u$?keys=username", want: `200 {"objectId":"<u>","createdAt":"<date>","updatedAt":"<date>","username":"a"}`},
			{caller: maintenance, line: "GET _User/$u$", want: `200 {"objectId":"<u>","createdAt":"<date>","updatedAt":"<date>","username":"a","_failed_login_count":3,"authData":{"x":{"id":"1"}}}`},
			{caller: master, line: "GET _User/$u$", want: `200 {"objectId":"<u>","createdAt":"<date>","updatedAt":"<date>","username":"a","authData":{"x":{"id":"1"}}}`},
			{caller: master, line: "GET _User/$u$?keys=authData", want: `200 {"objectId":"<u>","createdAt":"<date>","updatedAt":"<date>","authData":{"x":{"id":"1"}}}`},
			{caller: master, line: `GET _User?keys=username&where={"authData.x.id":"1"}`, want: `200 [{"objectId":"<u>","createdAt":"<date>","updatedAt":"<date>","username":"a"}]`},
			{caller: master, line: `GET _User?keys=username&where={"authData.y.id":"1"}`, want: `200 []`},
			{line: "GET _User/$u$", want: `200 {"objectId":"<u>","createdAt":"<date>","updatedAt":"<date>","username":"a"}`},
			{caller: maintenance, line: "POST _User", body: `{"_nope":3}`, want: `105 Invalid field name: _nope.`},
			{caller: master, line: "POST _User", body: `{"_failed_login_count":3}`, want: `105 Invalid field name: _failed_login_count.`},
		})
	})
}

func TestNotify(t *testing.T) {
	var got []string
	onEach(t, func(t *testing.T, b *bed) {
		got = nil
		b.do(public, "POST N", `{"username":"a"}`)
		id := b.names["last"]
		b.do(public, "PUT N/"+id, `{"username":"b"}`)
		b.do(public, "PUT N/none", `{"username":"b"}`)
		if err := b.Transact(context.Background(), func(ctx context.Context, tx *Objects) error {
			if _, err := tx.Update(ctx, public, "N", id, parse.NewMap("username", "c")); err != nil {
				return err
			}
			got = append(got, "end of the transaction")
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := b.Transact(context.Background(), func(ctx context.Context, tx *Objects) error {
			if _, err := tx.Update(ctx, public, "N", id, parse.NewMap("username", "never")); err != nil {
				return err
			}
			return parse.Errorf(parse.ScriptFailed, "rolled back")
		}); !errors.Is(err, parse.ScriptFailed) {
			t.Fatal(err)
		}
		b.do(public, "DELETE N/"+id, "")
		want := []string{"nil -> a/<nil>", "a/<nil> -> b/<nil>", "end of the transaction", "b/<nil> -> c/<nil>", "c/<nil> -> nil"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("changes (-want +got):\n%s", diff)
		}
	}, func(c *Config) {
		c.Notify = func(change Change) { got = append(got, text(change.Original)+" -> "+text(change.Object)) }
	})
}

func TestPurge(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		ctx := context.Background()
		b.do(public, "POST P", `{"rel":{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"T","objectId":"x"}]}}`)
		for _, test := range []struct {
			caller *auth.Caller
			class  string
			want   parse.Code
		}{{public, "P", parse.OperationForbidden}, {maintenance, "P", parse.OperationForbidden}, {readOnly, "P", parse.OperationForbidden}, {master, "NoSuch", 0}, {master, "P", 0}} {
			err := b.Purge(ctx, test.caller, test.class)
			if test.want == 0 && err != nil || test.want != 0 && !errors.Is(err, test.want) {
				t.Errorf("Purge(%s) = %v, want %d", test.class, err, int(test.want))
			}
		}
		b.play([]exchange{
			{line: "GET P?count=1&limit=0", want: "200 [] count 0"},
			{caller: master, line: "GET _Join:rel:P?count=1&limit=0", want: "200 [] count 0"},
			{line: "POST P", body: `{"n":1}`, want: `201 {"objectId":"<id>","createdAt":"<date>"} /classes/P/<id>`},
		})
	})
}

func TestAggregate(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		b.queries()
		class, _ := b.schemas.Class("Q")
		for _, test := range []struct{ params, want string }{
			{`{"distinct":"mod"}`, `[0,1]`},
			{`{"distinct":"arr","where":{"i":{"$lt":2}}}`, `[0,1,2]`},
			{`{"distinct":"_rperm"}`, `[]`},
			{`{"distinct":"ptr"}`, `[{"__type":"Pointer","className":"Tgt","objectId":"<tgt>"}]`},
			{`{"distinct":"mod","where":{"ptr":{"$inQuery":{"className":"Tgt","where":{"v":2}}}}}`, `[]`},
			{`{"pipeline":[{"$group":{"_id":"$mod","total":{"$sum":"$i"},"c":{"$sum":1}}},{"$sort":{"objectId":1}}]}`, `[{"objectId":0,"total":6,"c":3},{"objectId":1,"total":9,"c":3}]`},
			{`{"pipeline":[{"$match":{"i":{"$gt":3}}},{"$sort":{"i":-1}},{"$project":{"i":1}}]}`, `[{"i":5,"objectId":"<q5>"},{"i":4,"objectId":"<q4>"}]`},
		} {
			p, err := query.ParsePipeline(b.decode(test.params), class, query.Options{Privileged: true})
			if err != nil {
				t.Errorf("ParsePipeline(%s) = %v", test.params, err)
				continue
			}
			results, err := b.Aggregate(context.Background(), master, "Q", p)
			got := b.generalise(string(parse.Marshal(results)))
			if err != nil || canonical(got) != canonical(test.want) {
				t.Errorf("Aggregate(%s) = %s, %v, want %s", test.params, got, err, test.want)
			}
			if _, err := b.Aggregate(context.Background(), maintenance, "Q", p); !errors.Is(err, parse.OperationForbidden) {
				t.Errorf("Aggregate without the master key = %v, want OperationForbidden", err)
			}
			if results, err := b.Aggregate(context.Background(), master, "NoSuch", p); err != nil || len(results) != 0 {
				t.Errorf("Aggregate of an unknown class = %v, %v, want nothing", results, err)
			}
		}
	})
}

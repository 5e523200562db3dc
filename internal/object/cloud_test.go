package object

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
)

// withCode is a change of a Config for newBed.
func withCode(t testing.TB, register func(code *cloud.Code)) func(*Config) {
	var code cloud.Code
	register(&code)
	hooks, err := code.Compile(cloud.Options{})
	if err != nil {
		t.Fatalf("Compile() = %v", err)
	}
	return func(cfg *Config) { cfg.Cloud = hooks }
}

func count(t *testing.T, b *bed, class string) int64 {
	t.Helper()
	found, err := b.Find(context.Background(), master, &query.Find{ClassName: class, Count: true})
	if err != nil {
		t.Fatal(err)
	}
	return found.Count
}

// A trigger in a transaction is part of it: what it writes is there with the rest, or not at all; and the schema grows for it too.
func TestTriggersOfTransactions(t *testing.T) {
	after := 0
	register := func(code *cloud.Code) {
		code.BeforeSave("A", func(ctx context.Context, req *cloud.SaveRequest) error {
			// A class that does not exist yet: the error says so to the server, whatever becomes of it here.
			_ = req.AsMaster().Save(ctx, parse.NewObject("Log", "n", req.Object.Get("n")))
			if req.Object.Get("n") == 13.0 {
				return errors.New("unlucky")
			}
			return nil
		})
		code.AfterSave("A", func(ctx context.Context, req *cloud.SaveRequest) error {
			after++
			n, err := req.AsMaster().Count(ctx, &query.Find{ClassName: "A"})
			if err != nil || n != 2 {
				t.Errorf("afterSave counts %d, %v, want 2: all of the transaction", n, err)
			}
			return nil
		})
		code.AfterDelete("A", func(context.Context, *cloud.DeleteRequest) error { after += 100; return errors.New("is logged") })
	}
	onEach(t, func(t *testing.T, b *bed) {
		after = 0
		both := func(second float64) error {
			return b.Transact(context.Background(), func(ctx context.Context, tx *Objects) error {
				for _, n := range []float64{1, second} {
					if _, err := tx.Create(ctx, public, "A", parse.NewMap("n", n)); err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err := both(13); !errors.Is(err, parse.ScriptFailed) || after != 0 {
			t.Errorf("Transact() = %v with %d afterSaves, want 141 and none", err, after)
		}
		if a, log := count(t, b, "A"), count(t, b, "Log"); a != 0 || log != 0 {
			t.Errorf("%d objects and %d of the trigger are left, want none", a, log)
		}
		if err := both(2); err != nil || after != 2 {
			t.Errorf("Transact() = %v with %d afterSaves, want 2", err, after)
		}
		if a, log := count(t, b, "A"), count(t, b, "Log"); a != 2 || log != 2 {
			t.Errorf("%d objects and %d of the trigger, want 2 and 2", a, log)
		}
		err := b.Transact(context.Background(), func(ctx context.Context, tx *Objects) error {
			found, err := tx.Find(ctx, public, &query.Find{ClassName: "A", Limit: 1})
			if err != nil {
				return err
			}
			return tx.Delete(ctx, public, "A", found.Objects[0].ID())
		})
		if err != nil || after != 102 || count(t, b, "A") != 1 {
			t.Errorf("a delete in a transaction = %v, %d, want nil, 102", err, after)
		}
	}, withCode(t, register))
}

// beforeSave sees what is permitted and nothing else.
func TestBeforeSaveSeesPermittedWrites(t *testing.T) {
	ran := 0
	onEach(t, func(t *testing.T, b *bed) {
		ran = 0
		mine, err := b.Create(context.Background(), master, "A", b.decode(`{"n":1,"ACL":{"alice":{"read":true,"write":true}}}`))
		if err != nil {
			t.Fatal(err)
		}
		id := mine.Body.String("objectId")
		ran = 0
		if _, err := b.Update(context.Background(), bob, "A", id, parse.NewMap("n", 2.0)); !errors.Is(err, parse.ObjectNotFound) || ran != 0 {
			t.Errorf("Update() of somebody else = %v after %d triggers, want 101 and none", err, ran)
		}
		if err := b.Delete(context.Background(), bob, "A", id); !errors.Is(err, parse.ObjectNotFound) || ran != 0 {
			t.Errorf("Delete() of somebody else = %v after %d triggers, want 101 and none", err, ran)
		}
		if _, err := b.Update(context.Background(), alice, "A", id, parse.NewMap("n", 2.0)); err != nil || ran != 1 {
			t.Errorf("Update() = %v after %d triggers, want 1", err, ran)
		}
	}, withCode(t, func(code *cloud.Code) {
		code.BeforeSave("A", func(context.Context, *cloud.SaveRequest) error { ran++; return nil })
		code.BeforeDelete("A", func(context.Context, *cloud.DeleteRequest) error { ran++; return nil })
	}))
}

// A user whom pointer permissions do not admit to an object does not reach its trigger.
func TestBeforeSaveAsksPointerPermissions(t *testing.T) {
	ran := 0
	onEach(t, func(t *testing.T, b *bed) {
		ran = 0
		b.define("Owned", `{"fields":{"owner":{"type":"Pointer","targetClass":"_User"},"n":{"type":"Number"}},"classLevelPermissions":{"create":{"*":true},"update":{"pointerFields":["owner"]}}}`)
		saved, err := b.Create(context.Background(), master, "Owned", b.decode(`{"owner":{"__type":"Pointer","className":"_User","objectId":"alice"}}`))
		if err != nil {
			t.Fatal(err)
		}
		id := saved.Body.String("objectId")
		ran = 0
		if _, err := b.Update(context.Background(), bob, "Owned", id, parse.NewMap("n", 2.0)); !errors.Is(err, parse.ObjectNotFound) || ran != 0 {
			t.Errorf("Update() of somebody else = %v after %d triggers, want 101 and none", err, ran)
		}
		if _, err := b.Update(context.Background(), alice, "Owned", id, parse.NewMap("n", 2.0)); err != nil || ran != 1 {
			t.Errorf("Update() = %v after %d triggers, want 1", err, ran)
		}
	}, withCode(t, func(code *cloud.Code) {
		code.BeforeSave("Owned", func(context.Context, *cloud.SaveRequest) error { ran++; return nil })
	}))
}

// What a trigger writes is held against the rules like what a client writes.
func TestTriggerWritesAreChecked(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		if _, err := b.Create(context.Background(), public, "A", parse.NewMap("s", "text")); err != nil {
			t.Fatal(err)
		}
		for how, want := range map[string]parse.Code{"type": parse.IncorrectType, "name": parse.InvalidKeyName, "word": parse.InvalidKeyName, "func": parse.ScriptFailed} {
			if _, err := b.Create(context.Background(), public, "A", parse.NewMap("how", how)); !errors.Is(err, want) {
				t.Errorf("Create(%s) = %v, want code %d", how, err, want)
			}
		}
		saved, err := b.Create(context.Background(), public, "A", parse.NewMap("how", "fixed"))
		if err != nil || saved.Body.String("objectId") == "mine" {
			t.Errorf("Create(fixed) = %s, %v, want an id of the server", parse.Marshal(saved.Body), err)
		}
		if n := count(t, b, "A"); n != 2 {
			t.Errorf("%d objects, want 2", n)
		}
	}, withCode(t, func(code *cloud.Code) {
		code.BeforeSave("A", func(_ context.Context, req *cloud.SaveRequest) error {
			switch req.Object.String("how") {
			case "type":
				req.Object.Set("s", 1)
			case "name":
				req.Object.Set("_rperm", []string{"*"})
			case "word":
				req.Object.Set("m", map[string]int{"constructor": 1})
			case "func":
				req.Object.Set("f", func() {})
			case "fixed":
				req.Object.Set("objectId", "mine")
				req.Object.Set("createdAt", parse.Date(0))
			}
			return nil
		})
	}))
}

// Objects that beforeFind gives are shown to those who may read them.
func TestObjectsOfBeforeFind(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		for _, acl := range []string{`{}`, `{"alice":{"read":true}}`, `{"*":{"read":true}}`} {
			if _, err := b.Create(context.Background(), master, "A", b.decode(`{"ACL":`+acl+`}`)); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			caller *auth.Caller
			want   int
		}{{public, 2}, {alice, 3}, {master, 4}} {
			found, err := b.Find(context.Background(), c.caller, &query.Find{ClassName: "A", Limit: 100})
			if err != nil || len(found.Objects) != c.want {
				t.Errorf("Find(%v) = %d objects, %v, want %d", c.caller, len(found.Objects), err, c.want)
			}
		}
	}, withCode(t, func(code *cloud.Code) {
		code.BeforeFind("A", func(ctx context.Context, req *cloud.FindRequest) error {
			if req.Context.Has("inner") {
				return nil
			}
			all, err := req.AsMaster().WithContext(parse.NewMap("inner", true)).Find(ctx, &query.Find{ClassName: "A"})
			req.Objects = append(all, parse.NewObject("A", "made", true))
			return err
		})
	}))
}

// A request knows who asks, and its clients have the rights they say.
func TestRequestAndClients(t *testing.T) {
	caller := &auth.Caller{
		User: parse.NewObject("_User", "objectId", "ann", "name", "Ann", "_hashed_password", "h", "sessionToken", "r:1"), Roles: []string{"role:x"},
		InstallationID: "i", IP: netip.MustParseAddr("10.0.0.1"), Context: parse.NewMap("k", 1.0), SessionToken: "r:1",
	}
	onEach(t, func(t *testing.T, b *bed) {
		if _, err := b.Create(context.Background(), master, "Secret", b.decode(`{"ACL":{"ann":{"read":true}}}`)); err != nil {
			t.Fatal(err)
		}
		signedUp, err := b.Create(context.Background(), master, "_User", parse.NewMap("username", "zoe"))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := b.Call(context.Background(), caller, "look", parse.NewMap("zoe", signedUp.Body.String("objectId")))
		want := `{"user":{"objectId":"ann","name":"Ann"},"roles":["role:x"],"installation":"i","ip":"10.0.0.1","context":{"k":1},"caller":1,"master":1,"zoe":0,"nobody":101,"inner":"cloud"}`
		if err != nil || string(parse.Marshal(answer.Result)) != want {
			t.Errorf("Call() = %s, %v, want %s", parse.Marshal(answer.Result), err, want)
		}
		if caller.Context.Len() != 1 || !caller.User.Has("sessionToken") {
			t.Error("the function has changed its caller")
		}
	}, withCode(t, func(code *cloud.Code) {
		code.Define("installation", func(_ context.Context, req *cloud.FunctionRequest) (any, error) { return req.InstallationID, nil })
		code.Define("look", func(ctx context.Context, req *cloud.FunctionRequest) (any, error) {
			secrets := &query.Find{ClassName: "Secret"}
			user := &parse.Map{}
			for name, v := range req.User.All() {
				user.Set(name, v)
			}
			m := parse.NewMap("user", user, "roles", req.Roles, "installation", req.InstallationID, "ip", req.IP, "context", req.Context.Clone())
			req.Context.Set("more", true)
			zoe, err := req.AsUser(ctx, req.Params.String("zoe"))
			if err != nil {
				return nil, err
			}
			for _, as := range []struct {
				name   string
				client *cloud.Client
			}{{"caller", req.AsCaller()}, {"master", req.AsMaster()}, {"zoe", zoe}} {
				n, err := as.client.Count(ctx, secrets)
				if err != nil {
					return nil, err
				}
				m.Set(as.name, n)
			}
			_, err = req.AsUser(ctx, "nobody")
			var perr *parse.Error
			if errors.As(err, &perr) {
				m.Set("nobody", int(perr.Code))
			}
			inner, err := req.AsCaller().Call(ctx, "installation", nil)
			m.Set("inner", inner)
			return m, err
		})
	}))
}

// Without a trigger of the class a save and a find allocate what they do without cloud code.
func TestNoTriggerCostsNothing(t *testing.T) {
	plain := newBed(t, adapters["memory"](t))
	other := newBed(t, adapters["memory"](t), withCode(t, func(code *cloud.Code) {
		code.BeforeSave("Other", func(context.Context, *cloud.SaveRequest) error { return nil })
		code.AfterFind("Other", func(context.Context, *cloud.FoundRequest) error { return nil })
	}))
	allocations := func(b *bed) (get, update float64) {
		id := b.stock(1)[0]
		get = testing.AllocsPerRun(200, func() {
			if _, err := b.Get(context.Background(), alice, "Bench", id, nil); err != nil {
				t.Error(err)
			}
		})
		update = testing.AllocsPerRun(200, func() {
			if _, err := b.Update(context.Background(), alice, "Bench", id, parse.NewMap("title", "other")); err != nil {
				t.Error(err)
			}
		})
		return get, update
	}
	get, update := allocations(plain)
	if g, u := allocations(other); g != get || u != update {
		t.Errorf("a get and an update allocate %v and %v times beside cloud code, %v and %v without", g, u, get, update)
	}
}

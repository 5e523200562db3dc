package session_test

import (
	"context"
	"errors"
	"iter"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/internal/cache"
	"github.com/parley-backend/parley/internal/object"
	"github.com/parley-backend/parley/internal/role"
	"github.com/parley-backend/parley/internal/schemas"
	"github.com/parley-backend/parley/internal/session"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
	"github.com/parley-backend/parley/storage/memory"
)

// counting counts what is asked of an adapter.
type counting struct {
	storage.Adapter
	finds, updates atomic.Int64
}

func (c *counting) Find(ctx context.Context, class *schema.Class, q *query.Find) iter.Seq2[*parse.Object, error] {
	c.finds.Add(1)
	return c.Adapter.Find(ctx, class, q)
}

func (c *counting) Update(ctx context.Context, class *schema.Class, where query.Node, changes storage.Changes, limit int) ([]*parse.Object, error) {
	c.updates.Add(1)
	return c.Adapter.Update(ctx, class, where, changes, limit)
}

type world struct {
	t        testing.TB
	store    *counting
	schemas  *schemas.Schemas
	sessions *session.Sessions
	objects  *object.Objects
}

func newWorld(t testing.TB, cfg session.Config) *world {
	store := &counting{Adapter: storage.Checked(memory.New())}
	classes, err := schemas.Load(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Store, cfg.Schemas, cfg.Roles = store, classes, role.New(role.Config{Store: store, Schemas: classes, Cache: cfg.Cache})
	sessions := session.New(cfg)
	objects := object.New(object.Config{Store: store, Schemas: classes, Behaviors: map[string]object.Behavior{schema.SessionClass: sessions}})
	return &world{t: t, store: store, schemas: classes, sessions: sessions, objects: objects}
}

// user stores a user and returns the caller it is.
func (w *world) user(id string) *auth.Caller {
	w.t.Helper()
	class, _ := w.schemas.Class(schema.UserClass)
	now := parse.DateOf(time.Now())
	stored := parse.NewObject(schema.UserClass, "objectId", id, "createdAt", now, "updatedAt", now, "username", id,
		"_hashed_password", "secret", "_rperm", []any{id}, "_wperm", []any{id}, "_auth_data_anonymous", parse.NewMap("id", "anon-"+id))
	if err := w.store.Create(w.t.Context(), class, stored); err != nil {
		w.t.Fatal(err)
	}
	return &auth.Caller{User: parse.NewObject(schema.UserClass, "objectId", id)}
}

func (w *world) login(caller *auth.Caller, installation string) string {
	w.t.Helper()
	made, err := w.sessions.Create(w.t.Context(), w.objects, caller, session.Start{
		UserID: caller.UserID(), Action: "login", Provider: "password", InstallationID: installation,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return made.String("sessionToken")
}

// resolves checks that a token is good for a user, or, for "", that it is refused with a text.
func (w *world) resolves(token, user, refusal string) {
	w.t.Helper()
	got, _, err := w.sessions.Resolve(w.t.Context(), token)
	if user != "" {
		if err != nil || got.ID() != user {
			w.t.Errorf("Resolve = %v, %v, want %s", got, err, user)
		}
		return
	}
	w.refused(err, parse.InvalidSessionToken, refusal)
}

func (w *world) refused(err error, code parse.Code, text string) {
	w.t.Helper()
	var told *parse.Error
	if !errors.As(err, &told) || told.Code != code || told.Message != text {
		w.t.Errorf("error = %v, want %d %s", err, code, text)
	}
}

// session returns the stored session of a token.
func (w *world) session(token string) *parse.Object {
	w.t.Helper()
	found, err := w.objects.Find(w.t.Context(), auth.System, &query.Find{
		ClassName: schema.SessionClass, Where: &query.Constraint{Key: "sessionToken", Op: query.Eq, Arg: token}, Limit: -1,
	})
	if err != nil || len(found.Objects) != 1 {
		w.t.Fatalf("sessions of the token = %v, %v, want one", found, err)
	}
	return found.Objects[0]
}

const unknown, expired, denied = "Invalid session token", "Session token is expired.", "Permission denied"

func TestCreate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, session.Config{})
		alice := w.user("alice")
		made, err := w.sessions.Create(t.Context(), w.objects, alice, session.Start{
			UserID: "alice", Action: "signup", Provider: "password", InstallationID: "i",
		})
		if err != nil {
			t.Fatal(err)
		}
		token := made.String("sessionToken")
		if !regexp.MustCompile(`^r:[0-9a-f]{32}$`).MatchString(token) {
			t.Errorf("token = %q, want r: and 32 hexadecimal digits", token)
		}
		now := parse.DateOf(time.Now())
		pointer := parse.Pointer{ClassName: schema.UserClass, ObjectID: "alice"}
		createdWith := parse.NewMap("action", "signup", "authProvider", "password")
		expires := now + parse.Date((365 * 24 * time.Hour).Milliseconds())
		want := parse.NewMap("sessionToken", token, "user", pointer, "createdWith", createdWith, "expiresAt", expires, "installationId", "i",
			"objectId", made.Get("objectId"))
		if diff := cmp.Diff(want.Keys(), made.Keys()); diff != "" || !made.Equal(want) {
			t.Errorf("Create = %s, want %s", parse.Marshal(made), parse.Marshal(want))
		}
		stored := w.session(token)
		want.Set("createdAt", now)
		want.Set("updatedAt", now)
		if !stored.Map.Equal(want) {
			t.Errorf("stored = %s, want %s", parse.Marshal(&stored.Map), parse.Marshal(want))
		}
	})
}

func TestResolve(t *testing.T) {
	w := newWorld(t, session.Config{})
	alice := w.user("alice")
	token := w.login(alice, "")
	for range 2 { // from the database, from the cache
		user, roles, err := w.sessions.Resolve(t.Context(), token)
		want := parse.NewObject(schema.UserClass, "objectId", "alice", "createdAt", user.Get("createdAt"), "updatedAt", user.Get("updatedAt"),
			"username", "alice", "authData", parse.NewMap("anonymous", parse.NewMap("id", "anon-alice")),
			"ACL", parse.ACL{"alice": {Read: true, Write: true}})
		if err != nil || !user.Equal(want) || len(roles) != 0 {
			t.Errorf("Resolve = %s, %v, %v, want %s", parse.Marshal(user), roles, err, parse.Marshal(want))
		}
	}
	before := w.store.finds.Load()
	w.resolves(token, "alice", "")
	if n := w.store.finds.Load() - before; n != 0 {
		t.Errorf("a known token took %d queries, want 0", n)
	}
	w.resolves("", "", unknown)
	w.resolves("r:00000000000000000000000000000000", "", unknown)
}

// A refusal is not remembered: the token may be good a moment later.
func TestRefusalIsNotCached(t *testing.T) {
	w := newWorld(t, session.Config{})
	alice := w.user("alice")
	token := w.login(alice, "")
	data := w.session(token).Clone()
	if err := w.sessions.Revoke(t.Context(), w.objects, token); err != nil {
		t.Fatal(err)
	}
	w.resolves(token, "", unknown)
	class, _ := w.schemas.Class(schema.SessionClass)
	if err := w.store.Create(t.Context(), class, data); err != nil {
		t.Fatal(err)
	}
	w.resolves(token, "alice", "")
}

func TestExpiry(t *testing.T) {
	tests := []struct {
		name string
		cfg  session.Config
		good time.Duration // still good after
		bad  time.Duration // then this much later no more; 0 for never
	}{
		{"one year", session.Config{}, 365 * 24 * time.Hour, time.Millisecond},
		{"an hour", session.Config{Length: time.Hour}, time.Hour, time.Millisecond},
		{"while it is cached", session.Config{Length: 3 * time.Second}, 3 * time.Second, time.Millisecond},
		{"never", session.Config{Length: time.Hour, NeverExpire: true}, 1000 * time.Hour, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, tt.cfg)
				token := w.login(w.user("alice"), "")
				w.resolves(token, "alice", "")
				time.Sleep(tt.good)
				w.resolves(token, "alice", "")
				if tt.bad > 0 {
					time.Sleep(tt.bad)
					w.resolves(token, "", expired)
					w.resolves(token, "", expired)
				}
			})
		})
	}
}

func TestExtendOnUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, session.Config{Length: time.Hour, ExtendOnUse: true})
		token := w.login(w.user("alice"), "")
		ends := func() time.Duration {
			return time.Until(w.session(token).Get("expiresAt").(parse.Date).Time())
		}
		time.Sleep(30*time.Minute - time.Millisecond)
		w.resolves(token, "alice", "")
		if got, want := ends(), 30*time.Minute+time.Millisecond; got != want {
			t.Errorf("before half of its time: the session ends in %v, want %v", got, want)
		}
		time.Sleep(time.Millisecond)
		before := w.store.updates.Load()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { w.resolves(token, "alice", "") })
		}
		wg.Wait()
		if got, want := ends(), time.Hour; got != want {
			t.Errorf("after half of its time: the session ends in %v, want %v", got, want)
		}
		if n := w.store.updates.Load() - before; n < 1 || n > 20 {
			t.Errorf("the extension took %d updates", n)
		}
		before = w.store.updates.Load()
		w.resolves(token, "alice", "")
		if n := w.store.updates.Load() - before; n != 0 {
			t.Errorf("a session that was just extended took %d updates, want 0", n)
		}
		time.Sleep(time.Hour + time.Millisecond)
		w.resolves(token, "", expired)
	})
}

func TestInvalidation(t *testing.T) {
	tests := []struct {
		name string
		do   func(w *world, alice *auth.Caller, token string) error
		want string // the refusal of the token that the step is about; "" for none
		rest bool   // whether the other session of the user is still good
	}{
		{"logout", func(w *world, _ *auth.Caller, token string) error {
			return w.sessions.Revoke(w.t.Context(), w.objects, token)
		}, unknown, true},
		{"all sessions of the user", func(w *world, _ *auth.Caller, _ string) error {
			return w.sessions.RevokeAll(w.t.Context(), w.objects, "alice")
		}, unknown, false},
		{"delete of the session", func(w *world, alice *auth.Caller, token string) error {
			return w.objects.Delete(w.t.Context(), alice, schema.SessionClass, w.session(token).ID())
		}, unknown, true},
		{"new login on the installation", func(w *world, alice *auth.Caller, _ string) error {
			w.login(alice, "phone")
			return nil
		}, unknown, true},
		{"login on another installation", func(w *world, alice *auth.Caller, _ string) error {
			w.login(alice, "tablet")
			return nil
		}, "", true},
		{"expiry moved by the master key", func(w *world, _ *auth.Caller, token string) error {
			past := parse.DateOf(time.Now().Add(-time.Hour))
			_, err := w.objects.Update(w.t.Context(), auth.System, schema.SessionClass, w.session(token).ID(), parse.NewMap("expiresAt", past))
			return err
		}, expired, true},
		{"purge", func(w *world, _ *auth.Caller, _ string) error {
			return w.objects.Purge(w.t.Context(), auth.System, schema.SessionClass)
		}, unknown, false},
		{"user gone", func(w *world, _ *auth.Caller, _ string) error {
			class, _ := w.schemas.Class(schema.UserClass)
			_, err := w.store.Delete(w.t.Context(), class, nil, -1)
			w.sessions.ForgetUser("alice")
			return err
		}, denied, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, session.Config{})
			alice, bob := w.user("alice"), w.user("bob")
			token, other, bobs := w.login(alice, "phone"), w.login(alice, "desk"), w.login(bob, "phone")
			for _, k := range []string{token, other} {
				w.resolves(k, "alice", "")
			}
			w.resolves(bobs, "bob", "")
			if err := tt.do(w, alice, token); err != nil {
				t.Fatal(err)
			}
			user := "alice"
			if tt.want != "" {
				user = ""
			}
			w.resolves(token, user, tt.want)
			if tt.rest {
				w.resolves(other, "alice", "")
			} else {
				w.resolves(other, "", tt.want)
			}
			w.resolves(token, user, tt.want) // not even after the other one brought the user back into the cache
			if tt.name != "purge" && tt.name != "user gone" {
				w.resolves(bobs, "bob", "")
			}
		})
	}
}

// Without a cache every use reads the database.
func TestNoCache(t *testing.T) {
	w := newWorld(t, session.Config{Cache: cache.Options{TTL: -1}})
	token := w.login(w.user("alice"), "")
	w.resolves(token, "alice", "")
	before := w.store.finds.Load()
	w.resolves(token, "alice", "")
	if n := w.store.finds.Load() - before; n < 2 {
		t.Errorf("Resolve took %d queries, want session and user", n)
	}
}

// What clients may do with sessions: the recorded answers.
func TestRules(t *testing.T) {
	w := newWorld(t, session.Config{})
	alice, bob, nobody := w.user("alice"), w.user("bob"), &auth.Caller{}
	maintenance := &auth.Caller{Maintenance: true}
	id := w.session(w.login(alice, "phone")).ID()
	of := func(user string) parse.Pointer { return parse.Pointer{ClassName: schema.UserClass, ObjectID: user} }
	get := func(c *auth.Caller) error {
		_, err := w.objects.Get(t.Context(), c, schema.SessionClass, id, nil)
		return err
	}
	update := func(c *auth.Caller, fields ...any) error {
		_, err := w.objects.Update(t.Context(), c, schema.SessionClass, id, parse.NewMap(fields...))
		return err
	}
	remove := func(c *auth.Caller, id string) error {
		return w.objects.Delete(t.Context(), c, schema.SessionClass, id)
	}
	date := parse.DateOf(time.Now().Add(time.Hour))
	tests := []struct {
		name string
		err  error
		code parse.Code
		text string
	}{
		{"get by nobody", get(nobody), parse.InvalidSessionToken, denied},
		{"get with the maintenance key", get(maintenance), parse.InvalidSessionToken, denied},
		{"get by another", get(bob), parse.ObjectNotFound, "Object not found."},
		{"update by nobody", update(nobody, "foo", "x"), parse.InvalidSessionToken, "Session token required."},
		{"update by another", update(bob, "foo", "x"), parse.ObjectNotFound, "Object not found."},
		{"ACL", update(alice, "ACL", parse.ACL{}), parse.InvalidKeyName, "Cannot set ACL on a Session."},
		{"ACL by the master key", update(auth.System, "ACL", parse.ACL{}), parse.InvalidKeyName, "Cannot set ACL on a Session."},
		{"user", update(alice, "user", of("bob")), parse.InvalidKeyName, "Invalid key name: user"},
		{"installationId", update(alice, "installationId", "x"), parse.InvalidKeyName, "Invalid key name: installationId"},
		{"installationId by the master key", update(auth.System, "installationId", "x"), parse.InvalidKeyName, "Invalid key name: installationId"},
		{"sessionToken", update(alice, "sessionToken", "x"), parse.InvalidKeyName, "Invalid key name: sessionToken"},
		{"sessionToken by the master key", update(auth.System, "sessionToken", "x"), parse.InvalidKeyName, "Invalid key name: sessionToken"},
		{"expiresAt", update(alice, "expiresAt", date), parse.InvalidKeyName, "Invalid key name: expiresAt"},
		{"createdWith", update(alice, "createdWith", parse.NewMap("action", "x")), parse.InvalidKeyName, "Invalid key name: createdWith"},
		{"delete by nobody", remove(nobody, id), parse.InvalidSessionToken, denied},
		{"delete with the maintenance key", remove(maintenance, id), parse.InvalidSessionToken, denied},
		{"delete by another", remove(bob, id), parse.ObjectNotFound, "Object not found for delete."},
		{"delete of none", remove(alice, "none"), parse.ObjectNotFound, "Object not found for delete."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.t = t
			w.refused(tt.err, tt.code, tt.text)
		})
	}
	for name, err := range map[string]error{
		"get by its user":             get(alice),
		"update by its user":          update(alice, "foo", "x", "user", of("alice")),
		"expiresAt by the master key": update(auth.System, "expiresAt", date, "createdWith", parse.NewMap("action", "x")),
		"delete by its user":          remove(alice, id),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFindOwnOnly(t *testing.T) {
	w := newWorld(t, session.Config{})
	alice, bob := w.user("alice"), w.user("bob")
	mine := w.login(alice, "")
	w.login(bob, "")
	found, err := w.objects.Find(t.Context(), alice, &query.Find{ClassName: schema.SessionClass, Limit: -1})
	if err != nil || len(found.Objects) != 1 || found.Objects[0].Get("sessionToken") != mine {
		t.Errorf("Find = %v, %v, want the session of alice", found, err)
	}
	_, err = w.objects.Find(t.Context(), &auth.Caller{}, &query.Find{ClassName: schema.SessionClass, Limit: -1})
	w.refused(err, parse.InvalidSessionToken, denied)
}

// POST /sessions makes a session of the caller, whatever the body says of user, token, expiry and origin.
func TestCreateByClient(t *testing.T) {
	w := newWorld(t, session.Config{})
	alice := w.user("alice")
	saved, err := w.objects.Create(t.Context(), alice, schema.SessionClass, parse.NewMap(
		"user", parse.Pointer{ClassName: schema.UserClass, ObjectID: "bob"}, "sessionToken", "r:x", "expiresAt", parse.Date(0),
		"createdWith", parse.NewMap("action", "x"), "foo", "bar"))
	if err != nil {
		t.Fatal(err)
	}
	body := saved.Body
	if got, want := body.Keys(), []string{"sessionToken", "user", "createdWith", "expiresAt", "foo", "objectId"}; !cmp.Equal(got, want) {
		t.Errorf("members of the answer = %v, want %v", got, want)
	}
	if got, want := saved.Location, "/classes/_Session/"+body.String("objectId"); got != want || saved.Status != 201 {
		t.Errorf("Location, Status = %q, %d, want %q, 201", got, saved.Status, want)
	}
	stored := w.session(body.String("sessionToken"))
	if got, want := stored.Get("createdWith"), any(parse.NewMap("action", "create")); !parse.Equal(got, want) || stored.Get("foo") != "bar" {
		t.Errorf("stored = %s", parse.Marshal(stored))
	}
	w.resolves(body.String("sessionToken"), "alice", "")

	_, err = w.objects.Create(t.Context(), &auth.Caller{}, schema.SessionClass, parse.NewMap("foo", "bar"))
	w.refused(err, parse.InvalidSessionToken, "Session token required.")
	_, err = w.objects.Create(t.Context(), alice, schema.SessionClass, parse.NewMap("ACL", parse.ACL{}))
	w.refused(err, parse.InvalidKeyName, "Cannot set ACL on a Session.")
}

func TestMe(t *testing.T) {
	w := newWorld(t, session.Config{})
	alice := w.user("alice")
	token := w.login(alice, "phone")
	got, err := w.sessions.Me(t.Context(), w.objects, &auth.Caller{}, token)
	if want := w.session(token); err != nil || !got.Equal(want) {
		t.Errorf("Me = %v, %v, want %v", got, err, want)
	}
	_, err = w.sessions.Me(t.Context(), w.objects, &auth.Caller{}, "")
	w.refused(err, parse.InvalidSessionToken, "Session token required.")
	_, err = w.sessions.Me(t.Context(), w.objects, &auth.Caller{}, "r:0")
	w.refused(err, parse.InvalidSessionToken, "Session token not found.")
}

func TestUpgrade(t *testing.T) {
	w := newWorld(t, session.Config{})
	alice := w.user("alice")
	class, _ := w.schemas.Class(schema.UserClass)
	if _, err := w.store.Update(t.Context(), class, nil, parse.NewMap("_session_token", "legacy"), -1); err != nil {
		t.Fatal(err)
	}
	user, _, err := w.sessions.ResolveLegacy(t.Context(), "legacy")
	if err != nil || user.ID() != "alice" {
		t.Fatalf("ResolveLegacy = %v, %v, want alice", user, err)
	}
	got, err := w.sessions.Upgrade(t.Context(), w.objects, alice)
	if err != nil || !parse.Equal(got.Get("createdWith"), parse.NewMap("action", "upgrade")) {
		t.Fatalf("Upgrade = %v, %v, want a session created with an upgrade", got, err)
	}
	w.resolves(got.String("sessionToken"), "alice", "")
	_, _, err = w.sessions.ResolveLegacy(t.Context(), "legacy")
	w.refused(err, parse.InvalidSessionToken, "invalid legacy session token")
	_, err = w.sessions.Upgrade(t.Context(), w.objects, &auth.Caller{})
	w.refused(err, parse.ObjectNotFound, "invalid session")
}

// Logins and uses on all sides: a revoked token is refused from the moment that Revoke has returned.
func TestRevokeUnderLoad(t *testing.T) {
	w := newWorld(t, session.Config{})
	alice := w.user("alice")
	keep := w.login(alice, "")
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					w.resolves(keep, "alice", "")
				}
			}
		})
	}
	for range 100 {
		token := w.login(alice, "")
		w.resolves(token, "alice", "")
		if err := w.sessions.Revoke(t.Context(), w.objects, token); err != nil {
			t.Fatal(err)
		}
		w.resolves(token, "", unknown)
	}
	close(done)
	wg.Wait()
}

package user

import (
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/internal/object"
	"github.com/parley-backend/parley/internal/role"
	"github.com/parley-backend/parley/internal/schemas"
	"github.com/parley-backend/parley/internal/session"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
	"github.com/parley-backend/parley/storage/memory"
	"github.com/parley-backend/parley/storage/sqlite"
)

// world is an application with its system classes, on the memory adapter. Its hashes are cheap and counted.
type world struct {
	t        testing.TB
	store    storage.Adapter
	schemas  *schemas.Schemas
	sessions *session.Sessions
	users    *Users
	objects  *object.Objects
	// hashes and compares count the calls of bcrypt.
	hashes, compares atomic.Int64
}

func newWorld(t testing.TB, cfg Config) *world { return newWorldOn(t, memory.New(), cfg) }

// onEachAdapter runs a test where requests race for one object on every kind of database.
func onEachAdapter(t *testing.T, cfg func() Config, test func(t *testing.T, w *world)) {
	t.Run("memory", func(t *testing.T) { test(t, newWorld(t, cfg())) })
	t.Run("sqlite", func(t *testing.T) {
		db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "users.db")})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		test(t, newWorldOn(t, db, cfg()))
	})
}

func newWorldOn(t testing.TB, store storage.Adapter, cfg Config) *world {
	w := &world{t: t, store: storage.Checked(store)}
	var err error
	if w.schemas, err = schemas.Load(t.Context(), w.store); err != nil {
		t.Fatal(err)
	}
	roles := role.New(role.Config{Store: w.store, Schemas: w.schemas})
	w.sessions = session.New(session.Config{Store: w.store, Schemas: w.schemas, Roles: roles})
	cfg.Schemas, cfg.Sessions = w.schemas, w.sessions
	w.users = New(cfg)
	w.users.passwords.cost = bcrypt.MinCost
	w.users.passwords.hash = func(password []byte, cost int) ([]byte, error) {
		w.hashes.Add(1)
		return bcrypt.GenerateFromPassword(password, cost)
	}
	w.users.passwords.compare = func(hash, password []byte) error {
		w.compares.Add(1)
		if string(hash) == nobody { // of the real cost, which would only make the tests slow
			return bcrypt.ErrMismatchedHashAndPassword
		}
		return bcrypt.CompareHashAndPassword(hash, password)
	}
	w.objects = object.New(object.Config{Store: w.store, Schemas: w.schemas, Behaviors: map[string]object.Behavior{
		schema.UserClass: w.users, schema.SessionClass: w.sessions, schema.RoleClass: roles,
	}})
	return w
}

var public = &auth.Caller{}

func body(pairs ...any) *parse.Map { return parse.NewMap(pairs...) }

func (w *world) create(caller *auth.Caller, data *parse.Map) (*object.Saved, error) {
	return w.objects.Create(w.t.Context(), caller, schema.UserClass, data)
}

// signUp makes a user and returns the caller that it becomes.
func (w *world) signUp(pairs ...any) *auth.Caller {
	w.t.Helper()
	saved, err := w.create(public, body(pairs...))
	if err != nil {
		w.t.Fatalf("sign-up of %s: %v", parse.Marshal(body(pairs...)), err)
	}
	return w.caller(saved.Body.String("sessionToken"))
}

// caller is whom a token stands for.
func (w *world) caller(token string) *auth.Caller {
	w.t.Helper()
	user, roles, err := w.sessions.Resolve(w.t.Context(), token)
	if err != nil {
		w.t.Fatalf("token of a user: %v", err)
	}
	return &auth.Caller{User: user, Roles: roles, SessionToken: token}
}

func (w *world) update(caller *auth.Caller, id string, pairs ...any) (*object.Saved, error) {
	return w.objects.Update(w.t.Context(), caller, schema.UserClass, id, body(pairs...))
}

func (w *world) mustUpdate(caller *auth.Caller, id string, pairs ...any) *parse.Map {
	w.t.Helper()
	saved, err := w.update(caller, id, pairs...)
	if err != nil {
		w.t.Fatalf("update of %s: %v", parse.Marshal(body(pairs...)), err)
	}
	return saved.Body
}

func (w *world) logIn(pairs ...any) (*parse.Object, error) {
	return w.users.LogIn(w.t.Context(), w.objects, public, body(pairs...), nil)
}

// stored is a user as it is in the database.
func (w *world) stored(id string) *parse.Object {
	w.t.Helper()
	found, err := w.users.find(w.t.Context(), w.store, is("objectId", id), 1)
	if err != nil || len(found) != 1 {
		w.t.Fatalf("stored user %s: %v, %v", id, found, err)
	}
	return found[0]
}

func (w *world) refused(err error, code parse.Code, text string) {
	w.t.Helper()
	var told *parse.Error
	if !errors.As(err, &told) || told.Code != code || told.Message != text {
		w.t.Errorf("error = %v, want %d %s", err, code, text)
	}
}

const (
	denied   = "Permission denied"
	badLogin = "Invalid username/password."
)

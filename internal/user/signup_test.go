package user

import (
	"context"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/internal/object"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/schema"
)

// The answers of sign-up, as recorded.
func TestSignUp(t *testing.T) {
	w := newWorld(t, Config{})
	saved, err := w.create(&auth.Caller{InstallationID: "inst1"}, body("username", "alice", "password", "pw1", "email", "alice@example.com", "nick", "n"))
	if err != nil {
		t.Fatal(err)
	}
	id := saved.Body.String("objectId")
	if got, want := saved.Body.Keys(), []string{"objectId", "createdAt", "sessionToken"}; !cmp.Equal(got, want) {
		t.Errorf("members of the answer = %v, want %v", got, want)
	}
	if saved.Status != 201 || saved.Location != "/users/"+id {
		t.Errorf("Status, Location = %d, %q, want 201, %q", saved.Status, saved.Location, "/users/"+id)
	}
	stored := w.stored(id)
	for _, name := range []string{"password", "authData", "ACL"} {
		if stored.Has(name) {
			t.Errorf("the stored user has a field %s", name)
		}
	}
	if got := stored.String("_hashed_password"); !strings.HasPrefix(got, "$2a$04$") {
		t.Errorf("_hashed_password = %q, want a bcrypt hash", got)
	}
	caller := w.caller(saved.Body.String("sessionToken"))
	me, err := w.objects.Get(t.Context(), caller, schema.UserClass, id, nil)
	want := parse.NewObject(schema.UserClass, "objectId", id, "createdAt", stored.Get("createdAt"), "updatedAt", stored.Get("createdAt"),
		"username", "alice", "email", "alice@example.com", "nick", "n", "ACL", parse.ACL{id: {Read: true, Write: true}})
	if err != nil || !me.Equal(want) {
		t.Errorf("the user = %s, %v, want %s", parse.Marshal(me), err, parse.Marshal(want))
	}
	session, err := w.sessions.Me(t.Context(), w.objects, caller, caller.SessionToken)
	if err != nil || !parse.Equal(session.Get("createdWith"), body("action", "signup", "authProvider", "password")) || session.Get("installationId") != "inst1" {
		t.Errorf("its session = %s, %v", parse.Marshal(session), err)
	}
}

func TestSignUpRefusals(t *testing.T) {
	w := newWorld(t, Config{})
	w.signUp("username", "alice", "password", "pw1", "email", "alice@example.com")
	tests := []struct {
		name string
		data *parse.Map
		code parse.Code
		text string
	}{
		{"name taken", body("username", "alice", "password", "x"), 202, "Account already exists for this username."},
		{"name taken in another case", body("username", "ALICE", "password", "x"), 202, "Account already exists for this username."},
		{"address taken", body("username", "a2", "password", "x", "email", "alice@example.com"), 203, "Account already exists for this email address."},
		{"address taken in another case", body("username", "a2", "password", "x", "email", "Alice@Example.com"), 203, "Account already exists for this email address."},
		{"name and address taken", body("username", "alice", "password", "x", "email", "alice@example.com"), 202, "Account already exists for this username."},
		{"no password", body("username", "carol"), 201, "password is required"},
		{"no name", body("password", "x"), 200, "bad or missing username"},
		{"nothing", body(), 200, "bad or missing username"},
		{"empty name", body("username", "", "password", "x"), 200, "bad or missing username"},
		{"empty password", body("username", "carol", "password", ""), 201, "password is required"},
		{"name that is a number", body("username", 5.0, "password", "x"), 200, "bad or missing username"},
		{"password that is a number", body("username", "carol", "password", 5.0), 201, "password is required"},
		{"bad address", body("username", "carol", "password", "x", "email", "bad"), 125, "Email address format is invalid."},
		{"address that is a number", body("username", "carol", "password", "x", "email", 5.0), 111, "schema mismatch for _User.email; expected String but got Number"},
		{"emailVerified", body("username", "carol", "password", "x", "emailVerified", true), 119, denied},
		{"authData null", body("username", "carol", "password", "x", "authData", nil), 252, "This authentication method is unsupported."},
		{"authData text", body("authData", "x"), 200, "bad or missing username"},
		{"authData list", body("authData", []any{}), 200, "bad or missing username"},
		{"authData empty", body("authData", body()), 200, "bad or missing username"},
		{"provider null", body("authData", body("anonymous", nil)), 200, "bad or missing username"},
		{"provider empty", body("authData", body("anonymous", body())), 200, "bad or missing username"},
		{"provider id that is a number", body("authData", body("anonymous", body("id", 5.0))), 162, "Invalid authData id for provider 'anonymous'."},
		{"unknown provider", body("authData", body("nope", body("id", "1"))), 252, "This authentication method is unsupported."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.t = t
			_, err := w.create(public, tt.data)
			w.refused(err, tt.code, tt.text)
		})
	}
}

// SDKs send null for an address that was never given.
func TestSignUpWithNullEmail(t *testing.T) {
	w := newWorld(t, Config{})
	for _, name := range []string{"alice", "bob"} {
		u := w.signUp("username", name, "password", "x", "email", nil)
		if u.User.Has("email") {
			t.Errorf("%s has the address %v, want none", name, u.User.Get("email"))
		}
	}
}

func TestSignUpSessions(t *testing.T) {
	w := newWorld(t, Config{})
	bob := w.signUp("username", "bob", "password", "x")
	tests := []struct {
		name   string
		caller *auth.Caller
		want   bool
	}{
		{"public", public, true},
		{"a user", bob, true},
		{"cloud", &auth.Caller{InstallationID: "cloud"}, false},
		{"master key", &auth.Caller{Master: true}, false},
		{"master key of an installation", &auth.Caller{Master: true, InstallationID: "i"}, true},
	}
	for _, tt := range tests {
		saved, err := w.create(tt.caller, body("username", tt.name, "password", "x", "sessionToken", "r:x"))
		if err != nil {
			t.Fatal(err)
		}
		token := saved.Body.String("sessionToken")
		if got := token != ""; got != tt.want || token == "r:x" {
			t.Errorf("%s: answer %s, session = %v, want %v", tt.name, parse.Marshal(saved.Body), got, tt.want)
		}
	}
	if class, _ := w.schemas.Class(schema.UserClass); class.Fields["sessionToken"].Type != "" {
		t.Error("a session token became a field of the class")
	}
}

func TestACL(t *testing.T) {
	all, read := parse.Access{Read: true, Write: true}, parse.Access{Read: true}
	tests := []struct {
		name   string
		cfg    Config
		create []any
		update []any // nil for none
		master bool
		want   func(id string) parse.ACL
	}{
		{"default", Config{}, nil, nil, false, func(id string) parse.ACL { return parse.ACL{id: all} }},
		{"public users", Config{PublicUsers: true}, nil, nil, false, func(id string) parse.ACL { return parse.ACL{id: all, "*": read} }},
		{"given", Config{}, []any{"ACL", parse.ACL{"*": read}}, nil, false, func(id string) parse.ACL { return parse.ACL{id: all, "*": read} }},
		{"empty", Config{PublicUsers: true}, []any{"ACL", parse.ACL{}}, nil, false, func(id string) parse.ACL { return parse.ACL{id: all} }},
		{"update", Config{}, nil, []any{"ACL", parse.ACL{"*": read}}, false, func(id string) parse.ACL { return parse.ACL{id: all, "*": read} }},
		{"update that removes it", Config{}, nil, []any{"ACL", parse.Delete{}}, false, func(id string) parse.ACL { return parse.ACL{id: all} }},
		{"update that says nothing", Config{}, nil, []any{"ACL", nil}, false, func(id string) parse.ACL { return parse.ACL{id: all} }},
		{"update with the master key", Config{}, nil, []any{"ACL", parse.ACL{}}, true, func(id string) parse.ACL { return parse.ACL{} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.cfg)
			u := w.signUp(append([]any{"username", "u", "password", "x"}, tt.create...)...)
			if tt.update != nil {
				caller := u
				if tt.master {
					caller = auth.System
				}
				w.mustUpdate(caller, u.UserID(), tt.update...)
			}
			got, err := w.objects.Get(t.Context(), auth.System, schema.UserClass, u.UserID(), nil)
			if want := tt.want(u.UserID()); err != nil || !parse.Equal(got.Get("ACL"), want) {
				t.Errorf("ACL = %v, %v, want %v", got.Get("ACL"), err, want)
			}
		})
	}
}

func TestLowercase(t *testing.T) {
	w := newWorld(t, Config{LowercaseUsernames: true, LowercaseEmails: true})
	u := w.signUp("username", "Alice", "password", "x", "email", "Alice@Example.com")
	if s := w.stored(u.UserID()); s.Get("username") != "alice" || s.Get("email") != "alice@example.com" {
		t.Errorf("stored %v, %v, want lower case", s.Get("username"), s.Get("email"))
	}
	for _, login := range [][]any{{"username", "ALICE"}, {"email", "alice@EXAMPLE.com"}, {"username", "Alice@Example.com"}} {
		if _, err := w.logIn(append(login, "password", "x")...); err != nil {
			t.Errorf("login by %v: %v", login, err)
		}
	}
}

// Of sign-ups with one name at once, in whatever case, exactly one wins.
func TestConcurrentSignUp(t *testing.T) {
	onEachAdapter(t, func() Config { return Config{} }, func(t *testing.T, w *world) {
		names := []string{"alice", "Alice", "ALICE", "alicE"}
		var mu sync.Mutex
		won := 0
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				_, err := w.create(public, body("username", names[i%len(names)], "password", "x"))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won++
				} else {
					w.refused(err, 202, "Account already exists for this username.")
				}
			})
		}
		wg.Wait()
		if won != 1 {
			t.Errorf("%d sign-ups succeeded, want 1", won)
		}
	})
}

func TestUpdateRefusals(t *testing.T) {
	w := newWorld(t, Config{})
	alice := w.signUp("username", "alice", "password", "x")
	bob := w.signUp("username", "bob", "password", "x", "email", "bob@example.com")
	id := alice.UserID()
	tests := []struct {
		name   string
		caller *auth.Caller
		id     string
		field  string
		value  any
		code   parse.Code
		text   string
	}{
		{"without a session", public, id, "nick", "z", 206, denied},
		{"as another", bob, id, "nick", "z", 206, denied},
		{"a user that is not there", bob, "abcdefghij", "nick", "z", 206, denied},
		{"a user that is not there, with the master key", auth.System, "abcdefghij", "nick", "z", 101, "Object not found."},
		{"emailVerified", alice, id, "emailVerified", true, 119, denied},
		{"name taken", alice, id, "username", "bob", 202, "Account already exists for this username."},
		{"address taken", alice, id, "email", "BOB@example.com", 203, "Account already exists for this email address."},
		{"bad address", alice, id, "email", "bad", 125, "Email address format is invalid."},
		{"password that is a number", alice, id, "password", 5.0, 111, "schema mismatch for _User.password; expected String but got Number"},
		{"password null", alice, id, "password", nil, 201, "password is required"},
		{"password removed", alice, id, "password", parse.Delete{}, 201, "password is required"},
		{"hashed password", alice, id, "_hashed_password", "x", 105, "Invalid field name: _hashed_password."},
		{"authData null", alice, id, "authData", nil, 252, "This authentication method is unsupported."},
		{"authData removed", alice, id, "authData", parse.Delete{}, 252, "This authentication method is unsupported."},
		{"authData text", alice, id, "authData", "x", 252, "This authentication method is unsupported."},
		{"authData number", alice, id, "authData", 5.0, 111, "schema mismatch for _User.authData; expected Object but got Number"},
		{"authData by a dotted key", alice, id, "authData.anonymous", body("id", "q"), 105, "Invalid field name for update: authData.anonymous"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.t = t
			_, err := w.update(tt.caller, tt.id, tt.field, tt.value)
			w.refused(err, tt.code, tt.text)
		})
	}
}

func TestUpdate(t *testing.T) {
	w := newWorld(t, Config{})
	alice := w.signUp("username", "alice", "password", "x")
	id := alice.UserID()
	for name, fields := range map[string][]any{
		"a field": {"nick", "m"}, "the own name": {"username", "alice"}, "an address": {"email", "alice@example.com"},
		"no address": {"email", parse.Delete{}}, "no authData": {"authData", body()},
	} {
		if got := w.mustUpdate(alice, id, fields...).Keys(); !cmp.Equal(got, []string{"updatedAt"}) {
			t.Errorf("%s: members of the answer = %v, want updatedAt", name, got)
		}
	}
	if got := w.mustUpdate(auth.System, id, "emailVerified", true).Keys(); !cmp.Equal(got, []string{"updatedAt"}) {
		t.Errorf("emailVerified with the master key: members of the answer = %v, want updatedAt", got)
	}
}

// A changed user is seen by its sessions at once.
func TestUpdateShowsInSessions(t *testing.T) {
	w := newWorld(t, Config{})
	alice := w.signUp("username", "alice", "password", "x")
	w.mustUpdate(alice, alice.UserID(), "nick", "new")
	if got := w.caller(alice.SessionToken).User.Get("nick"); got != "new" {
		t.Errorf("nick of the caller = %v, want new", got)
	}
}

func TestDelete(t *testing.T) {
	w := newWorld(t, Config{})
	alice, bob := w.signUp("username", "alice", "password", "x"), w.signUp("username", "bob", "password", "x")
	remove := func(c *auth.Caller, id string) error { return w.objects.Delete(t.Context(), c, schema.UserClass, id) }
	w.refused(remove(public, alice.UserID()), 206, "Insufficient auth to delete user")
	w.refused(remove(public, "abcdefghij"), 206, "Insufficient auth to delete user")
	w.refused(remove(bob, alice.UserID()), 206, denied)
	w.refused(remove(bob, "abcdefghij"), 206, denied)
	if err := remove(alice, alice.UserID()); err != nil {
		t.Error(err)
	}
	_, _, err := w.sessions.Resolve(t.Context(), alice.SessionToken)
	w.refused(err, 209, "Invalid session token")
	class, _ := w.schemas.Class(schema.SessionClass)
	if n, err := w.store.Count(t.Context(), class, nil); n != 1 || err != nil {
		t.Errorf("%d sessions are left, %v, want that of bob", n, err)
	}
	if err := remove(auth.System, bob.UserID()); err != nil {
		t.Error(err)
	}
	w.refused(remove(auth.System, bob.UserID()), 101, "Object not found.")
}

// A new password ends all sessions, and its caller gets another one.
func TestPasswordChange(t *testing.T) {
	tests := []struct {
		name    string
		cfg     Config
		caller  func(alice *auth.Caller) *auth.Caller
		kept    bool // whether the old sessions are good
		session bool // whether the answer brings a new one
	}{
		{"by the user", Config{}, func(a *auth.Caller) *auth.Caller { return a }, false, true},
		{"by the user, sessions kept", Config{KeepSessionsOnPasswordChange: true}, func(a *auth.Caller) *auth.Caller { return a }, true, true},
		{"by the master key", Config{}, func(*auth.Caller) *auth.Caller { return auth.System }, false, false},
		{"by the maintenance key", Config{}, func(*auth.Caller) *auth.Caller { return &auth.Caller{Maintenance: true} }, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.cfg)
			alice := w.signUp("username", "alice", "password", "old")
			other, err := w.logIn("username", "alice", "password", "old")
			if err != nil {
				t.Fatal(err)
			}
			tokens := []string{alice.SessionToken, other.String("sessionToken")}
			for _, token := range tokens {
				w.caller(token)
			}
			answer := w.mustUpdate(tt.caller(alice), alice.UserID(), "password", "new")
			if got := answer.Has("sessionToken"); got != tt.session {
				t.Errorf("answer %s, session = %v, want %v", parse.Marshal(answer), got, tt.session)
			}
			if tt.session {
				caller := w.caller(answer.String("sessionToken"))
				s, err := w.sessions.Me(t.Context(), w.objects, caller, caller.SessionToken)
				if err != nil || s.Has("createdWith") {
					t.Errorf("its session = %s, %v, want no createdWith", parse.Marshal(s), err)
				}
			}
			for _, token := range tokens {
				_, _, err := w.sessions.Resolve(t.Context(), token)
				if tt.kept && err != nil {
					t.Errorf("an old session: %v, want it to be good", err)
				}
				if !tt.kept {
					w.refused(err, 209, "Invalid session token")
				}
			}
			_, err = w.logIn("username", "alice", "password", "old")
			w.refused(err, 101, badLogin)
			if _, err := w.logIn("username", "alice", "password", "new"); err != nil {
				t.Errorf("login with the new password: %v", err)
			}
		})
	}
}

// A change of password or address makes the token of a reset mail worthless.
func TestResetTokenGoes(t *testing.T) {
	for _, field := range []string{"password", "email"} {
		w := newWorld(t, Config{})
		alice := w.signUp("username", "alice", "password", "old")
		if _, err := w.users.change(t.Context(), w.store, is("objectId", alice.UserID()), body("_perishable_token", "t")); err != nil {
			t.Fatal(err)
		}
		w.mustUpdate(alice, alice.UserID(), field, "a@example.com")
		if w.stored(alice.UserID()).Get("_perishable_token") != nil {
			t.Errorf("change of %s: the token is still there", field)
		}
	}
}

// In a batch that fails, nothing of a sign-up stays.
func TestSignUpInTransaction(t *testing.T) {
	w := newWorld(t, Config{})
	var token string
	err := w.objects.Transact(t.Context(), func(ctx context.Context, tx *object.Objects) error {
		saved, err := tx.Create(ctx, public, schema.UserClass, body("username", "alice", "password", "x"))
		if err != nil {
			return err
		}
		token = saved.Body.String("sessionToken")
		return parse.ObjectNotFound
	})
	if err == nil || !regexp.MustCompile(`^r:`).MatchString(token) {
		t.Fatalf("Transact = %v, token %q", err, token)
	}
	_, _, err = w.sessions.Resolve(t.Context(), token)
	w.refused(err, 209, "Invalid session token")
	w.signUp("username", "alice", "password", "x")
}

package user

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/schema"
)

// The recorded answers of GET and POST /login.
func TestLogIn(t *testing.T) {
	w := newWorld(t, Config{})
	alice := w.signUp("username", "alice", "password", "pw1", "email", "alice@example.com", "nick", "n")
	w.signUp("username", "bob", "password", "pw2")
	stored := w.stored(alice.UserID())
	tests := []struct {
		name         string
		body, params *parse.Map
		code         parse.Code
		text         string
	}{
		{"by name", body("username", "alice", "password", "pw1"), nil, 0, ""},
		{"by GET", body(), body("username", "alice", "password", "pw1"), 0, ""},
		{"by GET without a body", nil, body("username", "alice", "password", "pw1"), 0, ""},
		{"by address", body("email", "alice@example.com", "password", "pw1"), nil, 0, ""},
		{"by address in place of the name", body("username", "alice@example.com", "password", "pw1"), nil, 0, ""},
		{"by both", body("username", "alice", "email", "alice@example.com", "password", "pw1"), nil, 0, ""},
		{"by both of two users", body("username", "bob", "email", "alice@example.com", "password", "pw2"), nil, 101, badLogin},
		{"in another case", body("username", "Alice", "password", "pw1"), nil, 101, badLogin},
		{"wrong password", body("username", "alice", "password", "no"), nil, 101, badLogin},
		{"unknown user", body("username", "nobody", "password", "no"), nil, 101, badLogin},
		{"nothing", body(), nil, 200, "username/email is required."},
		{"no password", body("username", "alice"), nil, 201, "password is required."},
		{"empty password", body("username", "alice", "password", ""), nil, 201, "password is required."},
		{"name that is a number", body("username", 5.0, "password", "x"), nil, 101, badLogin},
		{"password that is an object", body("username", "alice", "password", body("$ne", "x")), nil, 101, badLogin},
		{"name that is an object", body("username", body("$ne", "x"), "password", "x"), nil, 101, badLogin},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.t = t
			got, err := w.users.LogIn(t.Context(), w.objects, public, tt.body, tt.params)
			if tt.code != 0 {
				w.refused(err, tt.code, tt.text)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			token := got.String("sessionToken")
			want := parse.NewObject(schema.UserClass, "objectId", alice.UserID(), "createdAt", stored.Get("createdAt"), "updatedAt", stored.Get("updatedAt"),
				"username", "alice", "email", "alice@example.com", "nick", "n", "ACL", parse.ACL{alice.UserID(): {Read: true, Write: true}},
				"sessionToken", token)
			if !got.Equal(want) {
				t.Errorf("LogIn = %s, want %s", parse.Marshal(got), parse.Marshal(want))
			}
			if keys := got.Keys(); keys[len(keys)-1] != "sessionToken" {
				t.Errorf("members of the answer = %v, want sessionToken last", keys)
			}
			w.caller(token)
		})
	}
}

func TestLogInSession(t *testing.T) {
	w := newWorld(t, Config{})
	w.signUp("username", "alice", "password", "x")
	for _, tt := range []struct{ header, want any }{{"i", "i"}, {"", nil}, {"cloud", nil}} {
		user, err := w.users.LogIn(t.Context(), w.objects, &auth.Caller{InstallationID: tt.header.(string)}, body("username", "alice", "password", "x"), nil)
		if err != nil {
			t.Fatal(err)
		}
		s, err := w.sessions.Me(t.Context(), w.objects, public, user.String("sessionToken"))
		if err != nil || s.Get("installationId") != tt.want || !parse.Equal(s.Get("createdWith"), body("action", "login", "authProvider", "password")) {
			t.Errorf("login from %q: session %s, %v, want installation %v", tt.header, parse.Marshal(s), err, tt.want)
		}
	}
}

// A name that is the address of somebody else belongs to the user of that name.
func TestLogInAmbiguous(t *testing.T) {
	w := newWorld(t, Config{})
	w.signUp("username", "alice", "password", "pw1", "email", "shared@example.com")
	bob := w.signUp("username", "shared@example.com", "password", "pw2")
	got, err := w.logIn("username", "shared@example.com", "password", "pw2")
	if err != nil || got.ID() != bob.UserID() {
		t.Errorf("LogIn = %v, %v, want bob", got, err)
	}
	_, err = w.logIn("username", "shared@example.com", "password", "pw1")
	w.refused(err, 101, badLogin)
}

// Whether there is a user, and whether it has a password, costs the same: one comparison.
func TestLogInCostsOneComparison(t *testing.T) {
	w := newWorld(t, Config{})
	w.signUp("username", "alice", "password", "x")
	guest := w.signUp("authData", body("anonymous", body("id", "a1")))
	for _, name := range []string{"alice", "nobody", guest.User.String("username")} {
		before := w.compares.Load()
		_, err := w.logIn("username", name, "password", "no")
		w.refused(err, 101, badLogin)
		if n := w.compares.Load() - before; n != 1 {
			t.Errorf("login as %s took %d comparisons, want 1", name, n)
		}
	}
}

func TestLockedOutUser(t *testing.T) {
	w := newWorld(t, Config{})
	hank := w.signUp("username", "hank", "password", "x")
	w.mustUpdate(auth.System, hank.UserID(), "ACL", parse.ACL{})
	_, err := w.logIn("username", "hank", "password", "x")
	w.refused(err, 101, badLogin)
	got, err := w.users.LogIn(t.Context(), w.objects, auth.System, body("username", "hank", "password", "x"), nil)
	if err != nil || !parse.Equal(got.Get("ACL"), parse.ACL{}) {
		t.Errorf("LogIn with the master key = %v, %v, want the user", got, err)
	}
}

// A user that class-level permissions hide from itself logs in and reads its id alone.
func TestLogInHidden(t *testing.T) {
	w := newWorld(t, Config{})
	alice := w.signUp("username", "alice", "password", "x")
	everybody := body("*", true)
	clp := body("classLevelPermissions", body("get", body(), "find", everybody, "count", everybody, "create", everybody, "update", everybody,
		"delete", everybody, "addField", everybody))
	if _, err := w.schemas.Modify(t.Context(), schema.UserClass, clp); err != nil {
		t.Fatal(err)
	}
	got, err := w.logIn("username", "alice", "password", "x")
	if err != nil || !cmp.Equal(got.Keys(), []string{"objectId", "sessionToken"}) || got.ID() != alice.UserID() {
		t.Errorf("LogIn = %v, %v, want objectId and sessionToken", got, err)
	}
}

// A user that may read itself through a role reads itself in a login too.
func TestLogInSeesThroughRoles(t *testing.T) {
	w := newWorld(t, Config{})
	alice := w.signUp("username", "alice", "password", "x")
	members := parse.AddRelation{Objects: []parse.Pointer{{ClassName: schema.UserClass, ObjectID: alice.UserID()}}}
	if _, err := w.objects.Create(t.Context(), auth.System, schema.RoleClass, body("name", "Staff", "ACL", parse.ACL{}, "users", members)); err != nil {
		t.Fatal(err)
	}
	everybody := body("*", true)
	clp := body("classLevelPermissions", body("get", body("role:Staff", true), "find", everybody, "count", everybody, "create", everybody,
		"update", everybody, "delete", everybody, "addField", everybody))
	if _, err := w.schemas.Modify(t.Context(), schema.UserClass, clp); err != nil {
		t.Fatal(err)
	}
	got, err := w.logIn("username", "alice", "password", "x")
	if err != nil || got.Get("username") != "alice" {
		t.Errorf("LogIn = %v, %v, want all of alice", got, err)
	}
}

func TestVerifyPassword(t *testing.T) {
	w := newWorld(t, Config{AccountLockout: &AccountLockout{Threshold: 1, Duration: 5}})
	alice := w.signUp("username", "alice", "password", "x")
	verify := func(params *parse.Map) (*parse.Object, error) {
		return w.users.VerifyPassword(t.Context(), w.objects, public, nil, params)
	}
	got, err := verify(body("username", "alice", "password", "x"))
	if err != nil || got.ID() != alice.UserID() || got.Has("sessionToken") {
		t.Errorf("VerifyPassword = %v, %v, want alice without a session", got, err)
	}
	_, err = verify(body())
	w.refused(err, 200, "username/email is required.")
	_, err = verify(body("username", "alice", "password", "no"))
	w.refused(err, 101, badLogin)
	_, err = verify(body("username", "alice", "password", "no"))
	w.refused(err, 101, fmt.Sprintf(lockedText, "5"))
}

const lockedText = "Your account is locked due to multiple failed login attempts. Please try again after %s minute(s)"

func TestLockout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{AccountLockout: &AccountLockout{Threshold: 2, Duration: 0.5}})
		alice := w.signUp("username", "alice", "password", "x")
		bob := w.signUp("username", "bob", "password", "x")
		locked := fmt.Sprintf(lockedText, "0.5")
		login := func(password, want string) {
			t.Helper()
			_, err := w.logIn("username", "alice", "password", password)
			if want != "" {
				w.refused(err, 101, want)
			} else if err != nil {
				t.Errorf("login: %v", err)
			}
		}
		login("no", badLogin)
		login("x", "") // counts anew
		if got := w.stored(alice.UserID()).Get("_failed_login_count"); got != 0.0 {
			t.Errorf("_failed_login_count after a login = %v, want 0", got)
		}
		login("no", badLogin)
		login("no", badLogin)
		login("no", locked)
		login("x", locked)
		if _, err := w.logIn("username", "bob", "password", "x"); err != nil {
			t.Errorf("login of another user: %v", err)
		}
		if w.stored(bob.UserID()).Has("_failed_login_count") {
			t.Error("a login without a wrong password wrote a counter")
		}
		time.Sleep(30 * time.Second)
		login("x", "")
		login("no", badLogin)
	})
}

// Of wrong passwords at once, exactly the threshold is not told that the account is locked.
func TestConcurrentLockout(t *testing.T) {
	onEachAdapter(t, func() Config { return Config{AccountLockout: &AccountLockout{Threshold: 3, Duration: 5}} }, func(t *testing.T, w *world) {
		w.signUp("username", "alice", "password", "x")
		var wrong, locked atomic.Int64
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				_, err := w.logIn("username", "alice", "password", "no")
				var told *parse.Error
				switch errors.As(err, &told); {
				case told != nil && told.Message == badLogin:
					wrong.Add(1)
				case told != nil && told.Message == fmt.Sprintf(lockedText, "5"):
					locked.Add(1)
				}
			})
		}
		wg.Wait()
		if wrong.Load() != 3 || locked.Load() != 17 {
			t.Errorf("%d wrong and %d locked, want 3 and 17", wrong.Load(), locked.Load())
		}
		_, err := w.logIn("username", "alice", "password", "x")
		w.refused(err, 101, fmt.Sprintf(lockedText, "5"))
	})
}

func TestUnverifiedEmail(t *testing.T) {
	sometimes := func(_ context.Context, ask *Ask) (bool, error) {
		return ask.User.String("username") != "trusted", nil
	}
	cfg := Config{VerifyUserEmails: Always, PreventLoginWithUnverifiedEmail: sometimes, EmailVerifyTokenValidity: 3600}
	w := newWorld(t, cfg)
	saved, err := w.create(public, body("username", "alice", "password", "x", "email", "a@example.com"))
	if err != nil || saved.Body.Has("sessionToken") {
		t.Errorf("sign-up = %v, %v, want no session", saved, err)
	}
	id := saved.Body.String("objectId")
	stored := w.stored(id)
	if stored.Get("emailVerified") != false || len(stored.String("_email_verify_token")) != 25 || stored.Get("_email_verify_token_expires_at") == nil {
		t.Errorf("stored = %s, want an address to be verified", parse.Marshal(stored))
	}
	const unverified = "User email is not verified."
	_, err = w.logIn("username", "alice", "password", "x")
	w.refused(err, 205, unverified)
	_, err = w.logIn("username", "alice", "password", "no")
	w.refused(err, 101, badLogin)
	_, err = w.logIn("username", "alice", "password", "x", "ignoreEmailVerification", true)
	w.refused(err, 205, unverified)
	if _, err := w.users.LogIn(t.Context(), w.objects, auth.System, body("username", "alice", "password", "x", "ignoreEmailVerification", true), nil); err != nil {
		t.Errorf("login with the master key that ignores it: %v", err)
	}
	w.mustUpdate(auth.System, id, "emailVerified", true)
	if _, err := w.logIn("username", "alice", "password", "x"); err != nil {
		t.Errorf("login after the verification: %v", err)
	}
	w.signUp("username", "trusted", "password", "x", "email", "t@example.com")

	cfg.PreventSignupWithUnverifiedEmail = true
	w = newWorld(t, cfg)
	_, err = w.create(public, body("username", "alice", "password", "x", "email", "a@example.com"))
	w.refused(err, 205, unverified)
	_, err = w.create(public, body("username", "alice", "password", "x"))
	w.refused(err, 202, "Account already exists for this username.") // stored all the same
}

func TestLogInAs(t *testing.T) {
	w := newWorld(t, Config{AccountLockout: &AccountLockout{Threshold: 1, Duration: 5}})
	alice := w.signUp("username", "alice", "password", "x", "email", "alice@example.com")
	as := func(c *auth.Caller, body, params *parse.Map) (*parse.Object, error) {
		return w.users.LogInAs(t.Context(), w.objects, c, body, params)
	}
	master := &auth.Caller{Master: true, InstallationID: "cloud"}
	for name, got := range map[string]func() (*parse.Object, error){
		"body":  func() (*parse.Object, error) { return as(master, body("userId", alice.UserID()), nil) },
		"query": func() (*parse.Object, error) { return as(master, nil, body("userId", alice.UserID())) },
	} {
		user, err := got()
		if err != nil || user.ID() != alice.UserID() || user.Get("email") != "alice@example.com" {
			t.Fatalf("%s: LogInAs = %v, %v, want alice", name, user, err)
		}
		s, err := w.sessions.Me(t.Context(), w.objects, public, user.String("sessionToken"))
		if err != nil || !parse.Equal(s.Get("createdWith"), body("action", "login", "authProvider", "masterkey")) || s.Has("installationId") {
			t.Errorf("%s: session = %s, %v", name, parse.Marshal(s), err)
		}
	}
	for _, tt := range []struct {
		name   string
		caller *auth.Caller
		id     any
		code   parse.Code
		text   string
	}{
		{"public", public, alice.UserID(), 119, denied},
		{"read-only key", &auth.Caller{Master: true, ReadOnly: true}, alice.UserID(), 119, denied},
		{"maintenance key", &auth.Caller{Maintenance: true}, alice.UserID(), 119, denied},
		{"unknown user", master, "abcdefghij", 101, "user not found"},
		{"nobody", master, nil, 162, "userId must not be empty, null, or undefined"},
		{"empty id", master, "", 162, "userId must not be empty, null, or undefined"},
		{"number", master, 5.0, 162, "userId must be a string"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.t = t
			_, err := as(tt.caller, body("userId", tt.id), nil)
			w.refused(err, tt.code, tt.text)
		})
	}
}

func TestMe(t *testing.T) {
	w := newWorld(t, Config{})
	alice := w.signUp("username", "alice", "password", "x")
	got, err := w.users.Me(t.Context(), w.objects, alice)
	if err != nil || got.ID() != alice.UserID() || got.Get("sessionToken") != alice.SessionToken {
		t.Errorf("Me = %v, %v, want alice and her token", got, err)
	}
	got, err = w.users.Me(t.Context(), w.objects, &auth.Caller{Master: true, SessionToken: alice.SessionToken})
	if err != nil || got.ID() != alice.UserID() {
		t.Errorf("Me with the master key = %v, %v, want alice", got, err)
	}
	for _, c := range []*auth.Caller{public, auth.System, {Master: true, SessionToken: "r:0"}} {
		_, err := w.users.Me(t.Context(), w.objects, c)
		w.refused(err, 209, denied)
	}
}

func TestLogOut(t *testing.T) {
	w := newWorld(t, Config{})
	alice := w.signUp("username", "alice", "password", "x")
	if err := w.users.LogOut(t.Context(), w.objects, public); err != nil {
		t.Errorf("logout of nobody: %v", err)
	}
	if err := w.users.LogOut(t.Context(), w.objects, alice); err != nil {
		t.Error(err)
	}
	_, _, err := w.sessions.Resolve(t.Context(), alice.SessionToken)
	w.refused(err, 209, "Invalid session token")
}

func TestMailIsNotConfigured(t *testing.T) {
	w := newWorld(t, Config{})
	const text = "An appName, publicServerURL, and emailAdapter are required for password reset and email verification functionality."
	w.refused(w.users.RequestPasswordReset(t.Context(), w.objects, body("email", "a@example.com")), 1, text)
	w.refused(w.users.RequestVerificationEmail(t.Context(), w.objects, body()), 1, text)
}

// bcrypt looks at 72 bytes; what was hashed elsewhere with $2b$ or $2y$ is the same.
func TestPasswordHashes(t *testing.T) {
	p := newPasswords()
	p.cost = 4
	long := strings.Repeat("ä", 36) // 72 bytes
	hash, err := p.Hash(t.Context(), long+"more")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		password, hash string
		want           bool
	}{
		{long, hash, true},
		{long + "other", hash, true},
		{long[:70], hash, false},
		{long, "$2b" + hash[3:], true},
		{long, "$2y" + hash[3:], true},
		{"", hash, false},
		{"x", "", false},
		{"x", "no hash", false},
	}
	for _, tt := range tests {
		if got, err := p.Matches(t.Context(), tt.password, tt.hash); err != nil || got != tt.want {
			t.Errorf("Matches(%.10q…, %q) = %v, %v, want %v", tt.password, tt.hash, got, err, tt.want)
		}
	}
}

// The hash that unknown users are compared with costs as much as all others.
func TestNobodyCostsTheSame(t *testing.T) {
	if got, want := nobody[:7], fmt.Sprintf("$2a$%02d$", hashCost); got != want {
		t.Errorf("the hash of nobody begins with %q, want %q", got, want)
	}
	p := newPasswords()
	if ok, err := p.Matches(t.Context(), "x", nobody); ok || err != nil {
		t.Errorf("Matches = %v, %v, want false", ok, err)
	}
}

// No more hashes are made at once than there are slots, and who waits can give up.
func TestHashesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPasswords()
		p.slots = make(chan struct{}, 2)
		var running, most atomic.Int64
		p.hash = func([]byte, int) ([]byte, error) {
			n := running.Add(1)
			defer running.Add(-1)
			for {
				m := most.Load()
				if n <= m || most.CompareAndSwap(m, n) {
					break
				}
			}
			time.Sleep(time.Second)
			return nil, nil
		}
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { p.Hash(t.Context(), "x") })
		}
		impatient, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		synctest.Wait()
		if _, err := p.Hash(impatient, "x"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Hash of who does not wait = %v, want %v", err, context.DeadlineExceeded)
		}
		wg.Wait()
		if most.Load() != 2 {
			t.Errorf("%d hashes at once, want 2", most.Load())
		}
	})
}

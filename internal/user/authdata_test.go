package user

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/schema"
)

// recorder is an adapter that writes down what it is asked and answers as it is told.
type recorder struct {
	NoHooks
	calls  []string
	policy Policy
	result AuthResult
	err    error
	appErr error
}

func (r *recorder) Policy(*AuthRequest, *parse.Map) Policy { return r.policy }

func (r *recorder) ValidateAppID(context.Context, *parse.Map, *AuthRequest) error { return r.appErr }

func (r *recorder) note(step string, data *parse.Map, ask *AuthRequest) (AuthResult, error) {
	user := "nobody"
	if ask.User != nil {
		user = ask.User.String("username")
	}
	r.calls = append(r.calls, fmt.Sprintf("%s %s %s", step, parse.Marshal(data), user))
	return r.result, r.err
}

func (r *recorder) ValidateSetUp(_ context.Context, data *parse.Map, ask *AuthRequest) (AuthResult, error) {
	return r.note("setup", data, ask)
}
func (r *recorder) ValidateLogin(_ context.Context, data *parse.Map, ask *AuthRequest) (AuthResult, error) {
	return r.note("login", data, ask)
}
func (r *recorder) ValidateUpdate(_ context.Context, data *parse.Map, ask *AuthRequest) (AuthResult, error) {
	return r.note("update", data, ask)
}

// took returns the calls since it was last asked.
func (r *recorder) took() []string {
	calls := r.calls
	r.calls = nil
	return calls
}

// The recorded answers to anonymous users.
func TestAnonymous(t *testing.T) {
	w := newWorld(t, Config{})
	data := func() *parse.Map { return body("authData", body("anonymous", body("id", "anon-1"))) }
	first, err := w.create(&auth.Caller{InstallationID: "i"}, data())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := first.Body.Keys(), []string{"objectId", "createdAt", "username", "sessionToken", "authDataResponse"}; !cmp.Equal(got, want) {
		t.Errorf("members of the answer = %v, want %v", got, want)
	}
	id, name := first.Body.String("objectId"), first.Body.String("username")
	if len(name) != 25 || first.Status != 201 || !parse.Equal(first.Body.Get("authDataResponse"), body()) {
		t.Errorf("answer %d %s, want a name of 25 characters and an empty authDataResponse", first.Status, parse.Marshal(first.Body))
	}
	stored := w.stored(id)
	if !parse.Equal(stored.Get("_auth_data_anonymous"), body("id", "anon-1")) || stored.Has("authData") {
		t.Errorf("stored = %s", parse.Marshal(stored))
	}
	s, err := w.sessions.Me(t.Context(), w.objects, public, first.Body.String("sessionToken"))
	if err != nil || !parse.Equal(s.Get("createdWith"), body("action", "signup", "authProvider", "anonymous")) {
		t.Errorf("session of the sign-up = %s, %v", parse.Marshal(s), err)
	}

	again, err := w.create(public, data())
	if err != nil {
		t.Fatal(err)
	}
	date := stored.Get("createdAt").(parse.Date).String()
	want := body("objectId", id, "createdAt", date, "updatedAt", date, "username", name, "authData", body("anonymous", body("id", "anon-1")),
		"ACL", parse.ACL{id: {Read: true, Write: true}}, "sessionToken", again.Body.Get("sessionToken"), "authDataResponse", body())
	if !again.Body.Equal(want) || !cmp.Equal(again.Body.Keys(), want.Keys()) || again.Status != 200 || again.Location != "/users/"+id {
		t.Errorf("the second answer = %d %s, want 200 %s", again.Status, parse.Marshal(again.Body), parse.Marshal(want))
	}
	s, err = w.sessions.Me(t.Context(), w.objects, public, again.Body.String("sessionToken"))
	if err != nil || !parse.Equal(s.Get("createdWith"), body("action", "login", "authProvider", "anonymous")) {
		t.Errorf("session of the login = %s, %v", parse.Marshal(s), err)
	}
	if !parse.Equal(w.stored(id).Get("updatedAt"), stored.Get("updatedAt")) {
		t.Error("the login changed the user")
	}
}

func TestNoAnonymousUsers(t *testing.T) {
	w := newWorld(t, Config{NoAnonymousUsers: true})
	_, err := w.create(public, body("authData", body("anonymous", body("id", "a"))))
	w.refused(err, 252, "This authentication method is unsupported.")
}

// Of anonymous sign-ups with one id at once one makes the user, and every session is of that user.
func TestConcurrentAnonymous(t *testing.T) {
	onEachAdapter(t, func() Config { return Config{} }, func(t *testing.T, w *world) {
		var made atomic.Int64
		var users sync.Map
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				saved, err := w.create(public, body("authData", body("anonymous", body("id", "one"))))
				if err != nil {
					w.refused(err, 208, "this auth is already used")
					return
				}
				if saved.Status == 201 {
					made.Add(1)
				}
				users.Store(saved.Body.String("objectId"), true)
			})
		}
		wg.Wait()
		n := 0
		users.Range(func(any, any) bool { n++; return true })
		if made.Load() != 1 || n != 1 {
			t.Errorf("%d users made, %d users logged in, want 1 and 1", made.Load(), n)
		}
	})
}

// Link, see, clash, unlink: the recorded answers.
func TestLink(t *testing.T) {
	w := newWorld(t, Config{})
	anon := w.signUp("authData", body("anonymous", body("id", "anon-1")))
	bob := w.signUp("username", "bob", "password", "x")
	answer := body("updatedAt", nil, "authDataResponse", body())
	link := func(c *auth.Caller, data any) (*parse.Map, error) {
		saved, err := w.update(c, bob.UserID(), "authData", body("anonymous", data))
		if err != nil {
			return nil, err
		}
		return saved.Body, nil
	}
	got, err := link(bob, body("id", "link-1"))
	if err != nil || !cmp.Equal(got.Keys(), answer.Keys()) {
		t.Errorf("link = %v, %v, want %v", got, err, answer.Keys())
	}
	for _, tt := range []struct {
		name   string
		caller *auth.Caller
		want   any
	}{
		{"its user", bob, body("anonymous", body("id", "link-1"))},
		{"the master key", auth.System, body("anonymous", body("id", "link-1"))},
	} {
		o, err := w.objects.Get(t.Context(), tt.caller, schema.UserClass, bob.UserID(), nil)
		if err != nil || !parse.Equal(o.Get("authData"), tt.want) {
			t.Errorf("authData for %s = %v, %v, want %v", tt.name, o, err, tt.want)
		}
	}
	w.mustUpdate(auth.System, bob.UserID(), "ACL", parse.ACL{parse.Public: {Read: true}, bob.UserID(): {Read: true, Write: true}})
	if o, err := w.objects.Get(t.Context(), anon, schema.UserClass, bob.UserID(), nil); err != nil || o.Has("authData") {
		t.Errorf("another user reads %v, %v, want no authData", o, err)
	}
	_, err = link(bob, body("id", "anon-1"))
	w.refused(err, 208, "this auth is already used")
	_, err = link(public, body("id", "link-2"))
	w.refused(err, 206, denied)
	_, err = w.update(bob, bob.UserID(), "authData", body("nope", body("id", "1")))
	w.refused(err, 252, "This authentication method is unsupported.")
	if got, err = link(bob, nil); err != nil || !cmp.Equal(got.Keys(), answer.Keys()) {
		t.Errorf("unlink = %v, %v, want %v", got, err, answer.Keys())
	}
	if w.stored(bob.UserID()).Get("_auth_data_anonymous") != nil {
		t.Error("authData is still stored after the unlink")
	}
	if _, err = link(bob, body("id", "link-1")); err != nil {
		t.Errorf("link what was unlinked: %v", err)
	}
}

// An anonymous user takes a name and a password and is anonymous no more.
func TestUpgradeAnonymous(t *testing.T) {
	w := newWorld(t, Config{})
	anon := w.signUp("authData", body("anonymous", body("id", "anon-1")))
	got := w.mustUpdate(anon, anon.UserID(), "username", "kate", "password", "pw", "authData", body("anonymous", nil))
	if want := []string{"updatedAt", "sessionToken", "authDataResponse"}; !cmp.Equal(got.Keys(), want) {
		t.Errorf("members of the answer = %v, want %v", got.Keys(), want)
	}
	user, err := w.logIn("username", "kate", "password", "pw")
	if err != nil || user.ID() != anon.UserID() || user.Has("authData") {
		t.Errorf("LogIn = %v, %v, want the same user without authData", user, err)
	}
	again, err := w.create(public, body("authData", body("anonymous", body("id", "anon-1"))))
	if err != nil || again.Status != 201 {
		t.Errorf("the id again = %v, %v, want a new user", again, err)
	}
}

func TestSignUpWithNameAndAuthData(t *testing.T) {
	w := newWorld(t, Config{})
	saved, err := w.create(public, body("username", "judy", "password", "pw", "authData", body("anonymous", body("id", "a"))))
	if want := []string{"objectId", "createdAt", "sessionToken", "authDataResponse"}; err != nil || !cmp.Equal(saved.Body.Keys(), want) {
		t.Errorf("answer = %v, %v, want %v", saved, err, want)
	}
	saved, err = w.create(public, body("username", "uz", "password", "pw", "authData", body("anonymous", nil)))
	if err != nil || saved.Status != 201 {
		t.Errorf("sign-up beside a provider that is null = %v, %v, want 201", saved, err)
	}
}

// Who is logged in and names authData of nobody makes a user and stays who they are; of themselves, they are told so.
func TestAuthDataOfWhoIsLoggedIn(t *testing.T) {
	w := newWorld(t, Config{})
	bob := w.signUp("authData", body("anonymous", body("id", "b")))
	saved, err := w.create(bob, body("authData", body("anonymous", body("id", "c"))))
	if err != nil || saved.Status != 201 || saved.Body.Has("sessionToken") {
		t.Errorf("authData of nobody = %v, %v, want 201 without a session", saved, err)
	}
	saved, err = w.create(bob, body("authData", body("anonymous", body("id", "b"))))
	if err != nil || saved.Status != 200 || saved.Body.Get("objectId") != bob.UserID() {
		t.Errorf("authData of oneself = %v, %v, want 200 and oneself", saved, err)
	}
	_, err = w.create(bob, body("authData", body("anonymous", body("id", "c"))))
	w.refused(err, 208, "this auth is already used")
}

// Which hook is asked when, and what becomes of its answer.
func TestHooks(t *testing.T) {
	r := &recorder{}
	w := newWorld(t, Config{Auth: map[string]AuthAdapter{"acme": r}})
	data := func(token string) *parse.Map { return body("acme", body("id", "1", "token", token)) }

	alice := w.signUp("username", "alice", "password", "x", "authData", data("t1"))
	expect := func(step string, want ...string) {
		t.Helper()
		if got := r.took(); !cmp.Equal(got, want) && (len(got) > 0 || len(want) > 0) {
			t.Errorf("%s: calls %q, want %q", step, got, want)
		}
	}
	expect("sign-up", `setup {"id":"1","token":"t1"} nobody`)

	if _, err := w.create(public, body("authData", data("t1"))); err != nil {
		t.Fatal(err)
	}
	expect("login with what is stored", `login {"id":"1","token":"t1"} alice`)

	if _, err := w.create(public, body("authData", body("acme", body("id", "1")))); err != nil {
		t.Fatal(err)
	}
	expect("login with the id alone", `login {"id":"1"} alice`)
	if got := w.stored(alice.UserID()).Get("_auth_data_acme"); !parse.Equal(got, body("id", "1")) {
		t.Errorf("stored after it: %v", got)
	}

	w.mustUpdate(alice, alice.UserID(), "authData", data("t2"))
	expect("update", `update {"id":"1","token":"t2"} alice`)
	w.mustUpdate(alice, alice.UserID(), "authData", data("t2"))
	expect("update that repeats what is stored")
	w.mustUpdate(alice, alice.UserID(), "authData", body("acme", body("token", "t3")))
	expect("update without an id", `update {"token":"t3"} alice`)
	w.mustUpdate(auth.System, alice.UserID(), "authData", data("t4"))
	expect("update with the master key", `update {"id":"1","token":"t4"} alice`)

	r.result = AuthResult{Response: body("next", "go"), Save: body("id", "1", "secret", "s")}
	saved, err := w.create(public, body("authData", data("t5")))
	if err != nil || !parse.Equal(saved.Body.Get("authDataResponse"), body("acme", body("next", "go"))) {
		t.Errorf("login = %v, %v, want the response of the adapter", saved, err)
	}
	if got := w.stored(alice.UserID()).Get("_auth_data_acme"); !parse.Equal(got, body("id", "1", "secret", "s")) {
		t.Errorf("stored %s, want what the adapter saves", parse.Marshal(got))
	}
	r.result = AuthResult{DoNotSave: true}
	if _, err := w.create(public, body("authData", data("t6"))); err != nil {
		t.Fatal(err)
	}
	if got := w.stored(alice.UserID()).Get("_auth_data_acme"); !parse.Equal(got, body("id", "1", "secret", "s")) {
		t.Errorf("stored %s, want what was there", parse.Marshal(got))
	}
	expect("logins", `login {"id":"1","token":"t5"} alice`, `login {"id":"1","token":"t6"} alice`)

	r.result, r.err = AuthResult{}, parse.Errorf(parse.ObjectNotFound, "acme says no")
	_, err = w.create(public, body("authData", data("t7")))
	w.refused(err, 101, "acme says no")
	r.err = errors.New("dial tcp 10.0.0.1: secret")
	_, err = w.create(public, body("authData", data("t7")))
	w.refused(err, 141, "Auth failed. Unknown error.")
	r.err, r.appErr = nil, parse.Errorf(parse.ObjectNotFound, "another application")
	_, err = w.create(public, body("authData", data("t7")))
	w.refused(err, 101, "another application")
}

// That somebody has an account is told only to who proves to own it.
func TestClashIsValidatedFirst(t *testing.T) {
	r := &recorder{}
	w := newWorld(t, Config{Auth: map[string]AuthAdapter{"acme": r}})
	w.signUp("authData", body("acme", body("id", "1")))
	bob := w.signUp("username", "bob", "password", "x")
	r.err = parse.Errorf(parse.ObjectNotFound, "not yours")
	_, err := w.update(bob, bob.UserID(), "authData", body("acme", body("id", "1")))
	w.refused(err, 206, denied) // what is not found in an update of a user reads so, whatever it is
	r.err = parse.Errorf(parse.OtherCause, "not yours")
	_, err = w.update(bob, bob.UserID(), "authData", body("acme", body("id", "1")))
	w.refused(err, -1, "not yours")
	r.err = nil
	_, err = w.update(bob, bob.UserID(), "authData", body("acme", body("id", "1")))
	w.refused(err, 208, "this auth is already used")
}

// The second factor.
func TestAdditional(t *testing.T) {
	totp, key := &recorder{policy: PolicyAdditional}, &recorder{policy: PolicySolo}
	w := newWorld(t, Config{Auth: map[string]AuthAdapter{"totp": totp, "key": key}})
	alice := w.signUp("username", "alice", "password", "x")
	w.mustUpdate(alice, alice.UserID(), "authData", body("totp", body("secret", "s"), "key", body("id", "k")))
	const missing = "Missing additional authData totp"
	_, err := w.logIn("username", "alice", "password", "x")
	w.refused(err, -1, missing)
	_, err = w.logIn("username", "alice", "password", "no")
	w.refused(err, 101, badLogin)
	totp.result = AuthResult{DoNotSave: true, Response: "welcome"}
	user, err := w.logIn("username", "alice", "password", "x", "authData", body("totp", body("code", "123")))
	if err != nil || !parse.Equal(user.Get("authDataResponse"), body("totp", "welcome")) || !user.Has("sessionToken") {
		t.Errorf("login with both = %v, %v, want a session and the response", user, err)
	}
	if _, err := w.logIn("username", "alice", "password", "x", "authData", body("key", body("id", "k"))); err != nil {
		t.Errorf("login with a solo provider: %v", err)
	}
	totp.err = parse.Errorf(parse.ObjectNotFound, "bad code")
	_, err = w.logIn("username", "alice", "password", "x", "authData", body("totp", body("code", "1")))
	w.refused(err, 101, "bad code")
	_, err = w.logIn("username", "alice", "password", "x", "authData", body("nope", body("id", "k"), "key", body("id", "k")))
	w.refused(err, 252, "This authentication method is unsupported.")
	_, err = w.logIn("username", "alice", "password", "x", "authData", "text")
	w.refused(err, 252, "This authentication method is unsupported.")
}

// spender uses up one of the codes that are stored, as recovery codes are.
type spender struct {
	NoHooks
	ready sync.WaitGroup // all logins have read the codes before the first stores what is left
}

func (*spender) Policy(*AuthRequest, *parse.Map) Policy { return PolicyAdditional }

func (s *spender) ValidateLogin(_ context.Context, data *parse.Map, ask *AuthRequest) (AuthResult, error) {
	stored := ask.User.Get("authData").(*parse.Map).Get("codes").(*parse.Map)
	codes := stored.Get("list").([]any)
	s.ready.Done()
	s.ready.Wait()
	var left []any
	found := false
	for _, c := range codes {
		if c == data.Get("code") {
			found = true
		} else {
			left = append(left, c)
		}
	}
	if !found {
		return AuthResult{}, parse.Errorf(parse.ObjectNotFound, "bad code")
	}
	return AuthResult{Save: body("list", left)}, nil
}

// Of logins at once with one single-use code, one succeeds.
func TestSingleUseCode(t *testing.T) {
	cfg := func() Config { return Config{Auth: map[string]AuthAdapter{"codes": &spender{}}} }
	onEachAdapter(t, cfg, func(t *testing.T, w *world) {
		s := w.users.cfg.Auth["codes"].(*spender)
		w.users.passwords.slots = make(chan struct{}, 8)
		alice := w.signUp("username", "alice", "password", "x")
		w.mustUpdate(alice, alice.UserID(), "authData", body("codes", body("list", []any{"a", "b"})))
		const logins = 6
		s.ready.Add(logins)
		var won atomic.Int64
		var wg sync.WaitGroup
		for range logins {
			wg.Go(func() {
				if _, err := w.logIn("username", "alice", "password", "x", "authData", body("codes", body("code", "a"))); err == nil {
					won.Add(1)
				} else {
					w.refused(err, 141, "Invalid auth data")
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%d logins succeeded, want 1", won.Load())
		}
		if got := w.stored(alice.UserID()).Get("_auth_data_codes"); !parse.Equal(got, body("list", []any{"b"})) {
			t.Errorf("stored %s, want the code used up", parse.Marshal(got))
		}
	})
}

// An update of authData that another one has overtaken changes nothing.
func TestOvertakenUpdate(t *testing.T) {
	w := newWorld(t, Config{})
	overtaking := ValidateAuthData{Validate: func(ctx context.Context, data *parse.Map, ask *AuthRequest) (AuthResult, error) {
		if data.Get("token") == "slow" {
			_, err := w.users.change(ctx, w.store, is("objectId", ask.User.ID()), body("_auth_data_acme", body("token", "fast")))
			return AuthResult{}, err
		}
		return AuthResult{}, nil
	}}
	w.users.cfg.Auth = map[string]AuthAdapter{"acme": overtaking}
	alice := w.signUp("username", "alice", "password", "x", "authData", body("acme", body("token", "first")))
	_, err := w.update(alice, alice.UserID(), "authData", body("acme", body("token", "slow")))
	w.refused(err, 206, denied)
	if got := w.stored(alice.UserID()).Get("_auth_data_acme"); !parse.Equal(got, body("token", "fast")) {
		t.Errorf("stored %s, want what was there first", parse.Marshal(got))
	}
}

// masked shows clients less than is stored, and finds users by what is computed of the data.
type masked struct{ NoHooks }

func (masked) AfterFind(*parse.Map) *parse.Map { return body("status", "enabled") }

func (masked) BeforeFind(_ context.Context, data *parse.Map) error {
	token, ok := data.Get("token").(string)
	if !ok {
		return parse.Errorf(parse.ObjectNotFound, "token needed")
	}
	data.Set("id", strings.ToUpper(token))
	return nil
}

func TestFindHooks(t *testing.T) {
	w := newWorld(t, Config{Auth: map[string]AuthAdapter{"m": masked{}}})
	alice := w.signUp("authData", body("m", body("token", "abc")))
	if got := w.stored(alice.UserID()).Get("_auth_data_m"); !parse.Equal(got, body("token", "abc", "id", "ABC")) {
		t.Errorf("stored %s, want the id that was computed", parse.Marshal(got))
	}
	shown := body("m", body("status", "enabled"))
	if o, err := w.objects.Get(t.Context(), alice, schema.UserClass, alice.UserID(), nil); err != nil || !parse.Equal(o.Get("authData"), shown) {
		t.Errorf("authData = %v, %v, want %v", o, err, shown)
	}
	saved, err := w.create(public, body("authData", body("m", body("token", "abc"))))
	if err != nil || saved.Body.Get("objectId") != alice.UserID() || !parse.Equal(saved.Body.Get("authData"), shown) {
		t.Errorf("login = %v, %v, want alice and %v", saved, err, shown)
	}
	_, err = w.create(public, body("authData", body("m", body("x", "y"))))
	w.refused(err, 101, "token needed")
	// What a client read and sends back is nothing to find a user by.
	_, err = w.update(alice, alice.UserID(), "authData", body("m", nil))
	if err != nil || w.stored(alice.UserID()).Get("_auth_data_m") != nil {
		t.Errorf("unlink: %v", err)
	}
}

// A user whose ACL admits nobody does not come back in by its provider.
func TestLockedOutByAuthData(t *testing.T) {
	w := newWorld(t, Config{})
	anon := w.signUp("authData", body("anonymous", body("id", "a")))
	w.mustUpdate(auth.System, anon.UserID(), "ACL", parse.ACL{})
	_, err := w.create(public, body("authData", body("anonymous", body("id", "a"))))
	w.refused(err, 208, "this auth is already used")
}

// challenger answers challenges.
type challenger struct {
	recorder
	answer any
}

func (c *challenger) Challenge(_ context.Context, challenge any, data *parse.Map, ask *AuthRequest) (any, error) {
	user := "nobody"
	if ask.User != nil {
		user = ask.User.String("username")
	}
	c.calls = append(c.calls, fmt.Sprintf("challenge %s %s %s %v", parse.Marshal(challenge), parse.Marshal(data), user, ask.IsChallenge))
	return c.answer, c.err
}

func TestChallenge(t *testing.T) {
	c := &challenger{answer: body("nonce", 1.0)}
	w := newWorld(t, Config{Auth: map[string]AuthAdapter{"acme": c}})
	w.signUp("username", "alice", "password", "x", "authData", body("acme", body("id", "1"), "anonymous", body("id", "2")))
	c.took()
	wanted := body("acme", body("q", 1.0))
	tests := []struct {
		name  string
		body  *parse.Map
		want  any // the answer, or
		code  parse.Code
		text  string
		calls []string
	}{
		{"nothing", body(), nil, -1, "Nothing to challenge.", nil},
		{"no object", body("challengeData", 5.0), nil, -1, "challengeData should be an object.", nil},
		{"unknown provider", body("challengeData", body("nope", body())), body(), 0, "", nil},
		{"provider without challenges", body("challengeData", body("anonymous", body())), body(), 0, "", nil},
		{"of nobody", body("challengeData", wanted), body("acme", body("nonce", 1.0)), 0, "", []string{`challenge {"q":1} null nobody true`}},
		{"of a user", body("username", "alice", "password", "x", "challengeData", wanted), body("acme", body("nonce", 1.0)), 0, "",
			[]string{`challenge {"q":1} null alice true`}},
		{"no password", body("username", "alice", "challengeData", wanted), nil, -1, "You provided username or email, you need to also provide password.", nil},
		{"wrong password", body("username", "alice", "password", "no", "challengeData", wanted), nil, 101, badLogin, nil},
		{"by authData", body("authData", body("acme", body("id", "1")), "challengeData", wanted), body("acme", body("nonce", 1.0)), 0, "",
			[]string{`login {"id":"1"} alice`, `challenge {"q":1} {"id":"1"} alice true`}},
		{"by unknown authData", body("authData", body("acme", body("id", "9")), "challengeData", wanted), nil, 101, "User not found.", nil},
		{"by no id", body("authData", body("acme", body()), "challengeData", wanted), nil, 101, "User not found.", nil},
		{"by two ids", body("authData", body("acme", body("id", "1"), "anonymous", body("id", "2")), "challengeData", wanted), nil, -1,
			"You cannot provide more than one authData provider with an id.", nil},
		{"authData no object", body("authData", 5.0, "challengeData", wanted), nil, -1, "authData should be an object.", nil},
		{"provider no object", body("authData", body("a", 5.0), "challengeData", wanted), nil, -1, "authData.a should be an object.", nil},
		{"both", body("username", "alice", "password", "x", "authData", body("acme", body("id", "1")), "challengeData", wanted), nil, -1,
			"You cannot provide username/email and authData, only use one identification method.", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.t = t
			got, err := w.users.Challenge(t.Context(), w.objects, public, tt.body, nil)
			if tt.code != 0 {
				w.refused(err, tt.code, tt.text)
			} else if want := body("challengeData", tt.want); err != nil || !got.Equal(want) {
				t.Errorf("Challenge = %s, %v, want %s", parse.Marshal(got), err, parse.Marshal(want))
			}
			if calls := c.took(); !cmp.Equal(calls, tt.calls) {
				t.Errorf("calls %q, want %q", calls, tt.calls)
			}
		})
	}
	c.answer = nil
	got, err := w.users.Challenge(t.Context(), w.objects, public, body("challengeData", wanted), nil)
	if want := body("challengeData", body("acme", true)); err != nil || !got.Equal(want) {
		t.Errorf("Challenge = %v, %v, want %v", got, err, want)
	}
	c.took()
	c.err = errors.New("secret of a library")
	_, err = w.users.Challenge(t.Context(), w.objects, public, body("challengeData", wanted), nil)
	w.refused(err, 141, "Auth failed. Unknown error.")
	// An id that its owner does not prove is no different from one that is not there.
	_, err = w.users.Challenge(t.Context(), w.objects, public, body("authData", body("acme", body("id", "1")), "challengeData", wanted), nil)
	w.refused(err, 101, "User not found.")
}

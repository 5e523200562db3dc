package user

import (
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
)

func TestPasswordRules(t *testing.T) {
	tests := []struct {
		name     string
		policy   PasswordPolicy
		password string
		want     string
	}{
		{"no rule", PasswordPolicy{}, "x", ""},
		{"pattern", PasswordPolicy{ValidatorPattern: regexp.MustCompile(`^.{3,}$`)}, "ab", badPassword},
		{"pattern that fits", PasswordPolicy{ValidatorPattern: regexp.MustCompile(`^.{3,}$`)}, "abc", ""},
		{"callback", PasswordPolicy{ValidatorCallback: func(p string) bool { return p == "good" }}, "bad", badPassword},
		{"callback that admits", PasswordPolicy{ValidatorCallback: func(p string) bool { return p == "good" }}, "good", ""},
		{"own text", PasswordPolicy{ValidatorPattern: regexp.MustCompile(`1`), ValidationError: "100% digits"}, "x", "100% digits"},
		{"name", PasswordPolicy{DoNotAllowUsername: true}, "xAlicex", ""},
		{"name inside", PasswordPolicy{DoNotAllowUsername: true}, "xalicex", holdsUsername},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, Config{PasswordPolicy: &tt.policy})
			check := func(err error) {
				t.Helper()
				if tt.want != "" {
					w.refused(err, 142, tt.want)
				} else if err != nil {
					t.Error(err)
				}
			}
			_, err := w.create(public, body("username", "alice", "password", tt.password))
			check(err)
			w.users.cfg.PasswordPolicy = nil
			bob := w.signUp("username", "bob", "password", "first")
			w.users.cfg.PasswordPolicy = &tt.policy
			_, err = w.update(bob, bob.UserID(), "password", tt.password, "username", "alice"+"2")
			if tt.want != holdsUsername { // of the new name, which the password does not hold
				check(err)
			}
		})
	}
}

// The name of an update that does not give one is that of the stored user.
func TestPasswordHoldsStoredName(t *testing.T) {
	w := newWorld(t, Config{PasswordPolicy: &PasswordPolicy{DoNotAllowUsername: true}})
	alice := w.signUp("username", "alice", "password", "x")
	_, err := w.update(alice, alice.UserID(), "password", "my alice")
	w.refused(err, 142, "Password cannot contain your username.")
}

func TestPasswordHistory(t *testing.T) {
	const three = "New password should not be the same as last 3 passwords."
	tests := []struct {
		size  int
		steps []struct{ password, want string }
	}{
		{3, []struct{ password, want string }{{"pw1", three}, {"pw2", ""}, {"pw3", ""}, {"pw1", three}, {"pw2", three}, {"pw4", ""}, {"pw1", ""}}},
		{1, []struct{ password, want string }{{"pw1", "New password should not be the same as last 1 passwords."}, {"pw2", ""}, {"pw1", ""}}},
	}
	for _, tt := range tests {
		w := newWorld(t, Config{PasswordPolicy: &PasswordPolicy{MaxPasswordHistory: tt.size}})
		alice := w.signUp("username", "alice", "password", "pw1")
		for i, step := range tt.steps {
			_, err := w.update(auth.System, alice.UserID(), "password", step.password)
			if step.want != "" {
				w.refused(err, 142, step.want)
			} else if err != nil {
				t.Errorf("history %d, step %d: %v", tt.size, i, err)
			}
		}
		kept, _ := w.stored(alice.UserID()).Get("_password_history").([]any)
		if want := max(tt.size-1, 1); len(kept) != want {
			t.Errorf("history %d keeps %d hashes, want %d", tt.size, len(kept), want)
		}
	}
}

func TestPasswordAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		alice := w.signUp("username", "alice", "password", "x")
		w.users.cfg.PasswordPolicy = &PasswordPolicy{MaxPasswordAge: 0.5}
		login := func(password, want string) {
			t.Helper()
			_, err := w.logIn("username", "alice", "password", password)
			if want != "" {
				w.refused(err, 101, want)
			} else if err != nil {
				t.Error(err)
			}
		}
		time.Sleep(24 * time.Hour)
		login("x", "") // from before the policy: begins to age now
		if got, want := w.stored(alice.UserID()).Get("_password_changed_at"), any(parse.DateOf(time.Now())); got != want {
			t.Errorf("_password_changed_at = %v, want %v", got, want)
		}
		time.Sleep(12 * time.Hour)
		login("x", "")
		time.Sleep(time.Millisecond)
		login("x", expiredPassword)
		w.mustUpdate(auth.System, alice.UserID(), "password", "y")
		login("y", "")
		w.signUp("username", "bob", "password", "x")
		time.Sleep(12*time.Hour + time.Millisecond)
		_, err := w.logIn("username", "bob", "password", "x")
		w.refused(err, 101, expiredPassword)
	})
}

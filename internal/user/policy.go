package user

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/storage"
)

// PasswordPolicy are the rules for passwords (contract parse-api.md, 4.3). The zero value admits every password.
type PasswordPolicy struct {
	// ValidatorPattern must be found in the password; nil admits all.
	ValidatorPattern *regexp.Regexp
	// ValidatorCallback must admit the password; nil admits all.
	ValidatorCallback func(password string) bool
	// ValidationError is the text for a password that the two above refuse; "" for the usual one.
	ValidationError string
	// DoNotAllowUsername refuses a password that contains the user name.
	DoNotAllowUsername bool
	// MaxPasswordAge is how many days a password may be used to log in; 0 means for ever.
	MaxPasswordAge float64
	// MaxPasswordHistory is how many passwords back none may be used again, at most 20; 0 allows all.
	MaxPasswordHistory int
}

const (
	badPassword     = "Password does not meet the Password Policy requirements."
	holdsUsername   = "Password cannot contain your username."
	repeated        = "New password should not be the same as last %d passwords."
	expiredPassword = "Your password has expired. Please reset your password."
)

// check refuses a password that breaks a rule. stored is the user of an update, nil for a sign-up.
func (p *PasswordPolicy) check(password, username string, stored *parse.Object) error {
	if p.ValidatorPattern != nil && !p.ValidatorPattern.MatchString(password) ||
		p.ValidatorCallback != nil && !p.ValidatorCallback(password) {
		text := p.ValidationError
		if text == "" {
			text = badPassword
		}
		return parse.Errorf(parse.ValidationError, "%s", text)
	}
	if username == "" && stored != nil {
		username = stored.String("username")
	}
	if p.DoNotAllowUsername && username != "" && strings.Contains(password, username) {
		return parse.Errorf(parse.ValidationError, holdsUsername)
	}
	return nil
}

// history refuses a password that was used before and returns the `_password_history` to be stored with the new one:
// the hashes of the last passwords, oldest first, without the new one.
func (u *Users) history(ctx context.Context, password string, stored *parse.Object) ([]any, error) {
	size := u.cfg.PasswordPolicy.MaxPasswordHistory
	old, _ := stored.Get("_password_history").([]any)
	current := stored.String("_hashed_password")
	forbidden := append(append([]any{}, old[:min(len(old), max(size-1, 0))]...), current)
	for _, hash := range forbidden {
		hash, _ := hash.(string)
		if hash == "" {
			continue
		}
		same, err := u.passwords.Matches(ctx, password, hash)
		if err != nil {
			return nil, err
		}
		if same {
			return nil, parse.Errorf(parse.ValidationError, "%s", fmt.Sprintf(repeated, size))
		}
	}
	if keep := max(size-2, 0); len(old) > keep {
		old = old[len(old)-keep:]
	}
	kept := append([]any{}, old...)
	if current != "" {
		kept = append(kept, current)
	}
	return kept, nil
}

// checkAge refuses the login with a password that is too old. A password from before the policy begins to age now.
func (u *Users) checkAge(ctx context.Context, store storage.Store, stored *parse.Object) error {
	policy := u.cfg.PasswordPolicy
	if policy == nil || policy.MaxPasswordAge <= 0 {
		return nil
	}
	changed, ok := stored.Get("_password_changed_at").(parse.Date)
	if !ok {
		_, err := u.change(ctx, store, is("objectId", stored.ID()), parse.NewMap("_password_changed_at", now()))
		return err
	}
	age := time.Duration(policy.MaxPasswordAge * float64(24*time.Hour))
	if changed.Time().Add(age).Before(time.Now()) {
		return parse.Errorf(parse.ObjectNotFound, expiredPassword)
	}
	return nil
}

func now() parse.Date { return parse.DateOf(time.Now()) }

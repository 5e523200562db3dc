package user

import (
	"context"
	"strconv"
	"time"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/storage"
)

// AccountLockout closes an account for some time after too many wrong passwords (contract parse-api.md, 4.4).
// The counter and the end of the lock are in the user, so that all nodes share them.
type AccountLockout struct {
	// Threshold is how many wrong passwords lock the account, 1 to 999.
	Threshold int
	// Duration of the lock in minutes, more than 0 and less than 100,000.
	Duration float64
	// UnlockOnPasswordReset opens the account when the password is reset by mail.
	UnlockOnPasswordReset bool
}

func (l *AccountLockout) locked() error {
	minutes := strconv.FormatFloat(l.Duration, 'f', -1, 64)
	return parse.Errorf(parse.ObjectNotFound, "Your account is locked due to multiple failed login attempts. Please try again after %s minute(s)", minutes)
}

// attempt counts one login of a stored user, right or wrong, and refuses it when the account is locked. The right password does
// not open a lock.
func (u *Users) attempt(ctx context.Context, store storage.Store, stored *parse.Object, right bool) error {
	l := u.cfg.AccountLockout
	if l == nil {
		return nil
	}
	self := is("objectId", stored.ID())
	full := &query.Constraint{Key: "_failed_login_count", Op: query.Gte, Arg: float64(l.Threshold)}
	// Asked anew: other attempts ran while this one compared its password.
	closed, err := u.find(ctx, store, query.And{self, full, &query.Constraint{Key: "_account_lockout_expires_at", Op: query.Gt, Arg: now()}}, 1)
	if err != nil {
		return err
	}
	if len(closed) > 0 {
		return l.locked()
	}
	if right {
		if count, _ := stored.Get("_failed_login_count").(float64); count == 0 {
			return nil // the usual login writes nothing here
		}
		_, err := u.change(ctx, store, self, parse.NewMap("_failed_login_count", 0.0))
		return err
	}
	// The count that the increment returns is this attempt's own: of attempts at once each gets another.
	after, err := u.change(ctx, store, self, parse.NewMap("_failed_login_count", parse.Increment{Amount: 1}))
	if err != nil || len(after) == 0 {
		return err
	}
	count, _ := after[0].Get("_failed_login_count").(float64)
	if count < float64(l.Threshold) {
		return nil
	}
	until := parse.DateOf(time.Now().Add(time.Duration(l.Duration * float64(time.Minute))))
	if _, err := u.change(ctx, store, query.And{self, full}, parse.NewMap("_account_lockout_expires_at", until)); err != nil {
		return err
	}
	if count > float64(l.Threshold) {
		return l.locked()
	}
	return nil
}

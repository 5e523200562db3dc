// Package user is the class _User: sign-up, login, passwords, and what links a user to an authentication provider
// (contract parse-api.md, 4.1 to 4.6).
//
// user.go options; behavior.go what a save of a user adds to the common steps; login.go and account.go what the routes answer;
// password.go bcrypt; policy.go which passwords are good; lockout.go how often one may guess; email.go addresses and their
// verification; adapter.go what a provider implements; authdata.go the rules around it; challenge.go POST /challenge.
package user

import (
	"context"
	"log/slog"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/internal/object"
	"github.com/parley-backend/parley/internal/schemas"
	"github.com/parley-backend/parley/internal/session"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

// Config is what the users need, and their options. The zero value of an option is the default of Parse Server; an option
// whose default there is true stands here as its inverse.
type Config struct {
	Schemas  *schemas.Schemas
	Sessions *session.Sessions
	// Log gets what an operator should know; nil discards it.
	Log *slog.Logger

	// PublicUsers gives new users an ACL that everybody may read (enforcePrivateUsers: false).
	PublicUsers bool
	// NoAnonymousUsers turns the provider "anonymous" off (enableAnonymousUsers: false).
	NoAnonymousUsers bool
	// KeepSessionsOnPasswordChange leaves the sessions of a user as they are when its password changes
	// (revokeSessionOnPasswordReset: false).
	KeepSessionsOnPasswordChange bool
	// LowercaseUsernames and LowercaseEmails store these in lower case (convertUsernameToLowercase, convertEmailToLowercase).
	LowercaseUsernames, LowercaseEmails bool
	// AllowExpiredAuthDataToken leaves out the validation of authData that an update repeats unchanged.
	AllowExpiredAuthDataToken bool

	// VerifyUserEmails makes a new address unverified until its owner answers; nil means never.
	VerifyUserEmails Condition
	// PreventLoginWithUnverifiedEmail refuses a login (205) when VerifyUserEmails holds too; nil means never.
	PreventLoginWithUnverifiedEmail Condition
	// PreventSignupWithUnverifiedEmail answers a sign-up with 205 when the two above hold; the user is stored all the same.
	PreventSignupWithUnverifiedEmail bool
	// EmailVerifyTokenValidity is how long a verification token is good, in seconds; 0 means for ever
	// (emailVerifyTokenValidityDuration).
	EmailVerifyTokenValidity float64

	// PasswordPolicy and AccountLockout are off when nil.
	PasswordPolicy *PasswordPolicy
	AccountLockout *AccountLockout
	// Auth are the authentication providers by name. "anonymous" needs no entry.
	Auth map[string]AuthAdapter
}

// Condition decides about one user; see [Always].
type Condition func(ctx context.Context, ask *Ask) (bool, error)

// Ask is what a [Condition] may look at.
type Ask struct {
	Caller *auth.Caller
	// User is the user as it is, or as it is about to be stored by a sign-up.
	User *parse.Object
	// Action is "signup" or "login", Provider "password" or the providers of the authData.
	Action, Provider string
}

// Always is the Condition true.
func Always(context.Context, *Ask) (bool, error) { return true, nil }

func (c Condition) holds(ctx context.Context, ask *Ask) (bool, error) {
	if c == nil {
		return false, nil
	}
	return c(ctx, ask)
}

// Users is the Behavior of the class _User and the services of its routes. It is safe for concurrent use.
type Users struct {
	object.Plain
	cfg       Config
	passwords *passwords
}

// New returns the users of an application.
func New(cfg Config) *Users {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Users{cfg: cfg, passwords: newPasswords()}
}

func (u *Users) class() *schema.Class {
	if class, ok := u.cfg.Schemas.Class(schema.UserClass); ok {
		return class
	}
	return schema.New(schema.UserClass)
}

// find returns at most limit stored users that match, internal fields included.
func (u *Users) find(ctx context.Context, store storage.Store, where query.Node, limit int) ([]*parse.Object, error) {
	var users []*parse.Object
	for o, err := range store.Find(ctx, u.class(), &query.Find{ClassName: schema.UserClass, Where: where, Limit: limit}) {
		if err != nil {
			return nil, err
		}
		users = append(users, o)
	}
	return users, nil
}

// change writes fields of one user beside the rules of a save; see [storage.Store.Update].
func (u *Users) change(ctx context.Context, store storage.Store, where query.Node, changes *parse.Map) ([]*parse.Object, error) {
	return store.Update(ctx, u.class(), where, changes, 1)
}

func is(field string, value any) query.Node {
	return &query.Constraint{Key: field, Op: query.Eq, Arg: value}
}

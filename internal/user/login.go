package user

import (
	"context"
	"errors"
	"strings"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/internal/object"
	"github.com/parley-backend/parley/internal/session"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// errBadLogin does not tell which of the two was wrong.
var errBadLogin = parse.Errorf(parse.ObjectNotFound, "Invalid username/password.")

// LogIn answers GET and POST /login: a user as it may see itself, with a new sessionToken. body and params are the JSON body and
// the parameters of the URL; either may be nil. The session token of the caller, if there was one, plays no part.
func (u *Users) LogIn(ctx context.Context, objects *object.Objects, caller *auth.Caller, body, params *parse.Map) (*parse.Object, error) {
	stored, err := u.authenticate(ctx, objects, caller, body, params)
	if err != nil {
		return nil, err
	}
	authData, err := loginAuthData(body)
	if err != nil {
		return nil, err
	}
	ask := &AuthRequest{Caller: caller, User: session.User(stored)}
	if err := u.requireAdditional(ask, authData, storedAuthData(stored)); err != nil {
		return nil, err
	}
	var proven *validated
	if authData != nil {
		if proven, err = u.validate(ctx, caller, authData, stored, nil); err != nil {
			return nil, err
		}
	}
	if err := u.checkAge(ctx, objects.Store(), stored); err != nil {
		return nil, err
	}
	if err := objects.LoggingIn(ctx, caller, ask.User); err != nil {
		return nil, err
	}
	if proven != nil {
		if err := u.storeAuthData(ctx, objects, stored, proven.authData); err != nil {
			return nil, err
		}
	}
	made, err := u.cfg.Sessions.Create(ctx, objects, caller, session.Start{
		UserID: stored.ID(), Action: "login", Provider: "password", InstallationID: installation(caller),
	})
	if err != nil {
		return nil, err
	}
	if err := objects.LoggedIn(ctx, caller, ask.User, made.String("sessionToken")); err != nil {
		return nil, err
	}
	user, err := u.asSeen(ctx, objects, caller, stored)
	if err != nil {
		return nil, err
	}
	user.Set("sessionToken", made.Get("sessionToken"))
	if proven != nil {
		user.Set("authDataResponse", proven.response)
	}
	return user, nil
}

// loginAuthData is the second factor in the body of a login, nil for none.
func loginAuthData(body *parse.Map) (*parse.Map, error) {
	switch v := body.Get("authData").(type) {
	case nil:
		return nil, nil
	case *parse.Map:
		for _, data := range v.All() {
			if _, ok := data.(*parse.Map); !ok && data != nil {
				return nil, errUnsupported
			}
		}
		return v, nil
	}
	return nil, errUnsupported
}

// installation is where a login comes from, "" when it did not say.
func installation(caller *auth.Caller) string {
	if caller.InstallationID == cloudInstallation {
		return ""
	}
	return caller.InstallationID
}

// VerifyPassword answers GET and POST /verifyPassword: the user without a session. It counts as a login for the lockout.
func (u *Users) VerifyPassword(ctx context.Context, objects *object.Objects, caller *auth.Caller, body, params *parse.Map) (*parse.Object, error) {
	stored, err := u.authenticate(ctx, objects, caller, body, params)
	if err != nil {
		return nil, err
	}
	return u.asSeen(ctx, objects, caller, stored)
}

// credentials are what a login gives.
type credentials struct {
	username, email, password string
	ignoreVerification        bool
}

// authenticate finds the stored user whose name or address, and password, were given.
func (u *Users) authenticate(ctx context.Context, objects *object.Objects, caller *auth.Caller, body, params *parse.Map) (*parse.Object, error) {
	c, err := u.readCredentials(body, params)
	if err != nil {
		return nil, err
	}
	stored, err := u.byCredentials(ctx, objects, c)
	if err != nil {
		return nil, err
	}
	hash := ""
	if stored != nil {
		hash = stored.String("_hashed_password")
	}
	right, err := u.passwords.Matches(ctx, c.password, hash)
	if err != nil {
		return nil, err
	}
	if stored == nil {
		return nil, errBadLogin
	}
	if err := u.attempt(ctx, objects.Store(), stored, right); err != nil {
		return nil, err
	}
	if !right || !caller.Master && lockedOut(stored) {
		return nil, errBadLogin
	}
	if c.ignoreVerification && caller.Privileged() || stored.Get("emailVerified") == true {
		return stored, nil
	}
	ask := &Ask{Caller: caller, User: session.User(stored), Action: "login", Provider: "password"}
	if authData, _ := body.Get("authData").(*parse.Map); authData.Len() > 0 {
		ask.Provider = providers(authData)
	}
	unverified, err := u.mustVerify(ctx, ask)
	if err != nil {
		return nil, err
	}
	if unverified {
		return nil, errUnverified
	}
	return stored, nil
}

// readCredentials takes them from the URL when a name or an address is there that the body lacks.
func (u *Users) readCredentials(body, params *parse.Map) (*credentials, error) {
	from := body
	if !parse.Truthy(body.Get("username")) && parse.Truthy(params.Get("username")) || !parse.Truthy(body.Get("email")) && parse.Truthy(params.Get("email")) {
		from = params
	}
	username, email, password := from.Get("username"), from.Get("email"), from.Get("password")
	if !parse.Truthy(username) && !parse.Truthy(email) {
		return nil, parse.Errorf(parse.UsernameMissing, "username/email is required.")
	}
	if !parse.Truthy(password) {
		return nil, parse.Errorf(parse.PasswordMissing, "password is required.")
	}
	c := &credentials{ignoreVerification: parse.Truthy(from.Get("ignoreEmailVerification"))}
	for _, field := range []struct {
		value any
		to    *string
	}{{username, &c.username}, {email, &c.email}, {password, &c.password}} {
		text, ok := field.value.(string)
		if parse.Truthy(field.value) && !ok {
			return nil, errBadLogin
		}
		*field.to = text
	}
	return c, nil
}

// byCredentials returns the stored user, nil when there is none. A name also finds the user of that address, unless some other
// user has it for its name. What is stored in lower case is looked for in lower case.
func (u *Users) byCredentials(ctx context.Context, objects *object.Objects, c *credentials) (*parse.Object, error) {
	address := c.email
	if address == "" {
		address = c.username
	}
	if u.cfg.LowercaseUsernames {
		c.username = strings.ToLower(c.username)
	}
	if u.cfg.LowercaseEmails {
		address = strings.ToLower(address)
	}
	names, addresses := is("username", c.username), is("email", address)
	var where query.Node
	switch {
	case c.email != "" && c.username != "":
		where = query.And{names, addresses}
	case c.email != "":
		where = addresses
	default:
		where = query.Or{names, addresses}
	}
	found, err := u.find(ctx, objects.Store(), where, 2)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	if len(found) > 1 {
		u.cfg.Log.WarnContext(ctx, "the e-mail address of one user is the name of another: the name decides", "user", found[0].ID(), "other", found[1].ID())
		for _, user := range found {
			if user.String("username") == c.username {
				return user, nil
			}
		}
	}
	return found[0], nil
}

// asSeen reads a user with its own rights, or with those of a privileged caller. When class-level permissions do not let it read
// itself, the answer is its id alone: never more than a GET would show.
func (u *Users) asSeen(ctx context.Context, objects *object.Objects, caller *auth.Caller, stored *parse.Object) (*parse.Object, error) {
	if !caller.Privileged() {
		roles, err := u.cfg.Sessions.Roles(ctx, stored.ID())
		if err != nil {
			return nil, err
		}
		self := *caller
		self.User, self.Roles, self.SessionToken = session.User(stored), roles, ""
		caller = &self
	}
	user, err := objects.Get(ctx, caller, schema.UserClass, stored.ID(), &query.Find{ReadPreference: "PRIMARY"})
	var refused *parse.Error
	if errors.As(err, &refused) && refused.Code != parse.InternalServerError {
		return parse.NewObject(schema.UserClass, "objectId", stored.ID()), nil
	}
	return user, err
}

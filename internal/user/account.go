package user

import (
	"context"
	"errors"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/internal/object"
	"github.com/parley-backend/parley/internal/session"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// Me answers GET /users/me: the user of the caller's session as it may see itself, with its sessionToken.
func (u *Users) Me(ctx context.Context, objects *object.Objects, caller *auth.Caller) (*parse.Object, error) {
	refused := parse.Denied(parse.InvalidSessionToken, "Invalid session token")
	if caller.SessionToken == "" {
		return nil, refused
	}
	userID := caller.UserID()
	if userID == "" { // a privileged caller, whose token nobody has resolved
		owner, _, err := u.cfg.Sessions.Resolve(ctx, caller.SessionToken)
		if err != nil {
			return nil, unlessFailed(err, refused)
		}
		userID = owner.ID()
	}
	user, err := objects.Get(ctx, caller, schema.UserClass, userID, &query.Find{ReadPreference: "PRIMARY"})
	if err != nil {
		return nil, unlessFailed(err, refused)
	}
	user.Set("sessionToken", caller.SessionToken)
	return user, nil
}

// unlessFailed returns the refusal for an error that is the answer to a question, and the error itself where the database did not answer: a
// client that reads that its session has ended forgets it.
func unlessFailed(err error, refused *parse.Error) error {
	var answer *parse.Error
	if errors.As(err, &answer) && answer.Code != parse.InternalServerError && answer.Code != parse.Timeout {
		return refused
	}
	return err
}

// LogInAs answers POST /loginAs: the user of the member userId of the body or the URL, with a new sessionToken, for the holder of
// the master key. No password, no lockout.
func (u *Users) LogInAs(ctx context.Context, objects *object.Objects, caller *auth.Caller, body, params *parse.Map) (*parse.Object, error) {
	if !caller.Master {
		return nil, parse.Denied(parse.OperationForbidden, "master key is required")
	}
	if caller.ReadOnly {
		return nil, parse.Denied(parse.OperationForbidden, "read-only masterKey isn't allowed to login as another user.")
	}
	id := body.Get("userId")
	if !parse.Truthy(id) {
		id = params.Get("userId")
	}
	if !parse.Truthy(id) {
		return nil, parse.Errorf(parse.InvalidValue, "userId must not be empty, null, or undefined")
	}
	userID, ok := id.(string)
	if !ok {
		return nil, parse.Errorf(parse.InvalidValue, "userId must be a string")
	}
	found, err := u.find(ctx, objects.Store(), is("objectId", userID), 1)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, parse.Errorf(parse.ObjectNotFound, "user not found")
	}
	made, err := u.cfg.Sessions.Create(ctx, objects, caller, session.Start{
		UserID: userID, Action: "login", Provider: "masterkey", InstallationID: installation(caller),
	})
	if err != nil {
		return nil, err
	}
	user, err := objects.Get(ctx, caller, schema.UserClass, userID, &query.Find{ReadPreference: "PRIMARY"})
	if err != nil {
		return nil, err
	}
	user.Set("sessionToken", made.Get("sessionToken"))
	return user, nil
}

// LogOut answers POST /logout: it ends the session of the caller. Without one it does nothing.
func (u *Users) LogOut(ctx context.Context, objects *object.Objects, caller *auth.Caller) error {
	if caller.SessionToken == "" {
		return nil
	}
	var ended *parse.Object
	if objects.WatchesLogout() {
		var err error
		if ended, err = u.cfg.Sessions.Stored(ctx, objects, caller.SessionToken); err != nil {
			return err
		}
	}
	if err := u.cfg.Sessions.Revoke(ctx, objects, caller.SessionToken); err != nil || ended == nil {
		return err
	}
	return objects.LoggedOut(ctx, caller, ended)
}

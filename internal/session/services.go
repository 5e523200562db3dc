package session

import (
	"context"
	"strings"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/internal/object"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// Me returns the session of a token, as its user may see it: GET /sessions/me. The token is not resolved before, so
// that an expired session can still be looked at.
func (s *Sessions) Me(ctx context.Context, objects *object.Objects, caller *auth.Caller, token string) (*parse.Object, error) {
	if token == "" {
		return nil, parse.Errorf(parse.InvalidSessionToken, "Session token required.")
	}
	session, err := first(ctx, objects.Store(), s.class(), &query.Constraint{Key: "sessionToken", Op: query.Eq, Arg: token})
	if err != nil {
		return nil, err
	}
	notFound := parse.Errorf(parse.InvalidSessionToken, "Session token not found.")
	if session == nil {
		return nil, notFound
	}
	owner, ok := session.Get("user").(parse.Pointer)
	if !ok {
		return nil, notFound
	}
	viewer, err := s.as(ctx, caller, owner.ObjectID)
	if err != nil {
		return nil, err
	}
	return objects.Get(ctx, viewer, schema.SessionClass, session.ID(), &query.Find{ReadPreference: "PRIMARY"})
}

// Upgrade gives the caller a revocable session in place of its legacy token: POST /upgradeToRevocableSession.
func (s *Sessions) Upgrade(ctx context.Context, objects *object.Objects, caller *auth.Caller) (*parse.Object, error) {
	if caller.User == nil {
		return nil, parse.Errorf(parse.ObjectNotFound, "invalid session")
	}
	id := caller.UserID()
	session, err := s.Create(ctx, objects, caller, Start{UserID: id, Action: "upgrade", InstallationID: caller.InstallationID})
	if err != nil {
		return nil, err
	}
	if _, err := objects.Store().Update(ctx, s.userClass(), byID(id), parse.NewMap("_session_token", parse.Delete{}), 1); err != nil {
		return nil, err
	}
	viewer, err := s.as(ctx, caller, id)
	if err != nil {
		return nil, err
	}
	return objects.Get(ctx, viewer, schema.SessionClass, session.String("objectId"), &query.Find{ReadPreference: "PRIMARY"})
}

// ResolveLegacy returns the user of a token from before revocable sessions: one that does not begin with "r:". Such a
// token opens POST /upgradeToRevocableSession and nothing else.
func (s *Sessions) ResolveLegacy(ctx context.Context, token string) (*parse.Object, []string, error) {
	unknown := parse.Errorf(parse.InvalidSessionToken, "invalid legacy session token")
	if token == "" || strings.HasPrefix(token, "r:") {
		return nil, nil, unknown
	}
	stored, err := first(ctx, s.cfg.Store, s.userClass(), &query.Constraint{Key: "_session_token", Op: query.Eq, Arg: token})
	if err != nil {
		return nil, nil, err
	}
	if stored == nil {
		return nil, nil, unknown
	}
	roles, err := s.Roles(ctx, stored.ID())
	return User(stored), roles, err
}

// as returns the caller whose rights decide what is shown of a session: a privileged caller, or else the owner.
func (s *Sessions) as(ctx context.Context, caller *auth.Caller, userID string) (*auth.Caller, error) {
	if caller.Privileged() || caller.UserID() == userID {
		return caller, nil
	}
	roles, err := s.Roles(ctx, userID)
	if err != nil {
		return nil, err
	}
	owner := *caller
	owner.User = parse.NewObject(schema.UserClass, "objectId", userID)
	owner.Roles = roles
	return &owner, nil
}

package session

import (
	"context"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/internal/object"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// Start is what a new session is made of.
type Start struct {
	UserID string
	// Action is what made the session: "signup", "login", "create", "upgrade"; "" leaves createdWith out.
	Action string
	// Provider that vouched for the user ("password", "anonymous", "masterkey"); "" for none.
	Provider string
	// InstallationID of the client; "" when it named none.
	InstallationID string
	// Extra are further fields that a client gave; they may replace the installation id.
	Extra *parse.Map
}

// Create stores a new session and returns its fields as they were written: sessionToken, user, createdWith, expiresAt,
// then what else there is, then objectId. Another session of the same user on the same installation ends.
func (s *Sessions) Create(ctx context.Context, objects *object.Objects, caller *auth.Caller, start Start) (*parse.Map, error) {
	data := parse.NewMap(
		"sessionToken", parse.NewSessionToken(),
		"user", parse.Pointer{ClassName: schema.UserClass, ObjectID: start.UserID},
	)
	if start.Action != "" {
		createdWith := parse.NewMap("action", start.Action)
		if start.Provider != "" {
			createdWith.Set("authProvider", start.Provider)
		}
		data.Set("createdWith", createdWith)
	}
	if !s.cfg.NeverExpire {
		data.Set("expiresAt", s.expiry())
	}
	if start.InstallationID != "" {
		data.Set("installationId", start.InstallationID)
	}
	for name, value := range start.Extra.All() {
		data.Set(name, value)
	}
	saved, err := objects.Create(ctx, caller.AsSystem(), schema.SessionClass, data.Clone())
	if err != nil {
		return nil, err
	}
	data.Set("objectId", saved.Body.Get("objectId"))
	return data, nil
}

// Stored returns the session of a token as it is stored, nil when there is none.
func (s *Sessions) Stored(ctx context.Context, objects *object.Objects, token string) (*parse.Object, error) {
	return first(ctx, objects.Store(), s.class(), &query.Constraint{Key: "sessionToken", Op: query.Eq, Arg: token})
}

// Revoke ends a session by its token, if there is one.
func (s *Sessions) Revoke(ctx context.Context, objects *object.Objects, token string) error {
	where := &query.Constraint{Key: "sessionToken", Op: query.Eq, Arg: token}
	_, err := objects.Store().Delete(ctx, s.class(), where, -1)
	objects.AfterCommit(func() { s.tokens.Drop(token) })
	return err
}

// RevokeAll ends all sessions of a user.
func (s *Sessions) RevokeAll(ctx context.Context, objects *object.Objects, userID string) error {
	_, err := objects.Store().Delete(ctx, s.class(), ofUser(userID), -1)
	objects.AfterCommit(func() { s.users.Drop(userID) })
	return err
}

func ofUser(id string) query.Node {
	return &query.Constraint{Key: "user", Op: query.Eq, Arg: parse.Pointer{ClassName: schema.UserClass, ObjectID: id}}
}

package session

import (
	"context"
	"slices"

	"github.com/parley-backend/parley/internal/access"
	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/internal/object"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// frozen are the fields of a session that an update may not touch, in the order in which they are refused, and who is
// exempt from that.
var frozen = []struct {
	field  string
	exempt func(s *object.Save) bool
}{
	{"user", func(s *object.Save) bool {
		p, _ := s.Data.Get("user").(parse.Pointer)
		return s.Caller.Privileged() || p.ObjectID == s.Caller.UserID()
	}},
	{"installationId", func(*object.Save) bool { return false }},
	{"sessionToken", func(*object.Save) bool { return false }},
	{"expiresAt", func(s *object.Save) bool { return s.Caller.Privileged() }},
	{"createdWith", func(s *object.Save) bool { return s.Caller.Privileged() }},
}

// ignored are the fields that a client cannot give to a session it creates.
var ignored = []string{"objectId", "user", "sessionToken", "expiresAt", "createdWith"}

// Prepare admits only users to their own sessions, and makes of a client's create a session of that user.
func (s *Sessions) Prepare(ctx context.Context, save *object.Save) error {
	caller := save.Caller
	if caller.User == nil && !caller.Privileged() {
		return parse.Errorf(parse.InvalidSessionToken, "Session token required.")
	}
	if save.Data.Has("ACL") {
		return parse.Errorf(parse.InvalidKeyName, "Cannot set ACL on a Session.")
	}
	if save.IsCreate() {
		if caller.Privileged() {
			return nil
		}
		return s.createForClient(ctx, save)
	}
	for _, f := range frozen {
		if touches(save.Data, f.field) && !f.exempt(save) {
			return parse.Errorf(parse.InvalidKeyName, "Invalid key name: %s", f.field)
		}
	}
	if !caller.Privileged() && !owns(caller, save.Original) {
		return parse.Errorf(parse.ObjectNotFound, "Object not found.")
	}
	return nil
}

// touches tells whether a write changes a field or, by a dotted key, a part of it.
func touches(data *parse.Map, field string) bool {
	return slices.ContainsFunc(data.Keys(), func(key string) bool { return query.Root(key) == field })
}

func (s *Sessions) createForClient(ctx context.Context, save *object.Save) error {
	extra := save.Data.Clone()
	for _, key := range extra.Keys() {
		if slices.Contains(ignored, query.Root(key)) {
			extra.Delete(key)
		}
	}
	session, err := s.Create(ctx, save.Objects, save.Caller, Start{UserID: save.Caller.UserID(), Action: "create", Extra: extra})
	if err != nil {
		return err
	}
	save.Response = session
	save.Status = 201
	save.Location = "/classes/" + schema.SessionClass + "/" + session.String("objectId")
	save.Done = true
	return nil
}

// Complete ends the other session of the user on the same installation (destroyDuplicated): a device has one session.
func (s *Sessions) Complete(ctx context.Context, save *object.Save) error {
	if !save.IsCreate() {
		return nil
	}
	user, _ := save.Data.Get("user").(parse.Pointer)
	installation, _ := save.Data.Get("installationId").(string)
	if user.ObjectID == "" || installation == "" {
		return nil
	}
	others := query.And{
		ofUser(user.ObjectID),
		&query.Constraint{Key: "installationId", Op: query.Eq, Arg: installation},
		&query.Constraint{Key: "sessionToken", Op: query.Ne, Arg: save.Data.Get("sessionToken")},
	}
	n, err := save.Objects.Store().Delete(ctx, s.class(), others, -1)
	if n > 0 {
		save.Objects.AfterCommit(func() { s.users.Drop(user.ObjectID) })
	}
	return err
}

// Written forgets what was known of the session.
func (s *Sessions) Written(_ context.Context, save *object.Save, session *parse.Object) error {
	if !save.IsCreate() {
		save.Objects.AfterCommit(func() {
			s.forget(save.Original)
			s.forget(session)
		})
	}
	return nil
}

// Restrict lets a user see its own sessions only; the maintenance key has none.
func (s *Sessions) Restrict(_ context.Context, caller *auth.Caller, q *query.Find) error {
	own, err := access.Sessions(caller)
	if err == nil {
		q.Where = query.AndOf(q.Where, own)
	}
	return err
}

// Deleting lets a user end its own sessions only.
func (s *Sessions) Deleting(_ context.Context, caller *auth.Caller, session *parse.Object) error {
	if _, err := access.Sessions(caller); err != nil {
		return err
	}
	if !session.Has("createdAt") || !caller.Master && !owns(caller, session) {
		return parse.Errorf(parse.ObjectNotFound, "Object not found for delete.")
	}
	return nil
}

// Deleted forgets the session.
func (s *Sessions) Deleted(_ *auth.Caller, session *parse.Object) { s.forget(session) }

// Purged forgets all sessions.
func (s *Sessions) Purged(context.Context) { s.tokens.Clear() }

func (s *Sessions) forget(session *parse.Object) {
	if session == nil {
		return
	}
	if token := session.String("sessionToken"); token != "" {
		s.tokens.Drop(token)
	}
}

func owns(caller *auth.Caller, session *parse.Object) bool {
	owner, _ := session.Get("user").(parse.Pointer)
	return caller.UserID() != "" && owner.ObjectID == caller.UserID()
}

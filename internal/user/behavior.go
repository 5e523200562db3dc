package user

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/internal/object"
	"github.com/parley-backend/parley/internal/session"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

// cloudInstallation is the installation id of requests that the server makes itself.
const cloudInstallation = "cloud"

// noInstallation tells whether a sign-up comes from no installation that could use a session: from the server itself, or with a
// privileged key that names none.
func noInstallation(caller *auth.Caller) bool {
	return caller.InstallationID == cloudInstallation || caller.InstallationID == "" && caller.Privileged()
}

// notes are what the steps of one save of a user tell each other.
type notes struct {
	// provider that the user signed up with.
	provider         string
	authDataResponse *parse.Map
	// namedUser: the user name was made up here, so the client has to be told.
	namedUser bool
	// newPassword: an update changed the password.
	newPassword bool
}

func note(s *object.Save) *notes {
	n, ok := s.Notes.(*notes)
	if !ok {
		n = &notes{}
		s.Notes = n
	}
	return n
}

// Prepare refuses what no client may do to a user, and decides whose the authData is. The order of its questions is the order in
// which Parse Server refuses.
func (u *Users) Prepare(ctx context.Context, s *object.Save) error {
	if err := mayModify(s); err != nil {
		return err
	}
	// A client's session token is no field: the SDKs send it with a user they copied from a login.
	for _, key := range s.Data.Keys() {
		if query.Root(key) == "sessionToken" {
			s.Data.Delete(key)
		}
	}
	if s.IsCreate() && !hasCredentials(s.Data.Get("authData")) {
		if s.Data.String("username") == "" {
			return parse.Errorf(parse.UsernameMissing, "bad or missing username")
		}
		if s.Data.String("password") == "" {
			return parse.Errorf(parse.PasswordMissing, "password is required")
		}
	}
	if !s.Caller.Privileged() && slices.ContainsFunc(s.Data.Keys(), func(key string) bool { return query.Root(key) == "emailVerified" }) {
		return parse.Denied(parse.OperationForbidden, "Clients aren't allowed to manually update email verification.")
	}
	authData, err := authDataOf(s.Data)
	if err != nil || authData == nil {
		return err
	}
	return u.handleAuthData(ctx, s, authData)
}

// mayModify admits to an update whoever is logged in and may write the user. Whether the user exists is not told.
func mayModify(s *object.Save) error {
	switch {
	case s.IsCreate() || s.Caller.Privileged():
		return nil
	case s.Caller.User == nil:
		return parse.Denied(parse.SessionMissing, "Cannot modify user %s.", s.ID)
	case s.Unwritable:
		return parse.Denied(parse.SessionMissing, "Insufficient auth.")
	}
	return nil
}

// Complete turns the fields that clients write into those that are stored.
func (u *Users) Complete(ctx context.Context, s *object.Save) error {
	if !s.IsCreate() && (s.Data.Has("password") || s.Data.Has("email")) {
		// The mail with this token went to the owner of the old password, or to the old address.
		s.Data.Set("_perishable_token", parse.Delete{})
		s.Data.Set("_perishable_token_expires_at", parse.Delete{})
	}
	if u.cfg.LowercaseUsernames {
		lowercase(s.Data, "username")
	}
	if u.cfg.LowercaseEmails {
		lowercase(s.Data, "email")
	}
	if err := u.completePassword(ctx, s); err != nil {
		return err
	}
	if s.IsCreate() && s.Data.String("username") == "" {
		s.Data.Set("username", parse.NewID(25))
		note(s).namedUser = true
	}
	if s.IsCreate() && s.Data.Get("email") == nil {
		s.Data.Delete("email") // an address that is null is none
	}
	if err := u.completeEmail(ctx, s); err != nil {
		return err
	}
	u.completeACL(s)
	if authData, ok := s.Data.Get("authData").(*parse.Map); ok {
		if s.IsCreate() {
			note(s).provider = providers(authData)
		}
		for provider, data := range authData.All() {
			switch {
			case data != nil:
				s.Data.Set(schema.AuthDataPrefix+provider, data)
			case !s.IsCreate():
				s.Data.Set(schema.AuthDataPrefix+provider, parse.Delete{})
			}
		}
		s.Data.Delete("authData")
	}
	if s.IsCreate() {
		s.Location = "/users/" + s.ID
	}
	return nil
}

func lowercase(data *parse.Map, field string) {
	if text, ok := data.Get(field).(string); ok {
		data.Set(field, strings.ToLower(text))
	}
}

// completePassword puts the hash in place of the password, and what the password policy wants to remember.
func (u *Users) completePassword(ctx context.Context, s *object.Save) error {
	policy := u.cfg.PasswordPolicy
	if s.IsCreate() && policy != nil && policy.MaxPasswordAge > 0 {
		s.Data.Set("_password_changed_at", now())
	}
	given, ok := s.Data.Lookup("password")
	if !ok {
		return nil
	}
	password, ok := given.(string)
	if !ok {
		return parse.Errorf(parse.PasswordMissing, "password is required")
	}
	s.Data.Delete("password")
	if policy != nil {
		if err := policy.check(password, s.Data.String("username"), s.Original); err != nil {
			return err
		}
		if !s.IsCreate() && policy.MaxPasswordHistory > 0 {
			history, err := u.history(ctx, password, s.Original)
			if err != nil {
				return err
			}
			s.Data.Set("_password_history", history)
		}
		if policy.MaxPasswordAge > 0 {
			s.Data.Set("_password_changed_at", now())
		}
	}
	hash, err := u.passwords.Hash(ctx, password)
	if err != nil {
		return err
	}
	s.Data.Set("_hashed_password", hash)
	note(s).newPassword = !s.IsCreate()
	return nil
}

// completeACL gives a new user its ACL, and sees to it that no client locks its user out.
func (u *Users) completeACL(s *object.Save) {
	acl, given := s.Data.Get("ACL").(parse.ACL)
	switch {
	case s.IsCreate():
		acl = acl.Clone()
		if acl == nil {
			acl = parse.ACL{}
			if u.cfg.PublicUsers {
				acl[parse.Public] = parse.Access{Read: true}
			}
		}
	case given && !s.Caller.Privileged():
		acl = acl.Clone()
		if acl == nil {
			acl = parse.ACL{}
		}
	default:
		return
	}
	acl[s.ID] = parse.Access{Read: true, Write: true}
	s.Data.Set("ACL", acl)
}

// Written forgets what was known of the user and makes the session that the answer brings: of a sign-up, or in place of those
// that a new password ended.
func (u *Users) Written(ctx context.Context, s *object.Save, stored *parse.Object) error {
	n := note(s)
	if n.namedUser {
		s.Response.Set("username", stored.Get("username"))
	}
	start := session.Start{UserID: s.ID, InstallationID: s.Caller.InstallationID}
	wanted := false
	if s.IsCreate() {
		unverified, err := u.mustVerify(ctx, &Ask{Caller: s.Caller, User: session.User(stored), Action: "signup", Provider: signupProvider(n)})
		if err != nil {
			return err
		}
		if unverified && u.cfg.PreventSignupWithUnverifiedEmail {
			return errUnverified
		}
		// Who is logged in and makes a user from authData stays who they are.
		linking := s.Caller.User != nil && n.authDataResponse != nil
		wanted = !unverified && !linking
		start.Action, start.Provider = "signup", signupProvider(n)
	} else {
		s.Objects.AfterCommit(func() { u.cfg.Sessions.ForgetUser(s.ID) })
		if n.newPassword && !u.cfg.KeepSessionsOnPasswordChange {
			if err := u.cfg.Sessions.RevokeAll(ctx, s.Objects, s.ID); err != nil {
				return err
			}
		}
		wanted = n.newPassword && !s.Caller.Privileged()
	}
	if wanted && !noInstallation(s.Caller) {
		made, err := u.cfg.Sessions.Create(ctx, s.Objects, s.Caller, start)
		if err != nil {
			return err
		}
		s.Response.Set("sessionToken", made.Get("sessionToken"))
	}
	if n.authDataResponse != nil {
		s.Response.Set("authDataResponse", n.authDataResponse)
	}
	return nil
}

func signupProvider(n *notes) string {
	if n.provider != "" {
		return n.provider
	}
	return "password"
}

// Deleting refuses whoever is not logged in.
func (u *Users) Deleting(_ context.Context, caller *auth.Caller, _ *parse.Object) error {
	if caller.User == nil && !caller.Privileged() {
		return errDelete
	}
	return nil
}

var errDelete = parse.Errorf(parse.SessionMissing, "Insufficient auth to delete user")

// RemoveOwned ends the sessions of the user, so that no later user with the same id (option allowCustomObjectId) inherits them.
func (u *Users) RemoveOwned(ctx context.Context, objects *object.Objects, user *parse.Object) error {
	return u.cfg.Sessions.RevokeAll(ctx, objects, user.ID())
}

// Deleted makes every session of the user worthless at once.
func (u *Users) Deleted(_ *auth.Caller, user *parse.Object) { u.cfg.Sessions.ForgetUser(user.ID()) }

// Purged does so for all users.
func (u *Users) Purged(context.Context) { u.cfg.Sessions.ForgetAll() }

// taken are the answers to a clash with another user, by the field of the unique index.
var taken = map[string]*parse.Error{
	"username": parse.Errorf(parse.UsernameTaken, "Account already exists for this username."),
	"email":    parse.Errorf(parse.EmailTaken, "Account already exists for this email address."),
}

// Refused gives refusals the codes that they have for users: who may not write or delete a user reads the same as for a user that
// does not exist (206), and a clash says of what.
func (u *Users) Refused(caller *auth.Caller, id string, err error) error {
	var clash *storage.Error
	if errors.As(err, &clash) && clash.Kind == storage.Duplicate && len(clash.Fields) > 0 {
		if strings.HasPrefix(clash.Fields[0], schema.AuthDataPrefix) {
			return errAlreadyLinked
		}
		if answer, ok := taken[clash.Fields[0]]; ok {
			return answer
		}
	}
	if id != "" && !caller.Privileged() && errors.Is(err, parse.ObjectNotFound) {
		return parse.Denied(parse.SessionMissing, "Insufficient auth.")
	}
	return err
}

// Shape shows authData as the providers want it shown. Who sees it at all, package access has decided.
func (u *Users) Shape(_ *auth.Caller, user *parse.Object) { u.shapeAuthData(user) }

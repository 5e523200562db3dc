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

var (
	errUnsupported   = parse.Errorf(parse.UnsupportedService, "This authentication method is unsupported.")
	errAlreadyLinked = parse.Errorf(parse.AccountAlreadyLinked, "this auth is already used")
	errLostRace      = parse.Errorf(parse.ScriptFailed, "Invalid auth data")
)

// validated is what the adapters made of authData.
type validated struct {
	// authData to be stored, by provider; nil unlinks.
	authData *parse.Map
	// response is the authDataResponse of the answer.
	response *parse.Map
}

// providers joins the names of the providers of authData, as createdWith of a session has them.
func providers(authData *parse.Map) string { return strings.Join(authData.Keys(), ",") }

// hasCredentials tells whether some provider of authData comes with data.
func hasCredentials(authData any) bool {
	m, _ := authData.(*parse.Map)
	for _, data := range m.All() {
		if d, ok := data.(*parse.Map); ok && d.Len() > 0 {
			return true
		}
	}
	return false
}

// authDataOf returns the authData of a save that is to be worked on, nil when there is none.
func authDataOf(data *parse.Map) (*parse.Map, error) {
	given, ok := data.Lookup("authData")
	if !ok {
		return nil, nil
	}
	switch v := given.(type) {
	case *parse.Map:
		if v.Len() == 0 {
			data.Delete("authData") // says nothing
			return nil, nil
		}
		for _, member := range v.All() {
			if _, ok := member.(*parse.Map); !ok && member != nil {
				return nil, errUnsupported
			}
		}
		return v, nil
	case nil, string, parse.Op:
		return nil, errUnsupported
	case bool:
		if !v {
			return nil, errUnsupported
		}
	case float64:
		if v == 0 {
			return nil, errUnsupported
		}
	}
	return nil, nil // of the wrong type: the schema says so
}

// storedAuthData collects what is stored of the providers of a user.
func storedAuthData(stored *parse.Object) *parse.Map {
	authData := &parse.Map{}
	if stored == nil {
		return authData
	}
	for name, value := range stored.All() {
		if provider, ok := strings.CutPrefix(name, schema.AuthDataPrefix); ok && value != nil {
			authData.Set(provider, value)
		}
	}
	return authData
}

// handleAuthData decides whose the authData of a save is. It logs in the user it leads to (then s.Done is set), or leaves in s
// what is to be stored with the user that is made or changed.
func (u *Users) handleAuthData(ctx context.Context, s *object.Save, authData *parse.Map) error {
	current := storedAuthData(s.Original)
	found, err := u.findByAuthData(ctx, s.Objects.Store(), authData, current, true)
	if err != nil {
		return err
	}
	if !s.Caller.Privileged() {
		found = slices.DeleteFunc(found, lockedOut)
	}
	userID := s.ID
	if s.IsCreate() {
		userID = s.Caller.UserID()
	}
	if len(found) > 1 || len(found) == 1 && userID != "" && found[0].ID() != userID {
		// Only who can prove to own the account there learns that somebody uses it here.
		if _, err := u.validate(ctx, s.Caller, authData, found[0], s.Data); err != nil {
			return err
		}
		return errAlreadyLinked
	}
	if s.IsCreate() && len(found) == 1 {
		return u.logInByAuthData(ctx, s, authData, found[0])
	}
	ask, owner := authData, s.Original
	if !s.IsCreate() && !s.Caller.Privileged() && s.Caller.UserID() != s.ID {
		owner = nil // somebody with the right to write the object is not the user
	}
	if len(found) == 1 && (u.cfg.AllowExpiredAuthDataToken || owner != nil) {
		// What the client only repeats was validated when it was stored.
		if ask = mutated(authData, current); ask.Len() == 0 {
			s.Data.Delete("authData")
			return nil
		}
	}
	v, err := u.validate(ctx, s.Caller, ask, owner, s.Data)
	if err != nil {
		return err
	}
	s.Data.Set("authData", v.authData)
	note(s).authDataResponse = v.response
	s.Where = andLock(s.Where, current, v.authData)
	return nil
}

// logInByAuthData ends a sign-up with the session of the user that its authData belongs to.
func (u *Users) logInByAuthData(ctx context.Context, s *object.Save, authData *parse.Map, stored *parse.Object) error {
	current := storedAuthData(stored)
	isLogin := s.Caller.UserID() == ""
	if err := u.requireAdditional(&AuthRequest{Caller: s.Caller, User: session.User(stored)}, authData, current); err != nil {
		return err
	}
	changed := mutated(authData, current)
	body := u.loginBody(stored, changed)
	s.Response, s.Status, s.Done = body, 200, true
	s.Location = "/users/" + stored.ID()
	if !isLogin && changed.Len() == 0 {
		return nil // the user of this session; nothing new to validate, nothing to store, no other session
	}
	ask := authData // a login validates everything: a known id alone must not open the account
	if !isLogin {
		ask = changed
	}
	v, err := u.validate(ctx, s.Caller, ask, stored, s.Data)
	if err != nil {
		return err
	}
	if isLogin {
		if err := s.Objects.LoggingIn(ctx, s.Caller, session.User(stored)); err != nil {
			return err
		}
	}
	if err := u.storeAuthData(ctx, s.Objects, stored, v.authData); err != nil {
		return err
	}
	if isLogin && !noInstallation(s.Caller) {
		made, err := u.cfg.Sessions.Create(ctx, s.Objects, s.Caller, session.Start{
			UserID: stored.ID(), Action: "login", Provider: providers(authData), InstallationID: s.Caller.InstallationID,
		})
		if err != nil {
			return err
		}
		body.Set("sessionToken", made.Get("sessionToken"))
	}
	body.Set("authDataResponse", v.response)
	return nil
}

// loginBody is a user as the answer of a login by authData has it: a body, where moments are texts.
func (u *Users) loginBody(stored *parse.Object, changed *parse.Map) *parse.Map {
	user := session.User(stored)
	if authData, ok := user.Get("authData").(*parse.Map); ok {
		authData = authData.Clone()
		for provider, data := range changed.All() {
			if data == nil {
				authData.Delete(provider)
			} else {
				authData.Set(provider, data)
			}
		}
		user.Set("authData", authData)
	}
	u.shapeAuthData(user)
	for _, name := range []string{"createdAt", "updatedAt"} {
		if d, ok := user.Get(name).(parse.Date); ok {
			user.Set(name, d.String())
		}
	}
	return &user.Map
}

// storeAuthData writes what a login changed of the authData of a user. It loses against another login that used up the same
// single-use data (141).
func (u *Users) storeAuthData(ctx context.Context, objects *object.Objects, stored *parse.Object, authData *parse.Map) error {
	current := storedAuthData(stored)
	changes := &parse.Map{}
	for provider, data := range authData.All() {
		if parse.Equal(data, current.Get(provider)) {
			continue
		}
		if data == nil {
			data = parse.Delete{}
		}
		changes.Set(schema.AuthDataPrefix+provider, data)
	}
	if changes.Len() == 0 {
		return nil
	}
	where := andLock(is("objectId", stored.ID()), current, authData)
	after, err := u.change(ctx, objects.Store(), where, changes)
	if errors.Is(err, storage.Duplicate) {
		return errAlreadyLinked
	}
	if err != nil {
		return err
	}
	objects.AfterCommit(func() { u.cfg.Sessions.ForgetUser(stored.ID()) })
	if len(after) == 0 {
		return errLostRace
	}
	return nil
}

// andLock adds to a condition that what the new authData replaces is still what is stored, member by member: of two requests that
// use up the same code, one finds nothing to change. Objects and dates are left out, as they have no one form in every database.
func andLock(where query.Node, current, next *parse.Map) query.Node {
	for provider, data := range next.All() {
		was, _ := current.Get(provider).(*parse.Map)
		will, ok := data.(*parse.Map)
		if !ok {
			continue // unlinked, whatever it is
		}
		for member, value := range was.All() {
			switch value.(type) {
			case string, float64, bool, []any:
			default:
				continue
			}
			if parse.Equal(value, will.Get(member)) {
				continue
			}
			where = query.AndOf(where, is(schema.AuthDataPrefix+provider+"."+member, value))
		}
	}
	return where
}

// findByAuthData returns the stored users, at most two, that have one of the ids in authData. When login is set, the adapters are
// asked first whether the data is fit to look for (BeforeFind), except for what is stored already.
func (u *Users) findByAuthData(ctx context.Context, store storage.Store, authData, current *parse.Map, login bool) ([]*parse.Object, error) {
	var ids query.Or
	for provider, given := range authData.All() {
		data, _ := given.(*parse.Map)
		adapter := u.adapter(provider)
		if data == nil || adapter == nil { // unlinked, or to be refused by validate
			continue
		}
		was, _ := current.Get(provider).(*parse.Map)
		if login && (was == nil || !subset(data, was)) {
			if err := adapter.BeforeFind(ctx, data); err != nil {
				return nil, adapterError(err)
			}
		}
		switch id := data.Get("id").(type) {
		case string:
			if id != "" {
				ids = append(ids, is(schema.AuthDataPrefix+provider+".id", id))
			}
		case nil:
		default:
			return nil, parse.Errorf(parse.InvalidValue, "Invalid authData id for provider '%s'.", provider)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	return u.find(ctx, store, ids, 2)
}

// mutated returns the providers whose data says something else than what is stored. Repeating a part of it is nothing new:
// clients send back what AfterFind left of it.
func mutated(authData, current *parse.Map) *parse.Map {
	changed := &parse.Map{}
	for provider, given := range authData.All() {
		data, _ := given.(*parse.Map)
		was, _ := current.Get(provider).(*parse.Map)
		if data == nil || was == nil || !subset(data, was) {
			changed.Set(provider, given)
		}
	}
	return changed
}

// subset tells whether data has members and all of them are in was.
func subset(data, was *parse.Map) bool {
	for name, value := range data.All() {
		if old, ok := was.Lookup(name); !ok || !parse.Equal(value, old) {
			return false
		}
	}
	return data.Len() > 0
}

// validate asks the adapters, in the order of their names, so that the same one fails first each time. stored is the user that
// the data belongs to, nil for a new one; object are the fields that are written, for the adapters to look at.
func (u *Users) validate(ctx context.Context, caller *auth.Caller, authData *parse.Map, stored *parse.Object, object *parse.Map) (*validated, error) {
	ask := &AuthRequest{Caller: caller, Object: object}
	current := storedAuthData(stored)
	if stored != nil {
		ask.User = session.User(stored)
	}
	names := authData.Keys()
	slices.Sort(names)
	out := &validated{authData: &parse.Map{}, response: &parse.Map{}}
	for _, provider := range names {
		data, _ := authData.Get(provider).(*parse.Map)
		if data == nil {
			out.authData.Set(provider, nil)
			continue
		}
		adapter := u.adapter(provider)
		if adapter == nil {
			return nil, errUnsupported
		}
		if err := adapter.ValidateAppID(ctx, data, ask); err != nil {
			return nil, adapterError(err)
		}
		result, err := u.validation(adapter, ask, current.Has(provider))(ctx, data, ask)
		if err != nil {
			return nil, adapterError(err)
		}
		if result.Response != nil {
			out.response.Set(provider, result.Response)
		}
		switch {
		case result.DoNotSave:
		case result.Save != nil:
			out.authData.Set(provider, result.Save)
		default:
			out.authData.Set(provider, data)
		}
	}
	return out, nil
}

// validation picks one of the three validations of an adapter.
func (u *Users) validation(adapter AuthAdapter, ask *AuthRequest, configured bool) func(context.Context, *parse.Map, *AuthRequest) (AuthResult, error) {
	loggedIn := ask.User != nil && (ask.Caller.Privileged() || ask.Caller.UserID() == ask.User.ID())
	switch {
	case !configured:
		return adapter.ValidateSetUp
	case loggedIn:
		return adapter.ValidateUpdate
	}
	return adapter.ValidateLogin
}

// requireAdditional refuses a login that lacks the second factor the user has set up, unless a solo provider vouches.
func (u *Users) requireAdditional(ask *AuthRequest, authData, current *parse.Map) error {
	var absent []string
	provided := false
	for provider, stored := range current.All() {
		adapter := u.adapter(provider)
		if adapter == nil {
			continue
		}
		data, _ := stored.(*parse.Map)
		given := authData.Get(provider) != nil
		switch adapter.Policy(ask, data) {
		case PolicySolo:
			if given {
				return nil
			}
		case PolicyAdditional:
			if given {
				provided = true
			} else {
				absent = append(absent, provider)
			}
		}
	}
	if provided || len(absent) == 0 {
		return nil
	}
	return parse.Errorf(parse.OtherCause, "Missing additional authData %s", strings.Join(absent, ","))
}

// lockedOut tells whether a stored user has an ACL that admits nobody: such a user cannot log in.
func lockedOut(stored *parse.Object) bool {
	acl, ok := session.User(stored).Get("ACL").(parse.ACL)
	return ok && len(acl) == 0
}

// adapterError keeps what an adapter says to the client, and nothing else of what it returns.
func adapterError(err error) error {
	var told *parse.Error
	if errors.As(err, &told) {
		return err
	}
	return &parse.Error{Code: parse.ScriptFailed, Message: "Auth failed. Unknown error.", Err: err}
}

// shapeAuthData applies AfterFind to the authData of a user that is about to be shown, in place.
func (u *Users) shapeAuthData(user *parse.Object) {
	authData, ok := user.Get("authData").(*parse.Map)
	if !ok {
		return
	}
	shown := &parse.Map{}
	for provider, stored := range authData.All() {
		data, _ := stored.(*parse.Map)
		if adapter := u.adapter(provider); adapter != nil && data != nil {
			if less := adapter.AfterFind(data); less != nil {
				stored = less
			}
		}
		if stored != nil {
			shown.Set(provider, stored)
		}
	}
	if shown.Len() == 0 {
		user.Delete("authData")
		return
	}
	user.Set("authData", shown)
}

package user

import (
	"context"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
)

// AuthAdapter is what one authentication provider does: it validates the data that a client sends about the user's account there
// (contract parse-api.md, 4.6). The adapter keeps its own options. Embed [NoHooks] and write what the provider needs, or use
// [ValidateAuthData] for one that has a single question.
//
// data is the member of authData under the name of the provider, an object. An error of type *parse.Error reaches the client as it
// is; of any other the client reads 141 and the log the cause.
type AuthAdapter interface {
	// Policy of the provider for a user; stored is what is stored of it, nil when unknown.
	Policy(ask *AuthRequest, stored *parse.Map) Policy
	// ValidateAppID is asked before each of the three validations: is the data meant for this application?
	ValidateAppID(ctx context.Context, data *parse.Map, ask *AuthRequest) error
	// ValidateSetUp is asked when the provider is new to the user, be the user new or not.
	ValidateSetUp(ctx context.Context, data *parse.Map, ask *AuthRequest) (AuthResult, error)
	// ValidateLogin is asked when nobody is logged in and the user that the data leads to has the provider already.
	ValidateLogin(ctx context.Context, data *parse.Map, ask *AuthRequest) (AuthResult, error)
	// ValidateUpdate is asked when the user itself, or the master key, changes the data.
	ValidateUpdate(ctx context.Context, data *parse.Map, ask *AuthRequest) (AuthResult, error)
	// BeforeFind is asked before the data is used to look for its user: it may fill in the id, in place.
	BeforeFind(ctx context.Context, data *parse.Map) error
	// AfterFind returns what clients read of the stored data; nil leaves it as it is.
	AfterFind(stored *parse.Map) *parse.Map
	// Challenge answers POST /challenge: challenge is the member of challengeData, data the one of authData, which may be nil.
	// A nil answer becomes true; an adapter without challenges returns [NoChallenge].
	Challenge(ctx context.Context, challenge any, data *parse.Map, ask *AuthRequest) (any, error)
}

// AuthRequest is what an [AuthAdapter] may know besides the data.
type AuthRequest struct {
	Caller *auth.Caller
	// User is whom the data belongs to: the one who is logged in, or whom the data led to; nil for a new one.
	User *parse.Object
	// Object are the fields that the request writes; nil in a challenge and in a login.
	Object *parse.Map
	// IsChallenge is set in POST /challenge.
	IsChallenge bool
}

// AuthResult is what a validation may answer. The zero value: the data is good, store it as it came.
type AuthResult struct {
	// Response, when set, is told to the client under authDataResponse.
	Response any
	// Save, when set, is stored in place of the data.
	Save *parse.Map
	// DoNotSave leaves what is stored as it is.
	DoNotSave bool
}

// Policy says what the data of a provider is good for.
type Policy string

// The policies.
const (
	// PolicyDefault is a login of its own, beside others. It is the zero value.
	PolicyDefault Policy = ""
	// PolicyAdditional is a second factor: who has set it up must give it at every login.
	PolicyAdditional Policy = "additional"
	// PolicySolo is a login that needs no second factor.
	PolicySolo Policy = "solo"
)

// NoHooks is an AuthAdapter that refuses nothing and adds nothing, to be embedded.
type NoHooks struct{}

// noChallenge is the type of NoChallenge.
type noChallenge struct{}

// NoChallenge is the answer of an adapter that knows no challenges: nothing stands in the answer for it.
var NoChallenge = noChallenge{}

func (NoHooks) Policy(*AuthRequest, *parse.Map) Policy                        { return PolicyDefault }
func (NoHooks) ValidateAppID(context.Context, *parse.Map, *AuthRequest) error { return nil }
func (NoHooks) BeforeFind(context.Context, *parse.Map) error                  { return nil }
func (NoHooks) AfterFind(*parse.Map) *parse.Map                               { return nil }
func (NoHooks) ValidateSetUp(context.Context, *parse.Map, *AuthRequest) (r AuthResult, err error) {
	return r, nil
}
func (NoHooks) ValidateLogin(context.Context, *parse.Map, *AuthRequest) (r AuthResult, err error) {
	return r, nil
}
func (NoHooks) ValidateUpdate(context.Context, *parse.Map, *AuthRequest) (r AuthResult, err error) {
	return r, nil
}
func (NoHooks) Challenge(context.Context, any, *parse.Map, *AuthRequest) (any, error) {
	return NoChallenge, nil
}

// ValidateAuthData is an AuthAdapter that validates in the same way whoever asks and whatever is stored.
type ValidateAuthData struct {
	NoHooks
	Validate func(ctx context.Context, data *parse.Map, ask *AuthRequest) (AuthResult, error)
}

func (v ValidateAuthData) ValidateSetUp(ctx context.Context, data *parse.Map, ask *AuthRequest) (AuthResult, error) {
	return v.Validate(ctx, data, ask)
}
func (v ValidateAuthData) ValidateLogin(ctx context.Context, data *parse.Map, ask *AuthRequest) (AuthResult, error) {
	return v.Validate(ctx, data, ask)
}
func (v ValidateAuthData) ValidateUpdate(ctx context.Context, data *parse.Map, ask *AuthRequest) (AuthResult, error) {
	return v.Validate(ctx, data, ask)
}

// anonymousProvider is built in: whoever knows the id is the user.
const anonymousProvider = "anonymous"

// adapter returns the adapter of a provider, nil for an unknown or disabled one.
func (u *Users) adapter(provider string) AuthAdapter {
	if a, ok := u.cfg.Auth[provider]; ok {
		return a
	}
	if provider == anonymousProvider && !u.cfg.NoAnonymousUsers {
		return NoHooks{}
	}
	return nil
}

package user

import (
	"context"
	"slices"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/internal/object"
	"github.com/parley-backend/parley/internal/session"
	"github.com/parley-backend/parley/parse"
)

// Challenge answers POST /challenge with {"challengeData":{provider:…}}: what the providers named in challengeData want the client
// to prove next. The user may be named by name and password, or by the authData of one provider.
func (u *Users) Challenge(ctx context.Context, objects *object.Objects, caller *auth.Caller, body, params *parse.Map) (*parse.Map, error) {
	ask := &AuthRequest{Caller: caller, IsChallenge: true}
	if parse.Truthy(body.Get("username")) || parse.Truthy(body.Get("email")) {
		if !parse.Truthy(body.Get("password")) {
			return nil, parse.Errorf(parse.OtherCause, "You provided username or email, you need to also provide password.")
		}
		stored, err := u.authenticate(ctx, objects, caller, body, params)
		if err != nil {
			return nil, err
		}
		ask.User = session.User(stored)
	}
	wanted := body.Get("challengeData")
	if !parse.Truthy(wanted) {
		return nil, parse.Errorf(parse.OtherCause, "Nothing to challenge.")
	}
	challenges, ok := wanted.(*parse.Map)
	if !ok {
		return nil, parse.Errorf(parse.OtherCause, "challengeData should be an object.")
	}
	authData, err := challengeAuthData(body, ask.User)
	if err != nil {
		return nil, err
	}
	if authData != nil {
		if err := u.identify(ctx, objects, authData, ask); err != nil {
			return nil, err
		}
	}
	names := challenges.Keys()
	slices.Sort(names)
	answers := &parse.Map{}
	for _, provider := range names {
		adapter := u.adapter(provider)
		if adapter == nil {
			continue
		}
		data, _ := authData.Get(provider).(*parse.Map)
		answer, err := adapter.Challenge(ctx, challenges.Get(provider), data, ask)
		if err != nil {
			return nil, adapterError(err)
		}
		switch {
		case answer == NoChallenge:
		case parse.Truthy(answer):
			answers.Set(provider, answer)
		default:
			answers.Set(provider, true)
		}
	}
	return parse.NewMap("challengeData", answers), nil
}

// challengeAuthData reads the authData of a challenge, which may name one account.
func challengeAuthData(body *parse.Map, user *parse.Object) (*parse.Map, error) {
	value := body.Get("authData")
	if !parse.Truthy(value) {
		return nil, nil
	}
	authData, ok := value.(*parse.Map)
	if !ok {
		return nil, parse.Errorf(parse.OtherCause, "authData should be an object.")
	}
	if user != nil {
		return nil, parse.Errorf(parse.OtherCause, "You cannot provide username/email and authData, only use one identification method.")
	}
	ids := 0
	for provider, data := range authData.All() {
		member, ok := data.(*parse.Map)
		if !ok && data != nil {
			return nil, parse.Errorf(parse.OtherCause, "authData.%s should be an object.", provider)
		}
		if parse.Truthy(member.Get("id")) {
			ids++
		}
	}
	if ids > 1 {
		return nil, parse.Errorf(parse.OtherCause, "You cannot provide more than one authData provider with an id.")
	}
	return authData, nil
}

// identify finds the user of a challenge by its authData. Whatever is wrong with it, the answer is that there is no such user:
// ids are not to be guessed here.
func (u *Users) identify(ctx context.Context, objects *object.Objects, authData *parse.Map, ask *AuthRequest) error {
	unknown := parse.Errorf(parse.ObjectNotFound, "User not found.")
	found, err := u.findByAuthData(ctx, objects.Store(), authData, &parse.Map{}, false)
	if err != nil || len(found) != 1 {
		return unknown
	}
	ask.User = session.User(found[0])
	current := storedAuthData(found[0])
	for provider, value := range authData.All() {
		data, _ := value.(*parse.Map)
		adapter := u.adapter(provider)
		if !parse.Truthy(data.Get("id")) || adapter == nil {
			continue
		}
		if err := adapter.ValidateAppID(ctx, data, ask); err != nil {
			return unknown
		}
		if _, err := u.validation(adapter, ask, current.Has(provider))(ctx, data, ask); err != nil {
			return unknown
		}
	}
	return nil
}

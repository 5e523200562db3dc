package user

import (
	"context"
	"regexp"
	"time"

	"github.com/parley-backend/parley/internal/object"
	"github.com/parley-backend/parley/parse"
)

// address is all that Parse Server asks of an e-mail address.
var address = regexp.MustCompile(`^.+@.+$`)

var errUnverified = parse.Errorf(parse.EmailNotFound, "User email is not verified.")

// errNoMail is the answer of everything that has to send mail while nothing can.
var errNoMail = parse.Errorf(parse.InternalServerError, "An appName, publicServerURL, and emailAdapter are required for password reset and email verification functionality.")

// completeEmail checks the form of an address and begins its verification. That it is nobody else's the unique index sees to.
func (u *Users) completeEmail(ctx context.Context, s *object.Save) error {
	email, ok := s.Data.Get("email").(string)
	if !ok || email == "" {
		return nil
	}
	if !address.MatchString(email) {
		return parse.Errorf(parse.InvalidEmailAddress, "Email address format is invalid.")
	}
	if authData, ok := s.Data.Get("authData").(*parse.Map); ok {
		if name := providers(authData); name != "" && name != anonymousProvider {
			return nil // the provider knows its users
		}
	}
	ask := &Ask{Caller: s.Caller, User: written(s)}
	if s.IsCreate() {
		ask.Action, ask.Provider = "signup", signupProvider(note(s))
	}
	verify, err := u.cfg.VerifyUserEmails.holds(ctx, ask)
	if err != nil || !verify {
		return err
	}
	s.Data.Set("_email_verify_token", parse.NewID(25))
	if validity := u.cfg.EmailVerifyTokenValidity; validity > 0 {
		s.Data.Set("_email_verify_token_expires_at", parse.DateOf(time.Now().Add(time.Duration(validity*float64(time.Second)))))
	}
	s.Data.Set("emailVerified", false)
	return nil
}

// written is the user as the save is about to leave it, for a condition to look at.
func written(s *object.Save) *parse.Object {
	user := s.Original.Clone()
	if user == nil {
		user = parse.NewObject(s.ClassName)
	}
	for name, value := range s.Data.All() {
		if _, op := value.(parse.Op); !op && name[0] != '_' {
			user.Set(name, parse.Clone(value))
		}
	}
	return user
}

// mustVerify tells whether a user has to verify its address before it may have a session.
func (u *Users) mustVerify(ctx context.Context, ask *Ask) (bool, error) {
	for _, condition := range []Condition{u.cfg.VerifyUserEmails, u.cfg.PreventLoginWithUnverifiedEmail} {
		if holds, err := condition.holds(ctx, ask); err != nil || !holds {
			return false, err
		}
	}
	return true, nil
}

// RequestPasswordReset answers POST /requestPasswordReset.
func (u *Users) RequestPasswordReset(context.Context, *object.Objects, *parse.Map) error {
	return errNoMail
}

// RequestVerificationEmail answers POST /verificationEmailRequest.
func (u *Users) RequestVerificationEmail(context.Context, *object.Objects, *parse.Map) error {
	return errNoMail
}

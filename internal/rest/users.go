package rest

import (
	"context"

	"github.com/parley-backend/parley/parse"
)

// urlParams are the parameters of the URL as a login takes them: text, whatever it looks like.
func (r *request) urlParams() *parse.Map {
	m := &parse.Map{}
	for name, values := range r.query {
		m.Set(name, values[0])
	}
	return m
}

func one(o *parse.Object, err error) (*reply, error) {
	if err != nil {
		return nil, err
	}
	return &reply{body: parse.Bare{Object: o}}, nil
}

func me(ctx context.Context, s *Server, r *request) (*reply, error) {
	return one(s.cfg.Users.Me(ctx, r.objects, r.caller))
}

func logIn(ctx context.Context, s *Server, r *request) (*reply, error) {
	return one(s.cfg.Users.LogIn(ctx, r.objects, r.caller, r.body, r.urlParams()))
}

func logInAs(ctx context.Context, s *Server, r *request) (*reply, error) {
	return one(s.cfg.Users.LogInAs(ctx, r.objects, r.caller, r.body, r.urlParams()))
}

func logOut(ctx context.Context, s *Server, r *request) (*reply, error) {
	if err := s.cfg.Users.LogOut(ctx, r.objects, r.caller); err != nil {
		return nil, err
	}
	return empty(), nil
}

func verifyPassword(ctx context.Context, s *Server, r *request) (*reply, error) {
	return one(s.cfg.Users.VerifyPassword(ctx, r.objects, r.caller, r.body, r.urlParams()))
}

func challenge(ctx context.Context, s *Server, r *request) (*reply, error) {
	answer, err := s.cfg.Users.Challenge(ctx, r.objects, r.caller, r.body, r.urlParams())
	if err != nil {
		return nil, err
	}
	return &reply{body: answer}, nil
}

func requestPasswordReset(ctx context.Context, s *Server, r *request) (*reply, error) {
	if err := s.cfg.Users.RequestPasswordReset(ctx, r.objects, r.body); err != nil {
		return nil, err
	}
	return empty(), nil
}

func verificationEmailRequest(ctx context.Context, s *Server, r *request) (*reply, error) {
	if err := s.cfg.Users.RequestVerificationEmail(ctx, r.objects, r.body); err != nil {
		return nil, err
	}
	return empty(), nil
}

func upgradeSession(ctx context.Context, s *Server, r *request) (*reply, error) {
	return one(s.cfg.Sessions.Upgrade(ctx, r.objects, r.caller))
}

func mySession(ctx context.Context, s *Server, r *request) (*reply, error) {
	return one(s.cfg.Sessions.Me(ctx, r.objects, r.caller, r.caller.SessionToken))
}

// resolveUser finds the user behind the session token of the caller. A privileged caller needs none, and the session
// that asks about itself is looked at even when it has expired.
func (s *Server) resolveUser(ctx context.Context, r *request) error {
	c := r.caller
	if c.SessionToken == "" || c.Privileged() || r.path == "/sessions/me" {
		return nil
	}
	resolve := s.cfg.Sessions.Resolve
	if r.path == "/upgradeToRevocableSession" && len(c.SessionToken) > 1 && c.SessionToken[:2] != "r:" {
		resolve = s.cfg.Sessions.ResolveLegacy
	}
	user, roles, err := resolve(ctx, c.SessionToken)
	if err != nil {
		return err
	}
	c.User, c.Roles = user, roles
	return nil
}

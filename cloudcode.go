package parley

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/cloud/node"
	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/internal/rest"
	"github.com/parley-backend/parley/internal/webhook"
)

// Client returns a client that asks this server in process with the rights of the master key: for what an application does beside
// requests. Cloud code has clients of its own, see [cloud.Request].
func (s *Server) Client() *cloud.Client { return cloud.NewClient(s.objects.Acting(auth.System)) }

// openWebhooks makes the service of webhooks. Nothing runs yet.
func (s *Server) openWebhooks(hooks *cloud.Hooks) (err error) {
	cfg := webhook.Config{Options: s.cfg.Webhooks, Store: s.cfg.Store, Schemas: s.schemas, Hooks: hooks, Key: s.webhookKey.Load, Log: s.log, Bus: s.cfg.Bus}
	if s.cfg.Store.Capabilities().Shared {
		cfg.Every = s.cfg.refreshEvery()
	}
	s.hooks, err = webhook.New(cfg)
	if err != nil {
		return fmt.Errorf("webhooks: %w", err)
	}
	return nil
}

// limitCloud makes the rate limits of the cloud code of this moment those of the REST API.
func (s *Server) limitCloud() {
	var limits []RateLimit
	for _, l := range s.cloud.Limits() {
		paths := make([]string, 0, len(l.Paths))
		for _, path := range l.Paths {
			compiled, err := CompilePath(path)
			if err != nil { // names are checked when they are registered
				s.log.Error("the rate limit of cloud code does not count", "path", path, "error", err.Error())
				continue
			}
			paths = append(paths, compiled.String())
		}
		if len(paths) == 0 {
			continue
		}
		limits = append(limits, RateLimit{
			Path: regexp.MustCompile(strings.Join(paths, "|")), Methods: rest.MethodsOf(l.Methods), Count: l.Count, Window: l.Window, Zone: Zone(l.Zone),
			Message: l.Message, IncludeMaster: l.IncludeMaster, IncludeInternal: l.IncludeInternal,
		})
	}
	s.rest.SetRateLimits(limits)
}

// startCode starts the workers of cloud code in JavaScript, and makes what they register a layer of the cloud code. While it is loaded, the code
// may ask this server already.
func (s *Server) startCode(ctx context.Context) error {
	if s.cfg.JavaScript == nil {
		return nil
	}
	o := *s.cfg.JavaScript
	o.AppID, o.Log = s.cfg.AppID, s.log
	if o.ServerURL = s.cfg.ServerURL; o.ServerURL == "" {
		o.ServerURL = "http://localhost:1337" + s.mountPath()
	}
	if o.Timeout == 0 {
		o.Timeout = s.cfg.Timeouts.Client
	}
	o.OnChange = func(code *cloud.Code) {
		if err := s.cloud.SetLayer(cloud.JavaScriptLayer, code); err != nil {
			s.log.Error("the changed cloud code is not used", "error", err.Error())
		}
	}
	code, err := node.Start(ctx, cloud.NewClient(s.objects.Acting(&auth.Caller{})), o)
	if err != nil {
		return err
	}
	s.code = code
	return s.cloud.SetLayer(cloud.JavaScriptLayer, code.Code())
}

// CodeStatus is the state of cloud code in JavaScript.
type CodeStatus = node.Status

// Code returns the state of cloud code in JavaScript; ok is false when there is none.
func (s *Server) Code() (status CodeStatus, ok bool) {
	if s.code == nil {
		return CodeStatus{}, false
	}
	return s.code.Status(), true
}

package parley

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/cloud/node"
	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/broadcast"
	"github.com/parley-backend/parley/internal/access"
	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/internal/installation"
	"github.com/parley-backend/parley/internal/job"
	"github.com/parley-backend/parley/internal/object"
	"github.com/parley-backend/parley/internal/rest"
	"github.com/parley-backend/parley/internal/role"
	"github.com/parley-backend/parley/internal/schemas"
	"github.com/parley-backend/parley/internal/session"
	"github.com/parley-backend/parley/internal/user"
	"github.com/parley-backend/parley/internal/webhook"
)

// Server is one application, served. It is an http.Handler for the paths below the mount path.
type Server struct {
	cfg     Config
	log     *slog.Logger
	keys    *auth.Keys
	set     *credential.Set
	node    *broadcast.Node // nil without a bus
	schemas *schemas.Schemas
	rest    *rest.Server
	objects *object.Objects
	cloud   *cloud.Hooks
	code    *node.Runtime // nil without cloud code in JavaScript
	hooks   *webhook.Service
	jobs    *job.Jobs
	state   atomic.Value // rest.State
	close   sync.Once
	weak    weakKeys
	stop    context.CancelFunc
	aside   sync.WaitGroup // what runs in the background besides the keys

	webhookKey atomic.Pointer[credential.Presenter[credential.Secret]] // nil without one
}

// New wires an application together, reads its keys and its schema, and starts what runs in the background: the refresh of
// the keys. It fails when the configuration is wrong, the database does not answer, or a key that is required cannot be had.
// Close stops it.
func New(ctx context.Context, cfg Config) (*Server, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if cfg.Node != "" {
		log = log.With("server", cfg.Node)
	}
	proxies, err := auth.ParseProxies(cfg.TrustProxy)
	if err != nil {
		return nil, fmt.Errorf("trustProxy: %w", err)
	}
	s := &Server{cfg: cfg, log: log}
	s.state.Store(rest.Starting)
	if err = s.openKeys(); err != nil {
		return nil, err
	}
	if err := s.startKeys(ctx); err != nil {
		return nil, err
	}
	if err := s.wire(ctx, proxies); err != nil {
		s.stopKeys()
		return nil, err
	}
	if err := s.hooks.Start(ctx); err != nil {
		s.stopKeys()
		return nil, fmt.Errorf("reading the webhooks: %w", err)
	}
	s.background()
	if err := s.startCode(ctx); err != nil {
		s.Close()
		return nil, err
	}
	s.jobs.Start()
	s.state.Store(rest.OK)
	if cfg.SecurityCheckLog {
		s.logSecurity(ctx)
	}
	return s, nil
}

// background starts to follow the schema of a database that other processes may change.
func (s *Server) background() {
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	if !s.cfg.Store.Capabilities().Shared {
		return
	}
	s.aside.Go(func() {
		s.schemas.Follow(ctx, s.cfg.refreshEvery(), func(err error) { s.log.Error("reading the schema", "error", err.Error()) })
	})
}

// refreshEvery is how long what another process changed in the database may go unseen.
func (c *Config) refreshEvery() time.Duration {
	if c.SchemaCacheTTL <= 0 {
		return 5 * time.Second
	}
	return c.SchemaCacheTTL
}

func (c *Config) check() error {
	var problems []error
	if c.AppID == "" {
		problems = append(problems, errors.New("appId is required"))
	}
	if c.MasterKey == nil {
		problems = append(problems, errors.New("masterKey is required"))
	}
	if c.Store == nil {
		problems = append(problems, errors.New("a Store is required"))
	}
	return errors.Join(problems...)
}

// wire builds the services from the bottom up.
func (s *Server) wire(ctx context.Context, proxies auth.Proxies) error {
	cfg := s.cfg
	var err error
	s.schemas, err = schemas.Options{Locked: cfg.LockSchemas, CustomIDs: cfg.AllowCustomObjectID}.Load(ctx, cfg.Store)
	if err != nil {
		return fmt.Errorf("reading the schema: %w", err)
	}
	roles := role.New(role.Config{Store: cfg.Store, Schemas: s.schemas, Cache: cfg.Cache})
	sessions := session.New(session.Config{
		Store: cfg.Store, Schemas: s.schemas, Roles: roles, Log: s.log, Cache: cfg.Cache,
		Length: cfg.Sessions.Length, NeverExpire: cfg.Sessions.NeverExpire, ExtendOnUse: cfg.Sessions.ExtendOnUse,
	})
	userOptions := cfg.Users
	userOptions.Schemas, userOptions.Sessions, userOptions.Log = s.schemas, sessions, s.log
	users := user.New(userOptions)
	installations := cfg.Installations
	installations.Log = s.log
	rules := access.Rules{
		AllowClassCreation: cfg.AllowClientClassCreation, ProtectedFields: cfg.ProtectedFields, OwnersLikeOthers: cfg.ProtectOwner,
	}
	hooks, err := cfg.Cloud.Compile(cloud.Options{Log: s.log, ClientTimeout: cfg.Timeouts.Client, Levels: cfg.CloudLog})
	if err != nil {
		return err
	}
	if err := s.openWebhooks(hooks); err != nil {
		return err
	}
	objects := object.New(object.Config{
		Cloud: hooks, RolesOf: roles.Of,
		REST: func(ctx context.Context, objects *object.Objects, caller *auth.Caller, ask cloud.Ask) *cloud.Answer {
			return s.rest.Inside(ctx, objects, caller, ask)
		},
		Store: cfg.Store, Schemas: s.schemas,
		Behaviors: map[string]object.Behavior{
			"_User": users, "_Session": sessions, "_Role": roles,
			"_Installation": installation.New(installations),
		},
		Rules:               rules,
		AllowCustomObjectID: cfg.AllowCustomObjectID,
		ObjectIDSize:        cfg.ObjectIDSize,
		Denylist:            cfg.Denylist,
		Limits:              cfg.Query.Limits,
		AllowPublicExplain:  cfg.Query.PublicExplain,
		ProtectSaveResponse: cfg.ProtectSaveResponse,
		FileURL:             s.fileURL,
	})
	restConfig := rest.Config{
		AppID: cfg.AppID, MountPath: s.mountPath(), ServerURL: cfg.ServerURL, PublicServerURL: cfg.PublicServerURL,
		Version: cfg.Version, Keys: s.keys, Proxies: proxies,
		Objects: objects, Schemas: s.schemas, Users: users, Sessions: sessions, Rules: rules, Store: cfg.Store, Log: s.log, Webhooks: s.hooks, Cloud: hooks,
		MaxUploadSize: cfg.MaxUploadSize, MaxConcurrent: cfg.MaxConcurrentRequests, ClientTimeout: cfg.Timeouts.Client, Query: cfg.Query, BatchLimit: cfg.BatchLimit,
		AllowOrigin: cfg.AllowOrigin, AllowHeaders: cfg.AllowHeaders, RouteAllowList: cfg.RouteAllowList,
		RateLimits: cfg.RateLimits, Idempotency: cfg.Idempotency, VerboseErrors: cfg.VerboseErrors,
		NoAggregationForReadOnly: cfg.NoAggregationForReadOnly,
		KeysAPI:                  s.keysAPI(),
		State:                    func() rest.State { return s.state.Load().(rest.State) },
		Observe:                  cfg.Observe,
		Audit:                    s.auditing(),
	}
	if restConfig.Version == "" {
		restConfig.Version = ParseServerVersion
	}
	if cfg.SecurityCheck {
		restConfig.Security = s.securityReport
	}
	s.objects = objects
	s.jobs = job.New(job.Config{
		Store: cfg.Store, Schemas: s.schemas, Hooks: hooks, Options: cfg.Jobs, Log: s.log,
		Request: func() cloud.Request { return objects.JobRequest(auth.System) },
	})
	restConfig.Jobs = s.jobs
	s.rest = rest.New(restConfig)
	s.cloud = hooks
	hooks.OnChange(s.limitCloud)
	s.limitCloud()
	return nil
}

// auditing returns who is told of decisions about keys, nil for nobody.
func (s *Server) auditing() func(Audit) {
	if s.cfg.AuditLog == AuditNone {
		return s.cfg.Audit
	}
	a := &auditor{log: s.log, all: s.cfg.AuditLog == AuditAll, now: time.Now}
	if s.cfg.Audit == nil {
		return a.write
	}
	return func(e Audit) {
		a.write(e)
		s.cfg.Audit(e)
	}
}

func (s *Server) mountPath() string {
	switch s.cfg.MountPath {
	case "":
		return "/parse"
	case "/":
		return ""
	}
	return s.cfg.MountPath
}

// fileURL is where the bytes of a stored file are read.
func (s *Server) fileURL(name string) string {
	base := s.cfg.PublicServerURL
	if base == "" {
		base = s.cfg.ServerURL
	}
	if base == "" {
		base = s.mountPath()
	}
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = componentOf.Replace(url.QueryEscape(part))
	}
	return base + "/files/" + s.cfg.AppID + "/" + strings.Join(parts, "/")
}

// componentOf makes of what QueryEscape wrote what encodeURIComponent of JavaScript writes, as Parse Server does.
var componentOf = strings.NewReplacer("+", "%20", "%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*")

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.rest.ServeHTTP(w, r) }

// Credentials are the keys of the application: their status, refresh and revocation.
func (s *Server) Credentials() *credential.Set { return s.set }

// Close stops what runs in the background. Requests in flight are not waited for; see [Server.Run]. It may be called more than once.
func (s *Server) Close() {
	s.close.Do(func() {
		s.state.Store(rest.Failed)
		s.jobs.Stop()
		if s.code != nil {
			s.code.Close()
		}
		s.stop()
		s.hooks.Stop()
		s.stopKeys()
		s.aside.Wait()
	})
}

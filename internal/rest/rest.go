// Package rest speaks the Parse REST protocol: it turns an HTTP request into a call of the object, user, session and schema
// services on behalf of an [auth.Caller], and the result into JSON. It holds no rule of its own about who may do what.
//
// routes.go is the table of URLs; request.go the way from bytes to a request; reply.go the way back and the one encoder of errors;
// batch.go runs several requests of one body through the same table.
package rest

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/internal/access"
	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/internal/job"
	"github.com/parley-backend/parley/internal/keysapi"
	"github.com/parley-backend/parley/internal/object"
	"github.com/parley-backend/parley/internal/schemas"
	"github.com/parley-backend/parley/internal/session"
	"github.com/parley-backend/parley/internal/user"
	"github.com/parley-backend/parley/internal/webhook"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/storage"
)

// Config is what the handler needs. Zero values of options are the defaults of Parse Server.
type Config struct {
	AppID string
	// MountPath is where the API begins, as "/parse"; "" is the root.
	MountPath string
	// ServerURL and PublicServerURL, when set, begin the Location of a created object and may begin a batch path.
	ServerURL       string
	PublicServerURL string
	// Version is told by /serverInfo as parseServerVersion: SDKs and dashboards read it to know which features to expect.
	Version string

	Keys     *auth.Keys
	Proxies  auth.Proxies
	Objects  *object.Objects
	Schemas  *schemas.Schemas
	Users    *user.Users
	Sessions *session.Sessions
	// Jobs runs jobs, Cloud knows their names.
	Jobs  *job.Jobs
	Cloud *cloud.Hooks
	// Webhooks are what /hooks declares.
	Webhooks *webhook.Service
	// Rules are those of Objects: changing a class shows what they protect of it.
	Rules access.Rules
	// Store keeps the request ids of Idempotency.
	Store storage.Adapter
	Log   *slog.Logger

	// MaxUploadSize bounds a request body in bytes; 0 means 20 MiB.
	MaxUploadSize int64
	// MaxBodies bounds the bytes of all large bodies that are in memory at once; who sends one more is told to come back (503).
	// 0 means 256 MiB, or MaxUploadSize if that is more.
	MaxBodies int64
	// MaxConcurrent bounds the requests that are worked on at once; more are told to come back (503). 0 means 4096.
	MaxConcurrent int
	// ClientTimeout bounds the work on a request without a privileged key; 0 means 30 s. What is not done by then is answered with
	// code 124. Requests with a privileged key have all the time that their clients wait.
	ClientTimeout time.Duration
	// Query are the limits of queries.
	Query query.Options
	// BatchLimit bounds the requests of a batch; 0 or less means no bound.
	BatchLimit int

	AllowOrigin    []string
	AllowHeaders   []string
	RouteAllowList []*regexp.Regexp // nil allows every route
	RateLimits     []RateLimit
	Idempotency    Idempotency
	// VerboseErrors tells clients why something was refused (enableSanitizedErrorResponse: false).
	VerboseErrors bool
	// NoAggregationForReadOnly keeps the read-only master key from /aggregate.
	NoAggregationForReadOnly bool

	// KeysAPI serves /keys; nil means that there is no such route.
	KeysAPI *keysapi.API
	// State is the state that /health tells; nil means always "ok".
	State func() State
	// Security makes the report of /security; nil means that the check is off (409).
	Security func(ctx context.Context) SecurityReport
	// Observe is told of every finished request; nil when nobody listens.
	Observe func(Observation)
	// Audit is told of every key that a finished request presented; nil when nobody listens.
	Audit func(Audit)
	// Now replaces the clock in tests.
	Now func() time.Time
}

// State is a state of the server as /health tells it.
type State string

// The states.
const (
	Initialized State = "initialized"
	Starting    State = "starting"
	OK          State = "ok"
	Failed      State = "error"
)

// Audit is one decision about a key that a request presented.
type Audit struct {
	auth.Use
	IP        netip.Addr
	Method    string // of the protocol
	Route     string // pattern, as /classes/:class, also of a request that was refused before it got there; "" for none
	Status    int    // of the answer
	RequestID string
}

// Observation is told of every finished request, for metrics.
type Observation struct {
	// Route is the pattern, as "/classes/:class/:id", or "" for no route: never the path itself.
	Route    string
	Method   string
	Status   int
	Duration time.Duration
}

// Server is the handler of the REST API.
type Server struct {
	cfg    Config
	routes router
	limits []*limiter                 // of Config.RateLimits
	more   atomic.Pointer[[]*limiter] // what SetRateLimits added
	gate   chan struct{}
	bodies atomic.Int64 // bytes of the large bodies in memory
	idem   *idempotency
}

// New returns the handler. It serves paths below cfg.MountPath and answers 404 for all others.
func New(cfg Config) *Server {
	if cfg.MaxUploadSize == 0 {
		cfg.MaxUploadSize = 20 << 20
	}
	if cfg.MaxBodies == 0 {
		cfg.MaxBodies = max(256<<20, cfg.MaxUploadSize)
	}
	if cfg.MaxConcurrent == 0 {
		cfg.MaxConcurrent = 4096
	}
	if cfg.ClientTimeout == 0 {
		cfg.ClientTimeout = 30 * time.Second
	}
	if cfg.State == nil {
		cfg.State = func() State { return OK }
	}
	if cfg.Observe == nil {
		cfg.Observe = func(Observation) {}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.MountPath = strings.TrimRight(cfg.MountPath, "/")
	routes := table
	if cfg.KeysAPI != nil {
		routes = join(table, keyRoutes)
	}
	s := &Server{cfg: cfg, routes: newRouter(routes), gate: make(chan struct{}, cfg.MaxConcurrent)}
	for _, rule := range cfg.RateLimits {
		s.limits = append(s.limits, newLimiter(rule, cfg.Now))
	}
	s.SetRateLimits(nil)
	s.idem = &idempotency{cfg: cfg.Idempotency, schemas: cfg.Schemas, store: cfg.Store, now: cfg.Now}
	return s
}

// ServeHTTP answers one request, in the order of contract parse-api.md, 1.1.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := s.cfg.Now()
	x := &exchange{server: s, w: w, r: r, id: requestID(r)}
	w.Header().Set("X-Request-Id", x.id)
	defer func() {
		if v := recover(); v != nil {
			x.panicked(v)
		}
		s.bodies.Add(-x.reserved)
		for _, use := range x.uses.All {
			s.cfg.Audit(Audit{Use: use, IP: x.ip, Method: x.observedMethod(), Route: x.asked(), Status: x.status, RequestID: x.id})
		}
		s.cfg.Observe(Observation{Route: x.route, Method: x.observedMethod(), Status: x.status, Duration: s.cfg.Now().Sub(began)})
	}()
	s.cors(w, r)
	if r.Method == http.MethodOptions {
		x.text(http.StatusOK, "OK")
		return
	}
	path, ok := s.below(r.URL.Path)
	if !ok {
		x.noRoute(r.Method, r.URL.Path)
		return
	}
	select {
	case s.gate <- struct{}{}:
		defer func() { <-s.gate }()
	default:
		x.fail(&auth.Refusal{Status: http.StatusServiceUnavailable, Message: "too many requests at once", RetryAfter: time.Second})
		return
	}
	x.serve(path)
}

// below returns the path under the mount path, without doubled and trailing slashes.
func (s *Server) below(path string) (string, bool) {
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	rest, ok := strings.CutPrefix(path, s.cfg.MountPath)
	if !ok || (rest != "" && rest[0] != '/') {
		return "", false
	}
	return "/" + strings.Trim(rest, "/"), true
}

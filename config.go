package parley

import (
	"log/slog"
	"regexp"
	"time"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/cloud/node"
	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/internal/cache"
	"github.com/parley-backend/parley/internal/installation"
	"github.com/parley-backend/parley/internal/job"
	"github.com/parley-backend/parley/internal/object"
	"github.com/parley-backend/parley/internal/rest"
	"github.com/parley-backend/parley/internal/user"
	"github.com/parley-backend/parley/internal/webhook"
	"github.com/parley-backend/parley/pubsub"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/storage"
)

// Config describes an application. AppID, MasterKey and Store are needed; the zero value of every other option is the
// default of Parse Server, and an option that is on by default there stands here as its inverse.
type Config struct {
	// AppID is the application id that clients name.
	AppID string
	// Store holds the objects. The Server uses it but does not close it.
	Store storage.Adapter
	// Log gets what happens; nil discards it.
	Log *slog.Logger

	// The keys. Every one may come from wherever a [credential.Source] reads, and rotate while the server runs.
	// An empty key equals nothing: there is no way in without a value.
	MasterKey         credential.Source
	MaintenanceKey    credential.Source
	ReadOnlyMasterKey credential.Source
	// Client keys: when at least one is set, requests without a privileged key need one of them.
	ClientKey     credential.Source
	JavaScriptKey credential.Source
	DotNetKey     credential.Source
	RESTAPIKey    credential.Source
	// WebhookKey is shown to webhooks, as X-Parse-Webhook-Key.
	WebhookKey credential.Source
	// Credentials tunes keys by the name of their option ("masterKey", "restAPIKey", …): TTL, Overlap, StaleMax,
	// Startup and the like. Name, Role, Kind, Source and Set are filled in.
	Credentials map[string]credential.Config
	// Observer hears of every change of a credential, besides the log.
	Observer credential.Observer
	// Presented are credentials that are shown to others: to NATS, to a database. Whoever made them starts and stops them; they are listed,
	// measured and refreshed with the keys.
	Presented *credential.Set

	// Bus connects this server with the others of its application: what one of them revokes or finds changed, the others know at
	// once. The Server uses it but does not close it; nil for one server alone.
	Bus pubsub.Bus
	// InstallKey authenticates what servers tell each other over the Bus, and is the InstallKey of every key whose Credentials name no
	// other. It is the same on all of them, 32 bytes or more.
	InstallKey credential.Secret
	// Node is the name of this server in the logs of the others, and in its own: as the attribute server of every record.
	Node string

	// Addresses that the privileged keys may be used from, as addresses or CIDR ranges. Nil is the default: loopback for
	// the master and the maintenance key, anywhere for the read-only one.
	MasterKeyIPs, MaintenanceKeyIPs, ReadOnlyMasterKeyIPs []string
	// TrustProxy says which proxies may name the client: true, a number of hops, or a list of addresses. Nil trusts none.
	TrustProxy any

	// MountPath is where the API begins; "" is /parse, "/" the root.
	MountPath string
	// ServerURL and PublicServerURL are the mount path as the server and its clients know it. They begin the Location of
	// a created object; without them the Host of the request does.
	ServerURL, PublicServerURL string

	AllowOrigin  []string // origins that pages may come from; nil is all
	AllowHeaders []string // request headers that pages may send besides those of the protocol
	// RouteAllowList holds what paths below the mount path, without the leading slash, must match unless a privileged key is presented; nil allows all.
	RouteAllowList []*regexp.Regexp
	RateLimits     []RateLimit
	Idempotency    Idempotency
	// Query bounds what a query may ask for; Privileged and Now are filled in.
	Query QueryOptions
	// BatchLimit bounds the requests in a batch; 0 for no bound.
	BatchLimit            int
	MaxUploadSize         int64 // of a request body in bytes; 0 is 20 MiB
	MaxConcurrentRequests int   // 0 is 4096
	// VerboseErrors tells clients why something was refused (enableSanitizedErrorResponse: false).
	VerboseErrors bool
	// NoAggregationForReadOnly keeps the read-only master key from /aggregate.
	NoAggregationForReadOnly bool

	// AllowClientClassCreation lets clients create classes by writing to them.
	AllowClientClassCreation bool
	// AllowCustomObjectID lets a create name its objectId; ObjectIDSize is the length of a generated one, 0 for 10.
	AllowCustomObjectID bool
	ObjectIDSize        int
	// Denylist is the option requestKeywordDenylist; nil is the default, empty allows all.
	Denylist []Keyword
	// ProtectedFields hides fields by class and group. The e-mail address of users is hidden in any case.
	ProtectedFields map[string]map[string][]string
	// ProtectSaveResponse and ProtectOwner hide them in the answers to writes and from the user they belong to, too.
	ProtectSaveResponse, ProtectOwner bool
	// LockSchemas refuses changes through the schema API.
	LockSchemas bool
	// SchemaCacheTTL is how long a change of the schema by another process may go unseen; 0 is 5 s.
	SchemaCacheTTL time.Duration

	Users         UserOptions
	Sessions      SessionOptions
	Installations InstallationOptions
	// Cache of users, sessions and roles.
	Cache CacheOptions

	// Cloud is the cloud code of the application: functions and triggers in Go. It is complete before [New] gets it.
	Cloud *cloud.Code
	// CloudLog has the log tell of each run of cloud code, in whatever way it was written; nil for none.
	CloudLog cloud.Levels
	// JavaScript is cloud code that was written for Parse Server, run by Node.js; nil for none. What Cloud registers counts before it.
	// AppID, ServerURL, Log and OnChange are filled in.
	JavaScript *node.Options
	// Webhooks bounds the cloud code that is declared over /hooks.
	Webhooks WebhookOptions
	// Jobs says how jobs and their schedules run.
	Jobs JobOptions

	// SecurityCheck serves /security; SecurityCheckLog writes its report to the log at start.
	SecurityCheck, SecurityCheckLog bool
	// Version is what /serverInfo calls parseServerVersion; "" is [ParseServerVersion].
	Version string
	// Observe is told of every finished request, for metrics.
	Observe func(Observation)
	// Audit is told of every decision about a key that a request presented, besides the log; AuditLog says what the log gets.
	Audit    func(Audit)
	AuditLog AuditLog
	// Timeouts of [Server.Run].
	Timeouts Timeouts
}

// ParseServerVersion is the version of Parse Server whose API this package speaks. SDKs and dashboards read it to know
// which features to expect.
const ParseServerVersion = "9.10.0"

// UserOptions are the rules of users; Schemas, Sessions and Log are filled in.
type UserOptions = user.Config

// SessionOptions are the rules of sessions.
type SessionOptions struct {
	// Length is how long a session lives; 0 is a year.
	Length time.Duration
	// NeverExpire makes sessions without an end (expireInactiveSessions: false).
	NeverExpire bool
	// ExtendOnUse gives a session its full length again when it is used after half of it.
	ExtendOnUse bool
}

// The types of options that come from other packages.
type (
	RateLimit           = rest.RateLimit
	Idempotency         = rest.Idempotency
	Observation         = rest.Observation
	Audit               = rest.Audit
	QueryOptions        = query.Options
	QueryLimits         = query.Limits
	Keyword             = object.Keyword
	PasswordPolicy      = user.PasswordPolicy
	AccountLockout      = user.AccountLockout
	InstallationOptions = installation.Config
	WebhookOptions      = webhook.Options
	JobOptions          = job.Options
	CacheOptions        = cache.Options
)

// Timeouts bound what a slow client can hold. A zero member is the default.
type Timeouts struct {
	ReadHeader time.Duration // 10 s to send the headers
	Read       time.Duration // 2 min to send the whole request
	Write      time.Duration // 5 min from the end of the headers to the end of the answer
	Idle       time.Duration // 2 min between two requests of a connection
	// Client bounds the work on a request without a privileged key: 30 s, then the answer is code 124.
	Client time.Duration
	// Shutdown is how long requests in flight get when the server is told to stop: 30 s.
	Shutdown time.Duration
	// MaxHeaderBytes of a request: 32 KiB.
	MaxHeaderBytes int
}

// Zone says which requests share the counter of a [RateLimit].
type Zone = rest.Zone

// CompilePath compiles the path of a [RateLimit], as Parse Server's option requestPath takes it.
func CompilePath(pattern string) (*regexp.Regexp, error) { return rest.CompilePath(pattern) }

// MethodsOf makes [RateLimit].Methods of a list of methods; of an empty one it is every method.
func MethodsOf(methods []string) *regexp.Regexp { return rest.MethodsOf(methods) }

// Always is the condition that holds for every user.
var Always = user.Always

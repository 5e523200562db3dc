package config

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/parley-backend/parley"
	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/disk"
	"github.com/parley-backend/parley/credential/source"
	"github.com/parley-backend/parley/credential/source/natskv"
	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/storage/memory"
)

// Built is a configuration whose every option was understood. Nothing is open yet.
type Built struct {
	// Config lacks its Store; see [Built.OpenStore].
	Config parley.Config
	// Host and Port to listen on.
	Host string
	Port int
	// MetricsAddress to serve metrics on, "" for none.
	MetricsAddress string
	database       database
	dataDir        string
	lastKnownGood  bool
	reloadConfig   bool
	installKey     *credential.Config // nil for one of dataDir
	natsOptions    natsOptions
	nats           *natsLink
	folder         *disk.Folder                                     // from OpenKeys on
	wrapKey        func(context.Context) (credential.Secret, error) // nil without one
}

// Build makes a configuration of the options. All problems are found and joined into the error, each a [Problem].
func (v *Values) Build(log *slog.Logger) (*Built, error) {
	b := &builder{v: v}
	built := &Built{
		Host: v.String("host"), Port: v.Int("port"), MetricsAddress: v.String("metricsAddress"),
		dataDir: v.String("dataDir"), lastKnownGood: v.Bool("lastKnownGood"), reloadConfig: v.Bool("reloadConfig"),
	}
	c := &built.Config
	c.Log = log
	c.AppID = v.String("appId")
	if c.AppID == "" {
		b.problem("appId", "is required")
	}
	if built.Port < 0 || built.Port > 65535 {
		b.problem("port", "must be between 0 and 65535")
	}
	built.nats = &natsLink{}
	registry := source.All()
	built.natsOptions = b.nats(registry) // before what may be kept there
	built.installKey = b.installKey(registry)
	registry["nats-kv"] = natskv.Opener(nil) // says what is missing
	if len(built.natsOptions.servers) > 0 {
		registry["nats-kv"] = natskv.Opener(built.nats.connect)
	}
	built.wrapKey = b.wrapKey(registry)
	var err error
	if built.database, err = v.database(registry); err != nil {
		b.problems = append(b.problems, err)
	}
	built.database.options = b.postgres()
	b.keys(c, registry)
	b.network(c)
	b.requests(c)
	b.objects(c)
	b.users(c)
	b.cloud(c)
	return built, errors.Join(b.problems...)
}

type builder struct {
	v        *Values
	problems []error
}

func (b *builder) problem(option, format string, args ...any) {
	b.problems = append(b.problems, Problem{option, fmt.Sprintf(format, args...)})
}

// installKey is the key of the installation: read once, before everything that depends on it.
func (b *builder) installKey(registry credential.Registry) *credential.Config {
	texts := b.v.Secret("installKey")
	if len(texts) == 0 {
		return nil
	}
	cfg := &credential.Config{Name: "installKey", Present: true, MinLength: 32}
	if err := registry.ConfigureChain(cfg, texts); err != nil {
		b.problem("installKey", "%v", err)
	}
	return cfg
}

func (b *builder) keys(c *parley.Config, registry credential.Registry) {
	c.Credentials = map[string]credential.Config{}
	for _, k := range keyOptions(c) {
		texts := b.v.Secret(k.name)
		if len(texts) == 0 {
			if b.v.Has(k.name) {
				b.problem(k.name, "must not be empty")
			}
			continue
		}
		cfg := credential.Config{Name: k.name}
		isMaster := strings.HasSuffix(strings.ToLower(k.name), "masterkey") || k.name == "maintenanceKey"
		if isMaster && b.v.Has("keyOverlap") {
			cfg.Overlap = seconds(b.v.Int("keyOverlap"), credential.None)
		}
		if b.v.Has("keyRotateEvery") {
			cfg.RotateEvery = credential.None
			if days := b.v.Int("keyRotateEvery"); days > 0 {
				cfg.RotateEvery = time.Duration(days) * 24 * time.Hour
			}
		}
		if err := registry.ConfigureChain(&cfg, texts); err != nil {
			b.problem(k.name, "%v", err)
			continue
		}
		if k.name == "masterKey" && b.v.Has("masterKeyTtl") {
			cfg.TTL = seconds(b.v.Int("masterKeyTtl"), credential.None)
		}
		*k.source = cfg.Source
		c.Credentials[k.name] = cfg
	}
	if c.MasterKey == nil && !b.v.Has("masterKey") {
		b.problem("masterKey", "is required")
	}
	for _, l := range []struct {
		name string
		to   *[]string
	}{{"masterKeyIps", &c.MasterKeyIPs}, {"maintenanceKeyIps", &c.MaintenanceKeyIPs}, {"readOnlyMasterKeyIps", &c.ReadOnlyMasterKeyIPs}} {
		*l.to = b.v.List(l.name)
		if *l.to == nil {
			*l.to = []string{}
		}
		if _, err := auth.ParseIPList(*l.to); err != nil {
			b.problem(l.name, "%v", err)
		}
	}
}

// seconds turns a number of seconds into a duration, 0 into the value that says "none at all".
func seconds(n int, zero time.Duration) time.Duration {
	if n == 0 {
		return zero
	}
	return time.Duration(n) * time.Second
}

func (b *builder) network(c *parley.Config) {
	v := b.v
	c.MountPath = v.String("mountPath")
	if !strings.HasPrefix(c.MountPath, "/") {
		b.problem("mountPath", "must begin with a slash")
	}
	c.ServerURL, c.PublicServerURL = v.String("serverURL"), v.String("publicServerURL")
	for _, name := range []string{"serverURL", "publicServerURL"} {
		if u := v.String(name); u != "" && !strings.HasPrefix(u, "http://") && !strings.HasPrefix(u, "https://") {
			b.problem(name, "must begin with http:// or https://")
		}
	}
	c.TrustProxy = v.JSON("trustProxy")
	if _, err := auth.ParseProxies(c.TrustProxy); err != nil {
		b.problem("trustProxy", "%v", err)
	}
	c.AllowOrigin, c.AllowHeaders = v.List("allowOrigin"), v.List("allowHeaders")
	size, err := parseSize(v.String("maxUploadSize"))
	if err != nil {
		b.problem("maxUploadSize", "%v", err)
	}
	c.MaxUploadSize = size
	c.MaxConcurrentRequests = v.Int("maxConcurrentRequests")
	if v.Int("clientTimeout") <= 0 {
		b.problem("clientTimeout", "must be greater than 0 seconds")
	}
	c.Timeouts.Client = time.Duration(v.Int("clientTimeout")) * time.Second
	c.Timeouts.Shutdown = time.Duration(v.Int("shutdownTimeout")) * time.Second
	c.VerboseErrors = !v.Bool("enableSanitizedErrorResponse")
	if err := c.AuditLog.UnmarshalText([]byte(v.String("auditKeys"))); err != nil {
		b.problem("auditKeys", "%v", err)
	}
	c.SecurityCheck, c.SecurityCheckLog = v.Bool("security.enableCheck"), v.Bool("security.enableCheckLog")
}

func (b *builder) requests(c *parley.Config) {
	v := b.v
	if v.Has("routeAllowList") {
		c.RouteAllowList = b.patterns("routeAllowList", v.List("routeAllowList"))
	}
	c.Idempotency = parley.Idempotency{
		Paths: b.patterns("idempotencyOptions.paths", v.List("idempotencyOptions.paths")),
		TTL:   time.Duration(v.Int("idempotencyOptions.ttl")) * time.Second,
	}
	if v.Int("idempotencyOptions.ttl") <= 0 {
		b.problem("idempotencyOptions.ttl", "must be greater than 0 seconds")
	}
	c.RateLimits = b.rateLimits()
	c.Query = parley.QueryOptions{
		DefaultLimit: v.Int("defaultLimit"), MaxLimit: v.Int("maxLimit"), PublicExplain: v.Bool("databaseOptions.allowPublicExplain"),
		Limits: parley.QueryLimits{
			QueryDepth: v.Int("requestComplexity.queryDepth"), SubqueryDepth: v.Int("requestComplexity.subqueryDepth"),
			SubqueryLimit: v.Int("requestComplexity.subqueryLimit"), IncludeDepth: v.Int("requestComplexity.includeDepth"),
			IncludeCount: v.Int("requestComplexity.includeCount"), DenyRegex: !v.Bool("requestComplexity.allowRegex"),
		},
	}
	for _, name := range []string{"defaultLimit", "maxLimit"} {
		if v.Has(name) && v.Int(name) <= 0 {
			b.problem(name, "must be greater than 0")
		}
	}
	for _, name := range []string{"queryDepth", "subqueryDepth", "subqueryLimit", "includeDepth", "includeCount", "batchRequestLimit"} {
		if n := v.Int("requestComplexity." + name); n < 1 && n != -1 {
			b.problem("requestComplexity."+name, "must be a positive number, or -1 for no limit")
		}
	}
	c.BatchLimit = v.Int("requestComplexity.batchRequestLimit")
	c.NoAggregationForReadOnly = !v.Bool("allowAggregationForReadOnlyMasterKey")
}

// patterns compiles regular expressions that must fit a whole path.
func (b *builder) patterns(option string, texts []string) []*regexp.Regexp {
	compiled := []*regexp.Regexp{}
	for _, text := range texts {
		re, err := regexp.Compile("^(?:" + strings.TrimPrefix(text, "/") + ")$")
		if err != nil {
			b.problem(option, "%q is not a regular expression: %v", text, err)
			continue
		}
		compiled = append(compiled, re)
	}
	return compiled
}

func (b *builder) objects(c *parley.Config) {
	v := b.v
	c.AllowClientClassCreation, c.AllowCustomObjectID = v.Bool("allowClientClassCreation"), v.Bool("allowCustomObjectId")
	c.ObjectIDSize = v.Int("objectIdSize")
	if c.ObjectIDSize < 4 || c.ObjectIDSize > 64 {
		b.problem("objectIdSize", "must be between 4 and 64")
	}
	c.LockSchemas = v.Bool("schema.lockSchemas")
	c.SchemaCacheTTL = time.Duration(v.Int("databaseOptions.schemaCacheTtl")) * time.Second
	c.ProtectSaveResponse = !v.Bool("protectedFieldsSaveResponseExempt")
	c.ProtectOwner = !v.Bool("protectedFieldsOwnerExempt")
	c.Denylist = b.denylist()
	c.ProtectedFields = b.protectedFields()
	c.Cache = parley.CacheOptions{TTL: time.Duration(v.Int("cacheTTL")) * time.Millisecond, MaxSize: v.Int("cacheMaxSize")}
	if c.Cache.TTL == 0 {
		c.Cache.TTL = -1
	}
	i := parley.InstallationOptions{EnforceAuth: v.Bool("installation.duplicateDeviceTokenActionEnforceAuth")}
	i.ClearDuplicates = b.oneOf("installation.duplicateDeviceTokenAction", "delete", "update") == "update"
	i.KeepInstallationID = b.oneOf("installation.duplicateDeviceTokenMergePriority", "deviceToken", "installationId") == "installationId"
	c.Installations = i
	positive := func(option string) int {
		n := v.Int(option)
		if n <= 0 {
			b.problem(option, "must be more than 0")
		}
		return n
	}
	c.Webhooks = parley.WebhookOptions{
		Allow: v.List("webhooks.allow"), Timeout: time.Duration(positive("webhooks.timeout")) * time.Second,
		MaxAnswer: int64(positive("webhooks.maxAnswer")), MaxConcurrent: positive("webhooks.maxConcurrent"),
	}
	if err := c.Webhooks.Check(); err != nil {
		b.problem("webhooks.allow", "%v", err)
	}
	c.Jobs = parley.JobOptions{
		NoScheduler: !v.Bool("jobs.scheduler"), Overlap: v.Bool("jobs.overlap"),
		Lost: time.Duration(positive("jobs.lostAfter")) * time.Second, Keep: time.Duration(v.Int("jobs.keep")) * 24 * time.Hour,
	}
	if c.Jobs.Keep < 0 {
		b.problem("jobs.keep", "must not be less than 0")
	}
}

func (b *builder) oneOf(option string, allowed ...string) string {
	value := b.v.String(option)
	for _, a := range allowed {
		if a == value {
			return value
		}
	}
	b.problem(option, "must be %s", strings.Join(allowed, " or "))
	return ""
}

// parseSize reads a size as Express takes it: a number of bytes, or one with b, kb, mb or gb after it.
func parseSize(text string) (int64, error) {
	s := strings.ToLower(strings.TrimSpace(text))
	unit := int64(1)
	for _, u := range []struct {
		suffix string
		bytes  int64
	}{{"kb", 1 << 10}, {"mb", 1 << 20}, {"gb", 1 << 30}, {"b", 1}} {
		if number, ok := strings.CutSuffix(s, u.suffix); ok {
			s, unit = strings.TrimSpace(number), u.bytes
			break
		}
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n*float64(unit) >= 1 && n*float64(unit) <= 1<<40) { // written so that NaN is refused, too
		return 0, errors.New(`must be a size, as "20mb"`)
	}
	return int64(n * float64(unit)), nil
}

// Check reads the credentials once, with the rule that no two share a value, and looks at the database if there is one: what
// a start would do, without leaving a trace. All problems are joined into the error.
func (b *Built) Check(ctx context.Context) error {
	var problems []error
	if err := b.lookAtKeys(ctx); err != nil {
		problems = append(problems, err)
	}
	bus, err := b.look(ctx)
	if err != nil {
		problems = append(problems, err)
	}
	defer bus.Close()
	cfg := b.Config
	cfg.Store, cfg.Bus = memory.New(), nil // it does not speak to those that serve
	if server, err := parley.New(ctx, cfg); err != nil {
		problems = append(problems, err)
	} else {
		server.Close()
	}
	if err := b.lookAtStore(ctx); err != nil {
		problems = append(problems, err)
	}
	b.Close()
	return errors.Join(problems...)
}

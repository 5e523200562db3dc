package config

import (
	"log/slog"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// effects holds, for every option that works, a text that asks for something else than the default, and what must be set besides.
var effects = map[string]struct {
	text string
	with map[string]string
	// command: the option is read by the command, not by Build; cmd/parley tests what it does.
	command bool
}{
	"dataDir":                                 {text: "elsewhere"},
	"metricsAddress":                          {text: "127.0.0.1:1"},
	"installKey":                              {text: "an install key of at least 32 characters"},
	"auditKeys":                               {text: "all"},
	"databaseCredentials":                     {text: "a password", with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"node":                                    {text: "one"},
	"webhookKey":                              {text: "a key of the webhooks"},
	"webhooks.allow":                          {text: "*.example.com"},
	"webhooks.timeout":                        {text: "7"},
	"webhooks.maxAnswer":                      {text: "7"},
	"webhooks.maxConcurrent":                  {text: "7"},
	"jobs.scheduler":                          {text: "false"},
	"jobs.overlap":                            {text: "true"},
	"jobs.lostAfter":                          {text: "77"},
	"jobs.keep":                               {text: "7"},
	"nats.servers":                            {text: "nats://127.0.0.1:4222"},
	"nats.credentials":                        {text: "token", with: map[string]string{"nats.servers": "nats://127.0.0.1:4222"}},
	"nats.caFile":                             {text: "ca.pem"},
	"nats.certFile":                           {text: "cert.pem"},
	"nats.keyFile":                            {text: "key.pem"},
	"nats.prefix":                             {text: "other"},
	"nats.cluster.listen":                     {text: "127.0.0.1:0"},
	"nats.cluster.routes":                     {text: "127.0.0.1:6222", with: map[string]string{"nats.cluster.listen": "127.0.0.1:0"}},
	"nats.cluster.advertise":                  {text: "127.0.0.1:6222"},
	"nats.cluster.name":                       {text: "other"},
	"nats.cluster.caFile":                     {text: "ca.pem"},
	"nats.cluster.certFile":                   {text: "cert.pem"},
	"nats.cluster.keyFile":                    {text: "key.pem"},
	"maxConcurrentRequests":                   {text: "7"},
	"clientTimeout":                           {text: "7"},
	"cloud":                                   {text: "cloud/main.js"},
	"cloudWorkers":                            {text: "2", with: map[string]string{"cloud": "cloud/main.js"}},
	"cloudTimeout":                            {text: "7", with: map[string]string{"cloud": "cloud/main.js"}},
	"cloudMaxMemory":                          {text: "256", with: map[string]string{"cloud": "cloud/main.js"}},
	"cloudNode":                               {text: "node20", with: map[string]string{"cloud": "cloud/main.js"}},
	"watchCloud":                              {text: "true", with: map[string]string{"cloud": "cloud/main.js"}},
	"shutdownTimeout":                         {text: "7"},
	"lastKnownGood":                           {text: "false"},
	"lastKnownGoodKey":                        {text: "a key of this test with 32 characters and more"},
	"reloadConfig":                            {text: "false"},
	"keyRotateEvery":                          {text: "7"},
	"keyOverlap":                              {text: "7"},
	"allowAggregationForReadOnlyMasterKey":    {text: "false"},
	"allowClientClassCreation":                {text: "true"},
	"allowCustomObjectId":                     {text: "true"},
	"allowHeaders":                            {text: "X-One,X-Two"},
	"allowOrigin":                             {text: "https://example.com"},
	"appId":                                   {text: "other"},
	"auth":                                    {text: `{"facebook":{}}`},
	"cacheMaxSize":                            {text: "7"},
	"cacheTTL":                                {text: "7"},
	"clientKey":                               {text: "a key of the clients"},
	"convertEmailToLowercase":                 {text: "true"},
	"convertUsernameToLowercase":              {text: "true"},
	"databaseURI":                             {text: "memory:"},
	"defaultLimit":                            {text: "7"},
	"dotNetKey":                               {text: "a key of the clients"},
	"enableAnonymousUsers":                    {text: "false"},
	"enableSanitizedErrorResponse":            {text: "false"},
	"enforcePrivateUsers":                     {text: "false"},
	"expireInactiveSessions":                  {text: "false"},
	"extendSessionOnUse":                      {text: "true"},
	"host":                                    {text: "127.0.0.1"},
	"javascriptKey":                           {text: "a key of the clients"},
	"jsonLogs":                                {text: "true", command: true},
	"logLevel":                                {text: "warn", command: true},
	"maintenanceKey":                          {text: "another privileged key"},
	"maintenanceKeyIps":                       {text: "10.0.0.1"},
	"masterKey":                               {text: "env:ANOTHER"},
	"masterKeyIps":                            {text: "10.0.0.1"},
	"masterKeyTtl":                            {text: "7"},
	"maxLimit":                                {text: "7"},
	"maxUploadSize":                           {text: "1kb"},
	"mountPath":                               {text: "/api"},
	"objectIdSize":                            {text: "12"},
	"port":                                    {text: "7"},
	"preventLoginWithUnverifiedEmail":         {text: "true"},
	"preventSignupWithUnverifiedEmail":        {text: "true"},
	"protectedFields":                         {text: `{"A":{"*":["f"]}}`},
	"protectedFieldsOwnerExempt":              {text: "false"},
	"protectedFieldsSaveResponseExempt":       {text: "false"},
	"publicServerURL":                         {text: "https://example.com/parse"},
	"rateLimit":                               {text: `[{"requestPath":"/login","requestCount":1,"requestTimeWindow":1000}]`},
	"readOnlyMasterKey":                       {text: "another privileged key"},
	"readOnlyMasterKeyIps":                    {text: "10.0.0.1"},
	"requestKeywordDenylist":                  {text: `[{"key":"a"}]`},
	"restAPIKey":                              {text: "a key of the clients"},
	"revokeSessionOnPasswordReset":            {text: "false"},
	"routeAllowList":                          {text: "classes/.*"},
	"serverURL":                               {text: "https://example.com/parse"},
	"sessionLength":                           {text: "7"},
	"silent":                                  {text: "true", command: true},
	"trustProxy":                              {text: "true"},
	"userSensitiveFields":                     {text: "phone"},
	"verbose":                                 {text: "true", command: true},
	"logLevels.cloudFunctionError":            {text: "warn"},
	"logLevels.cloudFunctionSuccess":          {text: "info"},
	"logLevels.triggerAfter":                  {text: "silent"},
	"logLevels.triggerBeforeError":            {text: "warn"},
	"logLevels.triggerBeforeSuccess":          {text: "info"},
	"schema.lockSchemas":                      {text: "true"},
	"requestComplexity.allowRegex":            {text: "false"},
	"requestComplexity.batchRequestLimit":     {text: "7"},
	"requestComplexity.includeCount":          {text: "7"},
	"requestComplexity.includeDepth":          {text: "7"},
	"requestComplexity.queryDepth":            {text: "7"},
	"requestComplexity.subqueryDepth":         {text: "7"},
	"requestComplexity.subqueryLimit":         {text: "7"},
	"installation.duplicateDeviceTokenAction": {text: "update"},
	"installation.duplicateDeviceTokenActionEnforceAuth":     {text: "true"},
	"installation.duplicateDeviceTokenMergePriority":         {text: "installationId"},
	"security.enableCheck":                                   {text: "true"},
	"security.enableCheckLog":                                {text: "true"},
	"idempotencyOptions.paths":                               {text: "classes/.*"},
	"idempotencyOptions.ttl":                                 {text: "7"},
	"accountLockout.duration":                                {text: "7", with: map[string]string{"accountLockout.threshold": "3", "accountLockout.duration": "3"}},
	"accountLockout.threshold":                               {text: "7", with: map[string]string{"accountLockout.threshold": "3", "accountLockout.duration": "3"}},
	"accountLockout.unlockOnPasswordReset":                   {text: "true", with: map[string]string{"accountLockout.threshold": "3", "accountLockout.duration": "3"}},
	"passwordPolicy.doNotAllowUsername":                      {text: "true", with: map[string]string{"passwordPolicy.maxPasswordAge": "3"}},
	"passwordPolicy.maxPasswordAge":                          {text: "7", with: map[string]string{"passwordPolicy.maxPasswordHistory": "3"}},
	"passwordPolicy.maxPasswordHistory":                      {text: "7", with: map[string]string{"passwordPolicy.maxPasswordAge": "3"}},
	"passwordPolicy.validationError":                         {text: "too weak", with: map[string]string{"passwordPolicy.maxPasswordAge": "3"}},
	"passwordPolicy.validatorPattern":                        {text: "^.{8,}$", with: map[string]string{"passwordPolicy.maxPasswordAge": "3"}},
	"databaseOptions.allowPublicExplain":                     {text: "true"},
	"databaseOptions.enableSchemaHooks":                      {text: "false", with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.maxPoolSize":                            {text: `7`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.max":                                    {text: `7`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.poolSize":                               {text: `7`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.minPoolSize":                            {text: `2`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.min":                                    {text: `2`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.maxIdleTimeMS":                          {text: `7`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.idleTimeoutMillis":                      {text: `7`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.maxLifetimeSeconds":                     {text: `7`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.connectTimeoutMS":                       {text: `7`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.connectionTimeoutMillis":                {text: `7`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.waitQueueTimeoutMS":                     {text: `7`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.maxTimeMS":                              {text: `7`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.statement_timeout":                      {text: `7`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.query_timeout":                          {text: `7`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.lock_timeout":                           {text: `7`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.idle_in_transaction_session_timeout":    {text: `7`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.appName":                                {text: `other`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.application_name":                       {text: `other`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.tls":                                    {text: `true`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.ssl":                                    {text: `{"ca":"ca.pem"}`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.tlsCAFile":                              {text: `ca.pem`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.tlsCertificateKeyFile":                  {text: `pair.pem`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.tlsAllowInvalidCertificates":            {text: `true`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.tlsAllowInvalidHostnames":               {text: `true`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.tlsInsecure":                            {text: `true`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.slowQueryMS":                            {text: `7`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.createIndexAuthDataUniqueness":          {text: `false`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.createIndexRoleName":                    {text: `false`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.createIndexUserEmail":                   {text: `false`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.createIndexUserEmailCaseInsensitive":    {text: `false`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.createIndexUserEmailVerifyToken":        {text: `false`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.createIndexUserPasswordResetToken":      {text: `false`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.createIndexUserUsername":                {text: `false`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.createIndexUserUsernameCaseInsensitive": {text: `false`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseReplicaURI":                                     {text: `["postgres://parley@127.0.0.2/parley","env:REPLICA"]`, with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseReplicaCredentials":                             {text: "a password", with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley", "databaseReplicaURI": "postgres://parley@127.0.0.2/parley"}},
	"databaseOptions.readPreference":                         {text: "nearest", with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.maxStalenessSeconds":                    {text: "7", with: map[string]string{"databaseURI": "postgres://parley@127.0.0.1/parley"}},
	"databaseOptions.schemaCacheTtl":                         {text: "7"},
}

// TestWorkingOptionsHaveAnEffect builds a server with and without each option: an option that works makes a difference, or
// is refused, as an unknown provider is.
func TestWorkingOptionsHaveAnEffect(t *testing.T) {
	build := func(flags map[string]string) (*Built, error) {
		all := map[string]string{"appId": "app", "masterKey": "a master key of this test"}
		for name, text := range flags {
			all[name] = text
		}
		values, err := Read(Input{Flags: all})
		if err != nil {
			t.Fatalf("Read(%v): %v", all, err)
		}
		return values.Build(slog.New(slog.DiscardHandler))
	}
	known := map[string]bool{}
	for _, o := range Options() {
		known[o.Name] = o.Effect == Works && o.Kind != Group
		if !known[o.Name] {
			continue
		}
		e, ok := effects[o.Name]
		if !ok {
			t.Errorf("%s works, it is said, but this test does not know how", o.Name)
			continue
		}
		if e.command {
			continue
		}
		without, err := build(e.with)
		if err != nil {
			t.Fatalf("%s: without it: %v", o.Name, err)
		}
		again, err := build(e.with)
		if err != nil || !same(without, again) {
			t.Fatalf("%s: two builds of the same options differ: %s", o.Name, difference(without, again))
		}
		flags := map[string]string{o.Name: e.text}
		for name, text := range e.with {
			if name != o.Name {
				flags[name] = text
			}
		}
		with, err := build(flags)
		if err == nil && same(without, with) {
			t.Errorf("%s=%s changes nothing", o.Name, e.text)
		}
	}
	for name := range effects {
		if !known[name] {
			t.Errorf("%s is no option that works", name)
		}
	}
}

// same compares two configurations member by member; functions by whether they are there.
func same(a, b *Built) bool { return difference(a, b) == "" }

func difference(a, b *Built) string {
	return cmp.Diff(a, b,
		cmp.Exporter(func(reflect.Type) bool { return true }),
		cmp.Comparer(func(a, b *regexp.Regexp) bool {
			return (a == nil) == (b == nil) && (a == nil || a.String() == b.String())
		}),
		cmp.Comparer(func(a, b *slog.Logger) bool { return true }),
		cmp.FilterPath(func(p cmp.Path) bool { return p.Last().Type().Kind() == reflect.Func },
			cmp.Comparer(func(a, b any) bool { return reflect.ValueOf(a).IsNil() == reflect.ValueOf(b).IsNil() })),
	)
}

// TestBuildNamesEveryProblem sets options to what they cannot be: each is named, and none of the values.
func TestBuildNamesEveryProblem(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"appId", "", "appId: is required"},
		{"cloudWorkers", "0", "cloudWorkers: must be greater than 0"},
		{"cloudTimeout", "-1", "cloudTimeout: must be greater than 0"},
		{"cloudMaxMemory", "1", "cloudMaxMemory: must be 64 or more, or 0 for the limit of Node.js"},
		{"auditKeys", "some", "auditKeys: must be refused, all or none"},
		{"installKey", "vault://x/y", "installKey: "},
		{"lastKnownGoodKey", "nope://x", "lastKnownGoodKey: "},
		{"lastKnownGoodKey", "vault://secret/parley#wrap", "lastKnownGoodKey: is needed while the stores of secrets are down"},
		{"webhooks.allow", "a b", "webhooks.allow: \"a b\" is no host, address or range"},
		{"webhooks.timeout", "0", "webhooks.timeout: must be more than 0"},
		{"nats.servers", "host:4222", "nats.servers: must be addresses like nats://host:4222, without a user in them"},
		{"nats.servers", "nats://user:word@host:4222", "nats.servers: must be addresses like nats://host:4222, without a user in them"},
		{"nats.credentials", "token", "nats.credentials: is for nats.servers, which names none"},
		{"nats.credentials", "nope://x", "nats.credentials: "},
		{"nats.certFile", "x.pem", "nats.certFile: needs its key, and the key needs it"},
		{"nats.cluster.routes", "127.0.0.1:6222", "nats.cluster.routes: needs nats.cluster.listen"},
		{"nats.cluster.listen", "6222", "nats.cluster: an address is not host:port"},
		{"masterKey", "nats-kv://bucket", "masterKey: credential masterKey: config: reference nats-kv: write nats-kv://bucket/key"},
		{"masterKey", "nats-kv://bucket/key", "masterKey: credential masterKey: config: reference nats-kv: there is no NATS to read it from: set nats.servers"},
		{"masterKey", "", "masterKey: must not be empty"},
		{"restAPIKey", "", "restAPIKey: must not be empty"},
		{"masterKey", "vault://x/y", "masterKey: "},
		{"masterKeyIps", "10.0.0.0/99", `masterKeyIps: "10.0.0.0/99" is neither an IP address nor a CIDR range`},
		{"port", "65536", "port: must be between 0 and 65535"},
		{"mountPath", "parse", "mountPath: must begin with a slash"},
		{"serverURL", "localhost", "serverURL: must begin with http:// or https://"},
		{"publicServerURL", "ftp://x", "publicServerURL: must begin with http:// or https://"},
		{"trustProxy", `{"a":1}`, "trustProxy: "},
		{"maxUploadSize", "20xb", `maxUploadSize: must be a size, as "20mb"`},
		{"maxUploadSize", "-1", `maxUploadSize: must be a size, as "20mb"`},
		{"routeAllowList", "(", `routeAllowList: "(" is not a regular expression: `},
		{"idempotencyOptions.paths", "[\"(\"]", `idempotencyOptions.paths: "(" is not a regular expression: `},
		{"idempotencyOptions.ttl", "0", "idempotencyOptions.ttl: must be greater than 0 seconds"},
		{"defaultLimit", "0", "defaultLimit: must be greater than 0"},
		{"maxLimit", "-1", "maxLimit: must be greater than 0"},
		{"requestComplexity.queryDepth", "0", "requestComplexity.queryDepth: must be a positive number, or -1 for no limit"},
		{"objectIdSize", "65", "objectIdSize: must be between 4 and 64"},
		{"installation.duplicateDeviceTokenAction", "keep", "installation.duplicateDeviceTokenAction: must be delete or update"},
		{"installation.duplicateDeviceTokenMergePriority", "x", "installation.duplicateDeviceTokenMergePriority: must be deviceToken or installationId"},
		{"databaseURI", "redis", "databaseURI: is none of"},
		{"databaseURI", "redis://x", "databaseURI: credential databaseURI: config: unknown scheme \"redis\""},
		{"databaseURI", "postgres://u:secret@h:port/db", "databaseURI: is not understood; write postgres://USER:PASSWORD@HOST:PORT/DATABASE"},
		{"databaseCredentials", "secret", "databaseCredentials: is the login for a databaseURI that begins with postgres://"},
		{"databaseURI", "sqlite://", "databaseURI: names no file"},
		{"databaseReplicaURI", "postgres://u:secret@h/d", "databaseReplicaURI: is for a databaseURI that begins with postgres://"},
		{"databaseReplicaURI", "mysql://u:secret@h/d", "databaseReplicaURI: "},
		{"databaseReplicaCredentials", "x", "databaseReplicaCredentials: is the login for databaseReplicaURI"},
		{"databaseOptions.readPreference", "elsewhere", "databaseOptions.readPreference: must be one of PRIMARY, "},
		{"databaseOptions.max", "-1", "databaseOptions.max: must not be negative"},
		{"databaseOptions.ssl", "5", "databaseOptions.ssl: must be true, false, or an object"},
		{"databaseOptions.ssl", `{"ca":5}`, "databaseOptions.ssl.ca: must be a text in PEM or the name of a file"},
		{"databaseOptions.ssl", `{"rejectUnauthorised":true}`, "databaseOptions.ssl.rejectUnauthorised: unknown option; did you mean rejectUnauthorized?"},
		{"rateLimit", `5`, "rateLimit: must be an object"},
		{"rateLimit", `{"requestPath":"/a","requestCount":1,"requestTimeWindow":1,"zones":"ip"}`, "rateLimit.zones: unknown option; did you mean zone?"},
		{"rateLimit", `{"requestPath":"/a(","requestCount":1,"requestTimeWindow":1}`, "rateLimit.requestPath: "},
		{"rateLimit", `{"requestPath":"/a","requestCount":-1,"requestTimeWindow":1}`, "rateLimit.requestCount: must be a number of requests"},
		{"rateLimit", `{"requestPath":"/a","requestCount":1,"requestTimeWindow":0}`, "rateLimit.requestTimeWindow: must be a number of milliseconds"},
		{"rateLimit", `{"requestPath":"/a","requestCount":1,"requestTimeWindow":1,"zone":"moon"}`, "rateLimit.zone: must be ip, user, session or global"},
		{"rateLimit", `{"requestPath":"/a","requestCount":1,"requestTimeWindow":1,"requestMethods":"("}`, "rateLimit.requestMethods: is not a regular expression: "},
		{"rateLimit", `{"requestPath":"/a","requestCount":1,"requestTimeWindow":1,"requestMethods":5}`, "rateLimit.requestMethods: must be a list of methods or a regular expression"},
		{"rateLimit", `{"requestPath":"/a","requestCount":1,"requestTimeWindow":1,"requestMethods":[]}`, "rateLimit.requestMethods: must be a list of methods or a regular expression"},
		{"rateLimit", `{"requestPath":"/a","requestCount":1,"requestTimeWindow":1,"requestMethods":["GET",5]}`, "rateLimit.requestMethods: must be a list of methods or a regular expression"},
		{"rateLimit", `{"requestPath":"/a","requestCount":1,"requestTimeWindow":1,"redisUrl":"redis://x"}`, "rateLimit.redisUrl: Redis is not used; counters are kept by each server"},
		{"requestKeywordDenylist", `{}`, "requestKeywordDenylist: must be a list"},
		{"requestKeywordDenylist", `[{"kee":"a"}]`, "requestKeywordDenylist.kee: unknown option; did you mean key?"},
		{"requestKeywordDenylist", `[{}]`, "requestKeywordDenylist: each entry needs a key, a value, or both"},
		{"protectedFields", `[]`, "protectedFields: must be an object"},
		{"protectedFields", `{"A":1}`, "protectedFields: class A: must be an object"},
		{"protectedFields", `{"A":{"*":[1]}}`, "protectedFields: class A, group *: must be a list of fields"},
		{"auth", `[]`, "auth: must be an object of providers"},
		{"auth", `{"facebook":{}}`, "auth: the provider facebook is not available in this version"},
		{"sessionLength", "0", "sessionLength: must be greater than 0 seconds"},
		{"passwordPolicy.validatorPattern", "(", "passwordPolicy.validatorPattern: is not a regular expression: "},
		{"passwordPolicy.maxPasswordAge", "-1", "passwordPolicy.maxPasswordAge: must be a number of days"},
		{"passwordPolicy.maxPasswordHistory", "21", "passwordPolicy.maxPasswordHistory: must be between 0 and 20"},
		{"accountLockout.threshold", "0", "accountLockout.threshold: must be between 1 and 999"},
		{"accountLockout.duration", "0", "accountLockout.duration: must be a number of minutes, greater than 0 and less than 100000"},
	} {
		flags := map[string]string{"appId": "app", "masterKey": "a master key of this test"}
		flags[c.name] = c.text
		values, err := Read(Input{Flags: flags})
		if err != nil {
			t.Errorf("Read of %s=%s: %v", c.name, c.text, err)
			continue
		}
		_, err = values.Build(slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Build with %s=%s = %v, want %q", c.name, c.text, err, c.want)
		}
	}
}

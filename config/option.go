// Package config turns a configuration file, environment variables and command line flags into a [parley.Config]: it holds the table
// of all options, opens the database that databaseURI names and the sources that credentials refer to.
//
// table.go and table_groups.go are Parse Server's options, option.go Parley's own and what a row means; values.go reads the
// three places into values; build.go makes a running configuration of them; generate.go makes keys for a first start, keys.go opens
// the folder of what is remembered of them.
package config

import (
	"slices"
	"strings"
)

// Kind is the type of an option.
type Kind uint8

// The kinds. In the environment and on the command line every value is text, read according to the kind.
const (
	String Kind = iota
	Bool
	Int
	List   // of strings; as text a JSON array or names separated by commas
	JSON   // any JSON value
	Any    // whatever the option itself understands; as text JSON where it is, else a string
	Group  // an object whose members are options of their own
	Secret // a literal, or a reference to where the value is kept
)

// Effect says what setting an option does.
type Effect uint8

// The effects.
const (
	// Works: the option does what it says.
	Works Effect = iota
	// Later belongs to a feature that this version does not have: accepted with a warning.
	Later
	// Moot has no meaning here: accepted with a warning.
	Moot
	// Refused would change what clients may do, or lose data, if it were ignored: the server does not start, unless the value
	// is the default or none at all.
	Refused
)

// PostgreSQL is the one database that has options of its own.
const PostgreSQL = "PostgreSQL"

// Option is one row of the table.
type Option struct {
	// Name in the file and, with "--" before it, on the command line. A member of a group is "group.member".
	Name string
	Env  string
	Kind Kind
	// Default as text; "" for none.
	Default string
	Effect  Effect
	// For names the database without which the option has no effect; "" for any.
	For string
	// Note says why, when Effect is not Works.
	Note string
	Doc  string
}

// ownOptions are Parley's.
var ownOptions = []Option{
	{Name: "dataDir", Env: "PARLEY_DATA_DIR", Kind: String, Default: "parley-data", Doc: "Folder of the default database, and in keys of generated keys, the install key and the list of revoked keys"},
	{Name: "metricsAddress", Env: "PARLEY_METRICS_ADDRESS", Kind: String, Doc: "Address that serves Prometheus metrics at /metrics, as 127.0.0.1:9187; none by default"},
	{Name: "installKey", Env: "PARLEY_INSTALL_KEY", Kind: Secret, Doc: "Key of the installation, 32 characters or more, the same on all its servers: they name versions, authenticate revocations and trust each other's routes by it; made in dataDir when it is not set"},
	{Name: "node", Env: "PARLEY_NODE", Kind: String, Doc: "Name of this server among the others of its application, for people; the name of the host by default"},
	{Name: "nats", Env: "PARLEY_NATS", Kind: Group, Doc: "The bus that connects several servers, and the buckets of nats-kv references"},
	{Name: "nats.servers", Env: "PARLEY_NATS_SERVERS", Kind: List, Doc: "Addresses of a NATS of your own, as nats://host:4222 or tls://host:4222"},
	{Name: "nats.credentials", Env: "PARLEY_NATS_CREDENTIALS", Kind: Secret, Doc: "Login there: a .creds file, the seed of an nkey, a token, or with format=json a document with jwt and seed, or user and password"},
	{Name: "nats.caFile", Env: "PARLEY_NATS_CA_FILE", Kind: String, Doc: "Certificates in PEM that vouch for those servers, in place of those of the system"},
	{Name: "nats.certFile", Env: "PARLEY_NATS_CERT_FILE", Kind: String, Doc: "Certificate in PEM that those servers are shown; read anew for each connection"},
	{Name: "nats.keyFile", Env: "PARLEY_NATS_KEY_FILE", Kind: String, Doc: "Private key of that certificate"},
	{Name: "nats.prefix", Env: "PARLEY_NATS_PREFIX", Kind: String, Default: "parley", Doc: "First part of all subjects; applications that share a NATS account need different ones"},
	{Name: "nats.cluster", Env: "PARLEY_NATS_CLUSTER", Kind: Group, Doc: "Run a NATS server inside the process that is one of a cluster: several servers without a NATS of your own"},
	{Name: "nats.cluster.listen", Env: "PARLEY_NATS_CLUSTER_LISTEN", Kind: String, Doc: "Address at which the other servers connect, as 10.0.0.1:6222"},
	{Name: "nats.cluster.routes", Env: "PARLEY_NATS_CLUSTER_ROUTES", Kind: List, Doc: "Addresses of other servers; one that can be reached suffices, it tells of the rest"},
	{Name: "nats.cluster.advertise", Env: "PARLEY_NATS_CLUSTER_ADVERTISE", Kind: String, Doc: "Address at which the others reach this server, where it is not the one that it listens on"},
	{Name: "nats.cluster.name", Env: "PARLEY_NATS_CLUSTER_NAME", Kind: String, Default: "parley", Doc: "Name of the cluster, the same on all its servers"},
	{Name: "nats.cluster.caFile", Env: "PARLEY_NATS_CLUSTER_CA_FILE", Kind: String, Doc: "Certificates in PEM that vouch for the servers of the cluster to each other; with it, routes are encrypted"},
	{Name: "nats.cluster.certFile", Env: "PARLEY_NATS_CLUSTER_CERT_FILE", Kind: String, Doc: "Certificate in PEM of this server in the cluster; read anew for each connection"},
	{Name: "nats.cluster.keyFile", Env: "PARLEY_NATS_CLUSTER_KEY_FILE", Kind: String, Doc: "Private key of that certificate"},
	{Name: "maxConcurrentRequests", Env: "PARLEY_MAX_CONCURRENT_REQUESTS", Kind: Int, Default: "4096", Doc: "Requests that are worked on at once; more are answered 503"},
	{Name: "clientTimeout", Env: "PARLEY_CLIENT_TIMEOUT", Kind: Int, Default: "30", Doc: "Seconds that the work on a request without a privileged key may take, then it is code 124"},
	{Name: "cloudWorkers", Env: "PARLEY_CLOUD_WORKERS", Kind: Int, Default: "1", Doc: "Processes of Node.js that run the cloud code; with one, code that keeps something in a variable finds it again"},
	{Name: "cloudTimeout", Env: "PARLEY_CLOUD_TIMEOUT", Kind: Int, Default: "30", Doc: "Seconds that a function or a trigger in JavaScript may take, then the client reads code 124"},
	{Name: "cloudMaxMemory", Env: "PARLEY_CLOUD_MAX_MEMORY", Kind: Int, Default: "0", Doc: "MiB of heap that each of these processes may have; 0 leaves it to Node.js"},
	{Name: "cloudNode", Env: "PARLEY_CLOUD_NODE", Kind: String, Doc: "The program Node.js, version 20 or newer; the one in PATH by default"},
	{Name: "watchCloud", Env: "PARLEY_WATCH_CLOUD", Kind: Bool, Default: "false", Doc: "Load the cloud code anew when one of its files changes; for development"},
	{Name: "shutdownTimeout", Env: "PARLEY_SHUTDOWN_TIMEOUT", Kind: Int, Default: "30", Doc: "Seconds that requests in flight get to finish when the server is told to stop"},
	{Name: "lastKnownGood", Env: "PARLEY_LAST_KNOWN_GOOD", Kind: Bool, Default: "true", Doc: "Keep the last good reading of each key in dataDir, as digests, for a start at which its source does not answer"},
	{Name: "lastKnownGoodKey", Env: "PARLEY_LAST_KNOWN_GOOD_KEY", Kind: Secret, Doc: "Key of 32 characters or more that encrypts what is kept of the credentials that Parley presents to others, which are not kept without it; in a file, a variable, a credential of systemd, or printed by a program, since it is needed while the stores are down"},
	{Name: "reloadConfig", Env: "PARLEY_RELOAD_CONFIG", Kind: Bool, Default: "true", Doc: "Read the configuration file again when it changes; SIGHUP has it read again in any case"},
	{Name: "auditKeys", Env: "PARLEY_AUDIT_KEYS", Kind: String, Default: "refused", Doc: "Which presented keys the log tells of, with the version, the address and the route: refused (one record a minute for each key, reason and address), all, or none"},
	{Name: "databaseCredentials", Env: "PARLEY_DATABASE_CREDENTIALS", Kind: Secret, Doc: "Login for a databaseURI that begins with postgres://: the password, or with format=json a document with user and password"},
	{Name: "databaseReplicaURI", Env: "PARLEY_DATABASE_REPLICA_URI", Kind: Secret, For: PostgreSQL, Doc: "Replicas of the database that reads may go to, each a postgres://… or a reference to one; several as a list (JSON)"},
	{Name: "databaseReplicaCredentials", Env: "PARLEY_DATABASE_REPLICA_CREDENTIALS", Kind: Secret, For: PostgreSQL, Doc: "Login for the replicas, as databaseCredentials, which are used by default"},
	{Name: "keyRotateEvery", Env: "PARLEY_KEY_ROTATE_EVERY", Kind: Int, Doc: "Days after which a key should have been rotated: told by the log, the metrics, parley keys status and /security, never enforced; 30 for the privileged keys and 90 for the client keys by default, 0 for never"},
	{Name: "webhooks", Env: "PARLEY_WEBHOOKS", Kind: Group, Doc: "Bounds of the cloud code that is declared over /hooks"},
	{Name: "webhooks.allow", Env: "PARLEY_WEBHOOKS_ALLOW", Kind: List, Doc: "Hosts that webhooks may be called at: names, *.example.com, addresses and ranges like 10.0.0.0/8; by default all"},
	{Name: "webhooks.timeout", Env: "PARLEY_WEBHOOKS_TIMEOUT", Kind: Int, Default: "30", Doc: "Seconds that a webhook may take to answer"},
	{Name: "webhooks.maxAnswer", Env: "PARLEY_WEBHOOKS_MAX_ANSWER", Kind: Int, Default: "10485760", Doc: "Longest answer of a webhook, in bytes"},
	{Name: "webhooks.maxConcurrent", Env: "PARLEY_WEBHOOKS_MAX_CONCURRENT", Kind: Int, Default: "128", Doc: "Calls of webhooks at one host at a time; more wait"},
	{Name: "jobs", Env: "PARLEY_JOBS", Kind: Group, Doc: "Jobs of the cloud code"},
	{Name: "jobs.scheduler", Env: "PARLEY_JOBS_SCHEDULER", Kind: Bool, Default: "true", Doc: "Start jobs by the schedules that are stored in _JobSchedule"},
	{Name: "jobs.overlap", Env: "PARLEY_JOBS_OVERLAP", Kind: Bool, Default: "false", Doc: "Let a schedule start its job while the run before goes on; otherwise that time is left out"},
	{Name: "jobs.lostAfter", Env: "PARLEY_JOBS_LOST_AFTER", Kind: Int, Default: "120", Doc: "Seconds after which a job whose server is silent counts as failed; at least 10"},
	{Name: "jobs.keep", Env: "PARLEY_JOBS_KEEP", Kind: Int, Default: "0", Doc: "Days that a run which has ended stays in _JobStatus; 0 for ever"},
	{Name: "keyOverlap", Env: "PARLEY_KEY_OVERLAP", Kind: Int, Doc: "Seconds that a replaced master, maintenance or read-only key is still accepted; 600 by default, 0 for none"},
}

// Options returns the whole table, in the order of the documents.
func Options() []Option {
	all := slices.Concat(ownOptions, parseOptions, groupOptions)
	return append(all, databaseRows()...)
}

// upperSnake turns "maxPoolSize" into "MAX_POOL_SIZE".
func upperSnake(name string) string {
	var b strings.Builder
	for i, c := range name {
		if c >= 'A' && c <= 'Z' && i > 0 && !(name[i-1] >= 'A' && name[i-1] <= 'Z') {
			b.WriteByte('_')
		}
		b.WriteRune(c)
	}
	return strings.ToUpper(b.String())
}

// Closest returns the name of the option that is most like a misspelt one, "" when none is near.
func Closest(name string, options []Option) string {
	best, bestDistance := "", max(2, len(name)/3)+1
	for _, o := range options {
		if d := distance(strings.ToLower(name), strings.ToLower(o.Name)); d < bestDistance {
			best, bestDistance = o.Name, d
		}
	}
	return best
}

// distance is the number of letters to insert, delete, replace or swap with their neighbour to turn a into b.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

package config

// mongoOptions are the members of databaseOptions that Parse Server hands to the MongoDB driver, and that PostgreSQL has no use for.
var mongoOptions = []string{
	"authMechanism", "authMechanismProperties", "authSource", "autoSelectFamily", "autoSelectFamilyAttemptTimeout", "compressors", "directConnection",
	"forceServerObjectId", "heartbeatFrequencyMS", "loadBalanced", "localThresholdMS", "maxConnecting", "proxyHost",
	"proxyPassword", "proxyPort", "proxyUsername", "readConcernLevel", "readPreferenceTags", "replicaSet", "retryReads",
	"retryWrites", "serverMonitoringMode", "serverSelectionTimeoutMS", "socketTimeoutMS", "srvMaxHosts", "srvServiceName",
	"tlsCertificateKeyFilePassword", "zlibCompressionLevel",
}

// postgresOptions are the members of databaseOptions for PostgreSQL: those of the MongoDB driver that have a meaning there, those that Parse Server hands
// to its PostgreSQL driver under the names of that, and Parley's own. Of two names for one thing the first in this table that is set counts.
var postgresOptions = []Option{
	{Name: "maxPoolSize", Kind: Int, Doc: "Connections at most; four for each core, and at least 10, by default"},
	{Name: "max", Env: "MAX", Kind: Int, Doc: "Another name of maxPoolSize"},
	{Name: "poolSize", Env: "POOL_SIZE", Kind: Int, Doc: "Another name of maxPoolSize"},
	{Name: "minPoolSize", Kind: Int, Doc: "Connections that are kept open even when nobody needs them"},
	{Name: "min", Env: "MIN", Kind: Int, Doc: "Another name of minPoolSize"},
	{Name: "maxIdleTimeMS", Kind: Int, Doc: "Milliseconds after which a connection that nobody used is closed; half an hour by default"},
	{Name: "idleTimeoutMillis", Env: "IDLE_TIMEOUT_MILLIS", Kind: Int, Doc: "Another name of maxIdleTimeMS"},
	{Name: "maxLifetimeSeconds", Env: "MAX_LIFETIME_SECONDS", Kind: Int, Doc: "Seconds after which a connection is closed and made anew; an hour by default"},
	{Name: "connectTimeoutMS", Kind: Int, Doc: "Milliseconds that making a connection may take, rounded up to seconds; 2 minutes by default"},
	{Name: "connectionTimeoutMillis", Env: "CONNECTION_TIMEOUT_MILLIS", Kind: Int, Doc: "Another name of connectTimeoutMS"},
	{Name: "waitQueueTimeoutMS", Kind: Int, Doc: "Milliseconds that a request waits for a connection while all are in use; 10 s by default"},
	{Name: "maxTimeMS", Kind: Int, Doc: "Milliseconds that a statement may take, then it is code 124; none by default"},
	{Name: "statement_timeout", Env: "STATEMENT_TIMEOUT", Kind: Int, Doc: "Another name of maxTimeMS"},
	{Name: "query_timeout", Env: "QUERY_TIMEOUT", Kind: Int, Doc: "Another name of maxTimeMS"},
	{Name: "lock_timeout", Env: "LOCK_TIMEOUT", Kind: Int, Doc: "Milliseconds that a statement waits for a lock; none by default"},
	{Name: "idle_in_transaction_session_timeout", Env: "IDLE_IN_TRANSACTION_SESSION_TIMEOUT", Kind: Int, Doc: "Milliseconds that a transaction may be open without a statement; none by default"},
	{Name: "appName", Kind: String, Doc: "Name of the connections in pg_stat_activity; parley by default"},
	{Name: "application_name", Env: "APPLICATION_NAME", Kind: String, Doc: "Another name of appName"},
	{Name: "tls", Kind: Bool, Doc: "Encrypt connections, to a server whose certificate is for its host; false for no encryption. By default as sslmode in the URI says"},
	{Name: "ssl", Kind: Any, Doc: "The same: true, false, or an object with ca, cert and key (PEM, or a file) and rejectUnauthorized"},
	{Name: "tlsCAFile", Kind: String, Doc: "Certificates in PEM that vouch for the database, in place of those of the system"},
	{Name: "tlsCertificateKeyFile", Kind: String, Doc: "File with the certificate and the private key in PEM that the database is shown; read anew for each connection"},
	{Name: "tlsAllowInvalidCertificates", Kind: Bool, Doc: "Encrypt, and trust any server"},
	{Name: "tlsAllowInvalidHostnames", Kind: Bool, Doc: "Trust a certificate that is for another host"},
	{Name: "tlsInsecure", Kind: Bool, Doc: "Another name of tlsAllowInvalidCertificates"},
	{Name: "readPreference", Kind: String, Doc: "Where reads go that name no readPreference: PRIMARY (the default), PRIMARY_PREFERRED, SECONDARY, SECONDARY_PREFERRED or NEAREST; for databaseReplicaURI"},
	{Name: "maxStalenessSeconds", Kind: Int, Doc: "Seconds that a replica may be behind before it is not read from; 30 by default"},
	{Name: "slowQueryMS", Env: "SLOW_QUERY_MS", Kind: Int, Doc: "Milliseconds after which the log tells of a statement, without the values in it; 0 for never"},
	{Name: "keepAlive", Env: "KEEP_ALIVE", Kind: Bool, Effect: Moot, Note: "connections are kept alive", Doc: "TCP keep-alive"},
	{Name: "keepAliveInitialDelayMillis", Env: "KEEP_ALIVE_INITIAL_DELAY_MILLIS", Kind: Int, Effect: Moot, Note: "connections are kept alive", Doc: "TCP keep-alive"},
	{Name: "binary", Env: "BINARY", Kind: Bool, Effect: Moot, Note: "values are sent in the form that is best for each", Doc: "Binary results"},
	{Name: "client_encoding", Env: "CLIENT_ENCODING", Kind: String, Effect: Moot, Note: "it is UTF8", Doc: "Encoding of text"},
	{Name: "maxUses", Env: "MAX_USES", Kind: Int, Effect: Moot, Note: "connections end by age: maxLifetimeSeconds", Doc: "Uses of a connection"},
	{Name: "allowExitOnIdle", Env: "ALLOW_EXIT_ON_IDLE", Kind: Bool, Effect: Moot, Note: "a server runs until it is told to stop", Doc: "End the process when the pool is idle"},
	{Name: "host", Env: "HOST", Kind: String, Effect: Refused, Note: "belongs into databaseURI", Doc: "Host of the database"},
	{Name: "port", Env: "PORT", Kind: Any, Effect: Refused, Note: "belongs into databaseURI", Doc: "Port of the database"},
	{Name: "database", Env: "DATABASE", Kind: String, Effect: Refused, Note: "belongs into databaseURI", Doc: "Name of the database"},
	{Name: "user", Env: "USER", Kind: String, Effect: Refused, Note: "belongs into databaseURI or databaseCredentials", Doc: "User of the database"},
	{Name: "password", Env: "PASSWORD", Kind: Secret, Effect: Refused, Note: "belongs into databaseCredentials", Doc: "Password of the database"},
}

// databaseRows returns the options of both tables with their whole names and variables.
func databaseRows() []Option {
	var rows []Option
	for _, name := range mongoOptions {
		rows = append(rows, Option{Name: name, Kind: Any, Effect: Moot, Note: "it is of another database", Doc: "Option of the MongoDB driver"})
	}
	rows = append(rows, postgresOptions...)
	for i := range rows {
		o := &rows[i]
		switch o.Env {
		case "": // one of Parse Server
			o.Env = "PARSE_SERVER_DATABASE_" + upperSnake(o.Name)
		default:
			o.Env = "PARLEY_DATABASE_OPTIONS_" + o.Env
		}
		o.Name = "databaseOptions." + o.Name
		if o.Effect == Works {
			o.For = PostgreSQL
		}
	}
	return rows
}

package postgres

import (
	"errors"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"
)

// options are what Parse Server calls options of a connection in the URI otherwise than pgx; "" for one that has no meaning here.
var options = map[string]string{
	"max": "pool_max_conns", "poolSize": "pool_max_conns", "min": "pool_min_conns", "idleTimeoutMillis": "pool_max_conn_idle_time",
	"connectionTimeoutMillis": "connect_timeout", "ssl": "sslmode", "keepAlive": "", "binary": "", "query_timeout": "statement_timeout", "fallback_application_name": "application_name",
	"ca": "sslrootcert", "cert": "sslcert", "key": "sslkey", "passphrase": "sslpassword", "rejectUnauthorized": "sslmode",
}

// configure returns the configuration of the pool. Its errors do not hold the URI, in which a password may stand.
func configure(cfg Config) (*pgxpool.Config, error) {
	uri, values, err := split(cfg.URI)
	if err != nil {
		return nil, err
	}
	for theirs, ours := range options {
		if !values.Has(theirs) {
			continue
		}
		value := translate(theirs, values)
		if ours != "" && value != "" && !values.Has(ours) {
			values.Set(ours, value)
		}
	}
	for theirs := range options {
		values.Del(theirs)
	}
	cfg.override(values)
	if !values.Has("pool_max_conns") {
		values.Set("pool_max_conns", strconv.Itoa(max(10, 4*runtime.GOMAXPROCS(0))))
	}
	if !values.Has("application_name") {
		values.Set("application_name", "parley")
	}
	config, err := pgxpool.ParseConfig(uri + "?" + values.Encode())
	if err != nil {
		return nil, errors.New("the URI of the database has options that PostgreSQL clients do not understand")
	}
	if !cfg.replica && len(hosts(config)) > 1 && !values.Has("target_session_attrs") {
		// Of several hosts the one that takes writes is meant.
		config.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if err := cfg.TLS.Apply(config.ConnConfig); err != nil {
		return nil, err
	}
	if cfg.SlowQuery > 0 {
		config.ConnConfig.Tracer = &slow{log: cfg.Logger, than: cfg.SlowQuery}
	}
	// A context that ends cancels the statement and keeps the connection.
	config.ConnConfig.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: 5 * time.Second}
	}
	return config, nil
}

// split returns the URI without its options, and those.
func split(uri string) (string, url.Values, error) {
	unreadable := errors.New("the URI of the database does not begin with postgres:// or cannot be read")
	base, query, _ := strings.Cut(uri, "?")
	parsed, err := url.Parse(base)
	if err != nil || parsed.Scheme != "postgres" && parsed.Scheme != "postgresql" {
		return "", nil, unreadable
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return "", nil, unreadable
	}
	return base, values, nil
}

// override sets what the configuration says apart from the URI.
func (cfg *Config) override(values url.Values) {
	set := func(name, value string, given bool) {
		if given {
			values.Set(name, value)
		}
	}
	set("pool_max_conns", strconv.Itoa(cfg.MaxConns), cfg.MaxConns > 0)
	set("pool_min_conns", strconv.Itoa(cfg.MinConns), cfg.MinConns > 0)
	set("pool_max_conn_idle_time", cfg.IdleTime.String(), cfg.IdleTime > 0)
	set("pool_max_conn_lifetime", cfg.LifeTime.String(), cfg.LifeTime > 0)
	set("connect_timeout", strconv.Itoa(int((cfg.ConnectTimeout+time.Second-1)/time.Second)), cfg.ConnectTimeout > 0)
	set("statement_timeout", strconv.FormatInt(cfg.StatementTimeout.Milliseconds(), 10), cfg.StatementTimeout > 0)
	for name, value := range cfg.Settings {
		set(name, value, true)
	}
	if cfg.TLS != (TLS{}) && cfg.TLS.Mode == "" && !values.Has("sslmode") {
		values.Set("sslmode", "verify-full")
	}
}

// hosts returns the different hosts of a configuration.
func hosts(config *pgxpool.Config) map[string]bool {
	all := map[string]bool{config.ConnConfig.Host + ":" + strconv.Itoa(int(config.ConnConfig.Port)): true}
	for _, other := range config.ConnConfig.Fallbacks {
		all[other.Host+":"+strconv.Itoa(int(other.Port))] = true
	}
	return all
}

// translate returns the value of an option of Parse Server as pgx writes it, "" for one that it has by itself.
func translate(name string, values url.Values) string {
	value := values.Get(name)
	yes := strings.EqualFold(value, "true") || value == "1"
	switch name {
	case "ssl":
		if yes && !values.Has("rejectUnauthorized") {
			return "require"
		}
		return ""
	case "rejectUnauthorized":
		if yes {
			return "verify-full"
		}
		return "require"
	case "idleTimeoutMillis":
		return value + "ms"
	case "connectionTimeoutMillis":
		n, err := strconv.Atoi(value)
		if err != nil || n <= 0 {
			return ""
		}
		return strconv.Itoa((n + 999) / 1000)
	}
	return value
}

package secrets

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Observation is one request that was answered, for metrics.
type Observation struct {
	Outcome  string // "served", or the name of the error
	Key      string // "" for a key that is not configured
	Duration time.Duration
}

// Served is the outcome of a request that was not refused.
const Served = "served"

// access is what the audit log tells of a request. It never holds a value.
type access struct {
	asker
	key, field, version string
	expires             time.Time // of a login that was minted
	token               string    // its id
}

// auditor writes one record for each request by an entity that was recognised. Of others, who cost nothing to make, it
// writes one in a second, with how many were left out.
type auditor struct {
	log *slog.Logger

	mu      sync.Mutex
	latest  time.Time
	leftOut int
}

const strangers = time.Second // between two records of them

func (a *auditor) record(of *access, refused *Error, now time.Time) {
	level, message, outcome := slog.LevelInfo, "secret served", Served
	var attrs []slog.Attr
	if refused != nil {
		level, message, outcome = slog.LevelWarn, "secret refused", string(refused.Code)
	}
	if of.host == "" { // neither the entity nor the host is known
		a.mu.Lock()
		if now.Sub(a.latest) < strangers && !a.latest.IsZero() {
			a.leftOut++
			a.mu.Unlock()
			return
		}
		if a.leftOut > 0 {
			attrs = append(attrs, slog.Int("leftOut", a.leftOut))
		}
		a.latest, a.leftOut = now, 0
		a.mu.Unlock()
	}
	add := func(name, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(name, value))
		}
	}
	attrs = append(attrs, slog.String("event", "wasmcloud_secret"), slog.String("outcome", outcome))
	add("key", of.key)
	add("field", of.field)
	add("version", of.version)
	add("entity", of.entity)
	add("name", of.name)
	add("issuer", of.issuer)
	add("application", of.application)
	add("host", of.host)
	add("token", of.token)
	if !of.expires.IsZero() {
		attrs = append(attrs, slog.Time("expires", of.expires))
	}
	if refused != nil {
		add("reason", refused.Text)
	}
	a.log.LogAttrs(context.Background(), level, message, attrs...)
}

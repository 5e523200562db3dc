package parley

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// AuditLog says which decisions about keys are written to the log, each with the credential, the version that it matched, the address,
// and the route; never with what was presented.
type AuditLog uint8

// The choices.
const (
	// AuditRefused writes keys that were refused: each kind of refusal from each address at once, then once a minute with how often it
	// happened meanwhile.
	AuditRefused AuditLog = iota
	// AuditAll writes every decision.
	AuditAll
	// AuditNone writes none.
	AuditNone
)

// UnmarshalText reads "refused", "all" or "none".
func (a *AuditLog) UnmarshalText(text []byte) error {
	for choice, name := range map[AuditLog]string{AuditRefused: "refused", AuditAll: "all", AuditNone: "none"} {
		if string(text) == name {
			*a = choice
			return nil
		}
	}
	return fmt.Errorf("must be refused, all or none")
}

// auditor writes audit records.
type auditor struct {
	log *slog.Logger
	all bool
	now func() time.Time

	mu     sync.Mutex
	silent map[refusal]*repeated
}

// refusal is what is written once a minute.
type refusal struct{ key, reason, ip string }

type repeated struct {
	since time.Time
	times int
}

const (
	repeatEvery = time.Minute
	// refusalsKept bounds the memory that strangers can make an auditor use. Beyond it refusals from further addresses are one.
	refusalsKept = 1024
)

// write is told of one decision.
func (a *auditor) write(e Audit) {
	reason := e.Decision.Reason.String()
	if e.WrongAddress {
		reason = "address"
	}
	ip, times := e.IP.String(), 1
	if !a.all {
		if e.Accepted() {
			return
		}
		if ip, times = a.count(refusal{e.Key, reason, ip}); times == 0 {
			return
		}
	}
	level := slog.LevelInfo
	if !e.Accepted() {
		level = slog.LevelWarn
	}
	attrs := []slog.Attr{slog.String("key", e.Key), slog.String("verdict", verdict(e)), slog.String("reason", reason)}
	if e.Decision.VersionID != "" {
		attrs = append(attrs, slog.String("version", e.Decision.VersionID), slog.String("state", e.Decision.State.String()))
	}
	attrs = append(attrs, slog.Uint64("generation", e.Decision.Generation), slog.String("ip", ip), slog.String("method", e.Method),
		slog.String("route", e.Route), slog.Int("status", e.Status), slog.String("request", e.RequestID))
	if times > 1 {
		attrs = append(attrs, slog.Int("times", times))
	}
	a.log.LogAttrs(context.Background(), level, "key presented", attrs...)
}

func verdict(e Audit) string {
	if e.WrongAddress {
		return "reject"
	}
	return e.Decision.Verdict.String()
}

// count returns the address to write and for how many refusals the record stands, 0 if none is due.
func (a *auditor) count(r refusal) (ip string, times int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	known := a.silent[r]
	if known == nil && len(a.silent) >= refusalsKept {
		for other, seen := range a.silent {
			if now.Sub(seen.since) >= repeatEvery {
				delete(a.silent, other)
			}
		}
		if len(a.silent) >= refusalsKept {
			r.ip = "many"
			known = a.silent[r]
		}
	}
	switch {
	case known == nil:
		if a.silent == nil {
			a.silent = make(map[refusal]*repeated)
		}
		a.silent[r] = &repeated{since: now}
		return r.ip, 1
	case now.Sub(known.since) < repeatEvery:
		known.times++
		return r.ip, 0
	}
	times = known.times + 1
	*known = repeated{since: now}
	return r.ip, times
}

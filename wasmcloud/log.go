package wasmcloud

import (
	"io"
	"log/slog"
	"strings"
)

// levels are the words of wasmCloud and of RUST_LOG.
var levels = map[string]slog.Level{
	"off":      slog.Level(100),
	"critical": slog.LevelError,
	"error":    slog.LevelError,
	"warn":     slog.LevelWarn,
	"warning":  slog.LevelWarn,
	"info":     slog.LevelInfo,
	"debug":    slog.LevelDebug,
	"trace":    slog.LevelDebug - 4,
}

// logLevel is the level that the host says, info if it says none, and in its place that of RUST_LOG if it has one for everything
// or for this provider: "info,async_nats=warn" is info. Names of modules that are not ours mean nothing here.
func logLevel(host, rust string) slog.Level {
	level, known := levels[strings.ToLower(strings.TrimSpace(host))]
	if !known {
		level = slog.LevelInfo
	}
	for _, directive := range strings.Split(rust, ",") {
		target, word, named := strings.Cut(strings.TrimSpace(directive), "=")
		if !named {
			target, word = "", target
		}
		if at, known := levels[strings.ToLower(strings.TrimSpace(word))]; known && (target == "" || strings.HasPrefix(target, "parley")) {
			level = at
		}
	}
	return level
}

// newLog writes lines of JSON, or of text.
func newLog(w io.Writer, level slog.Level, lines bool) slog.Handler {
	o := &slog.HandlerOptions{Level: level}
	if lines {
		return slog.NewJSONHandler(w, o)
	}
	return slog.NewTextHandler(w, o)
}

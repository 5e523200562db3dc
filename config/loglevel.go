package config

import (
	"log/slog"
	"strings"

	"github.com/parley-backend/parley/cloud"
)

// LogLevel reads a level by the name that Parse Server has for it; false is one that there is not.
func LogLevel(name string) (slog.Level, bool) {
	switch strings.ToLower(name) {
	case "info":
		return slog.LevelInfo, true
	case "verbose", "debug", "silly":
		return slog.LevelDebug, true
	case "warn":
		return slog.LevelWarn, true
	case "error":
		return slog.LevelError, true
	}
	return 0, false
}

// cloudLevels reads the group logLevels.
func (b *builder) cloudLevels() cloud.Levels {
	levels := cloud.Levels{}
	for _, event := range []cloud.Event{cloud.FunctionSuccess, cloud.FunctionError, cloud.BeforeSuccess, cloud.BeforeError, cloud.After} {
		option := "logLevels." + string(event)
		name := b.v.String(option)
		if strings.EqualFold(name, "silent") {
			continue
		}
		level, ok := LogLevel(name)
		if !ok {
			b.problem(option, "must be error, warn, info, verbose, debug, silly or silent")
		}
		levels[event] = level
	}
	return levels
}

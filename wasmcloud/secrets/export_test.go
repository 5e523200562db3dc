package secrets

import "io"

// SetRandom replaces what answers are sealed with.
func SetRandom(cfg *Config, random io.Reader) { cfg.random = random }

// Matches is what a Rule compares with.
var Matches = matches

//go:build race

package messaging_test

// What a machine with the race detector can do.
const (
	heavyRate  = 1000
	heavyBurst = 10_000
)

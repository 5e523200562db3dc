//go:build !race

package messaging_test

// The load of the tests: messages a second, and messages at once.
const (
	heavyRate  = 10_000
	heavyBurst = 100_000
)

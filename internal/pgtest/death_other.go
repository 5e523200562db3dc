//go:build unix && !linux

package pgtest

import "syscall"

// withUs does nothing: here a server outlives a test that was killed.
func withUs(*syscall.SysProcAttr) {}

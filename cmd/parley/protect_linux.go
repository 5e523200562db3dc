package main

import "syscall"

// keepToOneself keeps the memory and the environment of this process from the other processes of its user: the workers of cloud code
// among them, which could read both in /proc. A worker that is root reads them nevertheless.
func keepToOneself() error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_DUMPABLE, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

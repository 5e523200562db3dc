package pgtest

import "syscall"

// withUs makes the system end the process if the test ends without doing so: it was killed, or it panicked.
func withUs(attributes *syscall.SysProcAttr) { attributes.Pdeathsig = syscall.SIGQUIT }

package node

import (
	"os/exec"
	"syscall"
)

// separate gives a worker a group of its own, so that a Ctrl-C in a terminal reaches the server alone, and has the system end it with the
// thread that started it: an endless loop would not notice that the server is gone.
func separate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

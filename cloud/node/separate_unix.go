//go:build unix && !linux

package node

import (
	"os/exec"
	"syscall"
)

// separate gives a worker a group of its own, so that a Ctrl-C in a terminal reaches the server alone.
func separate(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

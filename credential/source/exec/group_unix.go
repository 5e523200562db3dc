//go:build unix

package exec

import (
	"os/exec"
	"syscall"
)

// group makes the program the leader of a process group of its own.
func group(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// kill ends the whole group. A group outlives its leader while anything is left in it.
func kill(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

//go:build !unix

package exec

import "os/exec"

func group(*exec.Cmd) {}

// kill ends the program; there are no process groups here.
func kill(cmd *exec.Cmd) { _ = cmd.Process.Kill() }

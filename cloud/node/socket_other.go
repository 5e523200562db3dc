//go:build !unix

package node

import (
	"errors"
	"net"
	"os"
	"os/exec"
)

func socketPair() (net.Conn, *os.File, error) {
	return nil, nil, errors.New("cloud code in JavaScript needs a Unix: Linux, macOS or a BSD")
}

func separate(*exec.Cmd) {}

func kill(cmd *exec.Cmd) { cmd.Process.Kill() }

func ending(state *os.ProcessState) (string, bool) { return state.String(), false }

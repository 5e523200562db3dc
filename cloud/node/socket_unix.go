//go:build unix

package node

import (
	"net"
	"os"
	"os/exec"
	"syscall"
)

// socketPair returns our end of a new socket, and the file of the other one, which a worker inherits. Nobody else can reach it.
func socketPair() (net.Conn, *os.File, error) {
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	ours := os.NewFile(uintptr(fds[0]), "cloud code")
	defer ours.Close() // FileConn has a copy
	theirs := os.NewFile(uintptr(fds[1]), "cloud code")
	conn, err := net.FileConn(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return conn, theirs, nil
}

// kill ends a worker and whatever it has started.
func kill(cmd *exec.Cmd) { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

// ending says how a process ended.
func ending(state *os.ProcessState) (text string, aborted bool) {
	status, ok := state.Sys().(syscall.WaitStatus)
	return state.String(), ok && (status.Signaled() && status.Signal() == syscall.SIGABRT || status.ExitStatus() == 134)
}

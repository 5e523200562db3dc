//go:build unix

package pgtest

import (
	"errors"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// unprivileged makes command run as another user if we are root, as whom PostgreSQL refuses to run, and gives the files to
// that user.
func unprivileged(command *exec.Cmd, files ...string) error {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt at the terminal is for the test
	withUs(command.SysProcAttr)
	if os.Getuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.ParseUint(found.Uid, 10, 32)
		gid, _ := strconv.ParseUint(found.Gid, 10, 32)
		command.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		for _, file := range files {
			if err := os.Chown(file, int(uid), int(gid)); err != nil {
				return err
			}
		}
		return nil
	}
	return errors.New("root cannot run PostgreSQL, and there is no user postgres or nobody")
}

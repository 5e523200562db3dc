package file

import (
	"os"
	"path/filepath"
	"strings"
)

// Lint implements credential.Linter. A file that is mounted by itself stays the file that
// it was when it was mounted, whatever takes its name outside: so it is with subPath in
// Kubernetes, and with a file that Docker is told to mount.
func (s *source) Lint() []string {
	path, err := filepath.EvalSymlinks(s.path)
	if err != nil {
		return nil
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || !isMountPoint(string(mounts), path) {
		return nil
	}
	return []string{s.path + " is mounted by itself, as with subPath in Kubernetes: a file that takes its place is not seen here, mount the folder that it is in"}
}

// isMountPoint reports whether a path is in the fifth column of /proc/self/mountinfo, in
// which white space and backslashes are octal.
func isMountPoint(mounts, path string) bool {
	escaped := strings.NewReplacer(`\`, `\134`, " ", `\040`, "\t", `\011`, "\n", `\012`).Replace(path)
	for line := range strings.Lines(mounts) {
		if columns := strings.Fields(line); len(columns) > 4 && columns[4] == escaped {
			return true
		}
	}
	return false
}

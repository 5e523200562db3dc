package file

import (
	"os"
	"syscall"
	"time"
)

// inodeChanged returns the time of the inode's latest change, which a rename moves
// although it keeps the time of the content.
func inodeChanged(info os.FileInfo) time.Time {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(int64(stat.Ctim.Sec), int64(stat.Ctim.Nsec))
	}
	return time.Time{}
}

package node

import (
	"fmt"
	"time"
)

// beside is how much memory a worker may take besides its heap when that is bounded: Node itself, and buffers, which are not part of the heap.
const beside = 256 << 20

// memoryLimit is how much memory one worker may take in bytes, 0 for no bound. Where the heap is left to Node it is three quarters of what there
// is: before a worker has the system end processes, the server among them, it is ended itself.
func memoryLimit(o *Options) int64 {
	if o.MaxMemory > 0 {
		return int64(o.MaxMemory)<<20 + beside
	}
	return machineMemory() / 4 * 3
}

// watching ends a worker that takes more memory than it may.
func (w *process) watching(limit int64) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-tick.C:
			if resident(w.cmd.Process.Pid) > limit {
				w.kill(fmt.Sprintf("was ended, because it took more than %d MiB of memory", limit>>20))
				return
			}
		}
	}
}

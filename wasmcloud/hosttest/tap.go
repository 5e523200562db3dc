package hosttest

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
)

// Frame is a message that went over NATS.
type Frame struct {
	Subject string
	Reply   string
	Header  nats.Header
	Data    []byte
}

// Tap records everything that goes over a server, in the order in which the server has it.
type Tap struct {
	mu  sync.Mutex
	all []Frame
}

// NewTap listens to all subjects of a server until the test ends.
func NewTap(t testing.TB, s *Server) *Tap {
	t.Helper()
	tap := &Tap{}
	nc := s.Connect()
	sub, err := nc.Subscribe(">", func(m *nats.Msg) {
		tap.mu.Lock()
		defer tap.mu.Unlock()
		tap.all = append(tap.all, Frame{Subject: m.Subject, Reply: m.Reply, Header: maps.Clone(m.Header), Data: slices.Clone(m.Data)})
	})
	if err == nil {
		err = sub.SetPendingLimits(-1, -1)
	}
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return tap
}

// Frames are those recorded so far.
func (t *Tap) Frames() []Frame {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.all)
}

// Canonical writes one line for each frame, such that what two providers did can be compared: subjects for answers are numbered in the
// order in which they are named, names are replaced by what they stand for (a host's id by "{host}"), and the lines are sorted, because
// some messages of one call may cross.
func Canonical(frames []Frame, names map[string]string) []string {
	var inboxes []string
	replace := func(subject string) string {
		for i, inbox := range inboxes {
			if rest, ok := strings.CutPrefix(subject, inbox); ok && (rest == "" || rest[0] == '.') {
				return fmt.Sprintf("{inbox %d}%s", i+1, rest)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			subject = strings.ReplaceAll(subject, name, names[name])
		}
		return subject
	}
	var lines []string
	for _, f := range frames {
		if f.Reply != "" && !slices.Contains(inboxes, f.Reply) {
			inboxes = append(inboxes, f.Reply)
		}
		var header []string
		for _, name := range slices.Sorted(maps.Keys(f.Header)) {
			header = append(header, name+"="+replace(strings.Join(f.Header[name], ",")))
		}
		lines = append(lines, fmt.Sprintf("%s <- %s [%s] %s", replace(f.Subject), replace(f.Reply), strings.Join(header, " "), hex.EncodeToString(f.Data)))
	}
	slices.Sort(lines)
	return lines
}

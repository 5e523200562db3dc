package natsbus

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// remembered is for how many intervals a node that is silent is still known. One that
// speaks later counts as new, which is a gap as well.
const remembered = 60

// beats are the signs of life that each bus publishes and counts. A connection tells
// when it was lost; that the server behind it was cut off from the other servers, or
// dropped something, it does not. So a node numbers its signs of life, and where the
// next number is not the one after, something was lost, and perhaps more than that.
type beats struct {
	b      *Bus
	sub    *nats.Subscription
	status chan nats.Status
	quit   chan struct{}
	work   sync.WaitGroup
	once   sync.Once

	mu    sync.Mutex
	known map[string]life // by id of a bus
}

type life struct {
	number uint64
	heard  time.Time
}

func startBeats(b *Bus) (*beats, error) {
	s := &beats{b: b, quit: make(chan struct{}), known: make(map[string]life)}
	var err error
	if s.sub, err = b.conn.Subscribe(b.cfg.Prefix+".beat", s.hear); err != nil {
		return nil, err
	}
	s.status = b.conn.StatusChanged(nats.CONNECTED, nats.RECONNECTING)
	s.work.Go(s.run)
	return s, nil
}

func (s *beats) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	number, lost := uint64(0), !s.b.conn.IsConnected()
	for {
		select {
		case <-s.quit:
			return
		case status := <-s.status:
			switch {
			case status == nats.RECONNECTING:
				lost = true
				s.b.cfg.Log.Warn("bus disconnected: other nodes cannot be reached", "event", "bus_lost")
			case lost:
				lost = false
				s.b.cfg.Log.Info("bus connected", "event", "bus_connected")
				s.b.local.Gap()
			}
		case <-timer.C:
			number++ // also while nobody can hear it: that is what the others notice
			if s.b.conn.IsConnected() {
				// An error is the loss of the connection, which is told by itself.
				_ = s.b.conn.PublishMsg(&nats.Msg{Subject: s.sub.Subject, Header: s.b.stamp, Data: strconv.AppendUint(nil, number, 10)})
			}
			s.forget()
			timer.Reset(time.Duration((0.9 + 0.2*rand.Float64()) * float64(s.b.cfg.Beat)))
		}
	}
}

// hear takes a sign of life.
func (s *beats) hear(m *nats.Msg) {
	from, node, _ := strings.Cut(m.Header.Get(header), " ")
	number, err := strconv.ParseUint(string(m.Data), 10, 64)
	if from == s.b.id || from == "" || err != nil {
		return
	}
	s.mu.Lock()
	before, known := s.known[from]
	s.known[from] = life{number: number, heard: time.Now()}
	s.mu.Unlock()
	if known && number == before.number+1 {
		return
	}
	if known {
		s.b.cfg.Log.Info("bus: messages of another node may have been lost", "event", "bus_gap", "node", node)
	} else {
		s.b.cfg.Log.Info("bus: another node is heard", "event", "bus_node", "node", node)
	}
	s.b.local.Gap()
}

func (s *beats) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, l := range s.known {
		if time.Since(l.heard) > remembered*s.b.cfg.Beat {
			delete(s.known, id)
		}
	}
}

func (s *beats) stop() {
	s.once.Do(func() {
		_ = s.sub.Unsubscribe() // fails only where the connection is closed
		close(s.quit)
	})
	s.work.Wait()
	s.b.conn.RemoveStatusListener(s.status)
}

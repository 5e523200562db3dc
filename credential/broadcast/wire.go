package broadcast

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"sync/atomic"
	"time"

	"github.com/parley-backend/parley/credential"
)

// A message on the bus is one byte, the version of this format; 32 bytes, the HMAC-SHA256
// of that byte and the rest under a key derived from the install key; and the rest, a
// message in JSON.
const (
	version    = 1
	headSize   = 1 + sha256.Size
	maxMessage = 64 << 10
	maxPage    = 32 << 10 // bytes of tombstones in one message
	maxStates  = 400      // credentials in one announcement
	maxID      = 1 << 10  // bytes of a version id that goes over the bus
)

// kind says what a message is about.
type kind string

// The kinds. Doing twice what one of them says is doing it once; what a replay of a
// changed or a refresh could cause is a fetch, so those two count only within a window
// of time. Revocations, and what leads to them, count whatever the clocks say: a node
// whose clock is wrong must not miss one, and one that is replayed is known already.
const (
	changed    kind = "changed"    // Credential was read anew; Number is the version seen
	refresh    kind = "refresh"    // read Credential anew
	revoked    kind = "revoked"    // Tombstones[0] was made; to be confirmed
	confirmed  kind = "confirmed"  // the revoked message with the nonce Of is durable here
	announced  kind = "announced"  // States of the sender's credentials
	tombstones kind = "tombstones" // a page of what is revoked of Credential; All on the last
	left       kind = "left"       // the sender stops
)

type message struct {
	Kind       kind                   `json:"kind"`
	From       string                 `json:"from"` // the Node value
	Node       string                 `json:"node,omitempty"`
	Nonce      string                 `json:"nonce"`
	Time       int64                  `json:"time"` // Unix milliseconds
	Credential string                 `json:"credential,omitempty"`
	Number     uint64                 `json:"number,omitempty"`
	Tombstones []credential.Tombstone `json:"tombstones,omitempty"`
	All        string                 `json:"all,omitempty"` // digest of every tombstone that the sender has of Credential
	States     map[string]state       `json:"states,omitempty"`
	Of         string                 `json:"of,omitempty"`
}

// seal completes and authenticates a message.
func (n *Node) seal(m message) []byte {
	m.From, m.Node, m.Time = n.self, n.cfg.Node, time.Now().UnixMilli()
	if m.Nonce == "" {
		m.Nonce = nonce()
	}
	body, err := json.Marshal(m)
	if err != nil { // strings, numbers and times of this century
		panic("broadcast: " + err.Error())
	}
	data := make([]byte, headSize, headSize+len(body))
	data[0] = version
	data = append(data, body...)
	copy(data[1:], n.mac(data))
	return data
}

func (n *Node) mac(data []byte) []byte {
	key := n.key.Reveal()
	defer clear(key)
	mac := hmac.New(sha256.New, key)
	mac.Write(data[:1])
	mac.Write(data[headSize:])
	return mac.Sum(nil)
}

// open returns the message that was sealed with this install key, or which counter it is
// counted under.
func (n *Node) open(data []byte) (m message, refused *atomic.Uint64) {
	switch {
	case len(data) > maxMessage || len(data) < headSize || data[0] != version:
		return message{}, &n.stats.malformed
	case !hmac.Equal(data[1:headSize], n.mac(data)):
		return message{}, &n.stats.unauthentic
	case json.Unmarshal(data[headSize:], &m) != nil || m.From == "" || m.Nonce == "":
		return message{}, &n.stats.malformed
	}
	return m, nil
}

func nonce() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// nonces remembers the latest, to tell what comes a second time.
type nonces struct {
	known map[string]bool
	ring  [4096]string
	next  int
}

// add reports whether the nonce is new.
func (s *nonces) add(nonce string) bool {
	if s.known[nonce] {
		return false
	}
	if s.known == nil {
		s.known = make(map[string]bool)
	}
	delete(s.known, s.ring[s.next])
	s.ring[s.next] = nonce
	s.next = (s.next + 1) % len(s.ring)
	s.known[nonce] = true
	return true
}

// identity is what makes two tombstones the same revocation: the mark of the value, and
// the id where there is no mark.
func identity(t credential.Tombstone) string {
	if t.Mark != "" {
		return "mark " + t.Mark
	}
	return "id " + t.VersionID
}

// valid reports whether a tombstone from the bus names something.
func valid(t credential.Tombstone) bool {
	if t.Mark == "" {
		return t.VersionID != ""
	}
	raw, err := hex.DecodeString(t.Mark)
	return err == nil && len(raw) == sha256.Size && t.Mark == hex.EncodeToString(raw)
}

// digest identifies a set of revocations, "" for none.
func digest(all []credential.Tombstone) string {
	if len(all) == 0 {
		return ""
	}
	ids := make([]string, len(all))
	for i, t := range all {
		ids[i] = identity(t)
	}
	return sum(ids)
}

// sum identifies a set of strings.
func sum(set []string) string {
	slices.Sort(set)
	text, _ := json.Marshal(slices.Compact(set)) // strings
	full := sha256.Sum256(text)
	return hex.EncodeToString(full[:12])
}

// fitting returns what can go over the bus, and what nodes therefore compare: what is
// valid, without an id that is out of all proportion where a mark decides anyway.
func fitting(all []credential.Tombstone) []credential.Tombstone {
	var out []credential.Tombstone
	for _, t := range all {
		if len(t.VersionID) > maxID && t.Mark != "" {
			t.VersionID = ""
		}
		if valid(t) && len(t.VersionID) <= maxID {
			out = append(out, t)
		}
	}
	return out
}

// pages splits tombstones into messages, at least one.
func pages(all []credential.Tombstone) [][]credential.Tombstone {
	pages := [][]credential.Tombstone{nil}
	size := 0
	for _, t := range all {
		one := 6*len(t.VersionID) + len(t.Mark) + 96 // JSON may write a byte as \u00xx
		if size += one; size > maxPage {
			pages, size = append(pages, nil), one
		}
		last := len(pages) - 1
		pages[last] = append(pages[last], t)
	}
	return pages
}

// counters count for the life of a Node.
type counters struct {
	sent, unsent, received                 atomic.Uint64
	malformed, unauthentic, replayed, late atomic.Uint64
	unknown, saveFailures                  atomic.Uint64
}

// Stats are counts since New.
type Stats struct {
	Sent, Unsent uint64 // Unsent: lost before they reached the bus
	Received     uint64 // authentic messages of other nodes
	Malformed    uint64 // of another version, too large, no JSON
	Unauthentic  uint64 // sealed with another install key
	Replayed     uint64 // received a second time
	Late         uint64 // notices from a clock too far from ours
	Unknown      uint64 // about a credential that this node does not have
	SaveFailures uint64 // revocations that hold here and could not be saved
	Peers        int    // other nodes that were heard lately
}

// Stats returns the counts.
func (n *Node) Stats() Stats {
	c := &n.stats
	return Stats{
		Sent: c.sent.Load(), Unsent: c.unsent.Load(), Received: c.received.Load(),
		Malformed: c.malformed.Load(), Unauthentic: c.unauthentic.Load(), Replayed: c.replayed.Load(), Late: c.late.Load(),
		Unknown: c.unknown.Load(), SaveFailures: c.saveFailures.Load(), Peers: n.heard(),
	}
}

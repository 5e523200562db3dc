package wrpc

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
)

// inbox is the one subscription of a Conn for what belongs to a call: a wildcard, whose
// next token says which call, and the rest what of it. Its callback runs alone and in
// the order of arrival, so it must never wait.
type inbox struct {
	prefix string // ends with a dot
	sub    *nats.Subscription

	mu        sync.Mutex
	receivers map[string]*receiver // by token; nil when closed
	dropped   int                  // used by the callback only
}

func subscribe(nc *nats.Conn, limit int) (*inbox, error) {
	in := &inbox{prefix: nc.NewInbox() + ".", receivers: make(map[string]*receiver)}
	var err error
	if in.sub, err = nc.Subscribe(in.prefix+">", in.message); err != nil {
		return nil, err
	}
	if err := in.sub.SetPendingLimits(nats.DefaultSubPendingMsgsLimit, limit); err != nil {
		_ = in.sub.Unsubscribe()
		return nil, err
	}
	return in, nil
}

// token is one that nobody can guess: a peer knows those of its own calls, and must not
// be able to answer those of others.
func token() string { return fmt.Sprintf("%016x", rand.Uint64()) }

// open gives r a token.
func (in *inbox) open(r *receiver) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.receivers == nil {
		return ErrClosed
	}
	for r.token == "" || in.receivers[r.token] != nil {
		r.token = token()
	}
	in.receivers[r.token] = r
	return nil
}

// subject is what the other side sends to.
func (in *inbox) subject(token string) string { return in.prefix + token }

// forget makes what still comes for r vanish.
func (in *inbox) forget(r *receiver) {
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.receivers, r.token)
}

func (in *inbox) message(m *nats.Msg) {
	if n, err := in.sub.Dropped(); err == nil && n != in.dropped {
		in.dropped = n
		in.failAll(ErrLost) // a chunk may be missing in any of them
	}
	token, path, _ := strings.Cut(m.Subject[len(in.prefix):], ".")
	in.mu.Lock()
	r := in.receivers[token]
	in.mu.Unlock()
	if r == nil {
		return // late: the call is over
	}
	switch path {
	case "":
		r.answer(m)
	case r.path:
		r.chunk(m.Data, false)
	case repeated + r.path:
		r.chunk(m.Data, true)
	}
	// Anything else is the path of an asynchronous value, which no function of the messaging interface has.
}

func (in *inbox) failAll(err error) {
	in.mu.Lock()
	all := make([]*receiver, 0, len(in.receivers))
	for _, r := range in.receivers {
		all = append(all, r)
	}
	in.mu.Unlock()
	for _, r := range all {
		r.finish(err)
	}
}

func (in *inbox) close() {
	_ = in.sub.Unsubscribe() // fails only if the connection is closed
	in.failAll(ErrClosed)
	in.mu.Lock()
	in.receivers = nil
	in.mu.Unlock()
}

// receiver puts together what arrives for one call: results where it was invoked,
// parameters where it is served.
type receiver struct {
	conn  *Conn
	token string
	path  string // "results" or "params"

	answered chan string   // the subject for parameters, once; nil where the call is served
	done     chan struct{} // closed when body or err is final
	whole    bool          // nothing but the end is still needed

	mu     sync.Mutex
	body   []byte
	held   int // counted in conn
	heard  bool
	second bool // the other side has the repeated handshake, and not the first
	over   bool
	err    error
}

// repeated comes between the token and the path in what answers a handshake that was sent again.
const repeated = "again."

// receive opens a receiver of a new call, for which close must be called.
func (c *Conn) receive(path string) (*receiver, error) {
	return c.open(&receiver{conn: c, path: path, answered: make(chan string, 1), done: make(chan struct{})})
}

// serve opens a receiver for the parameters of a call that holds so many bytes. If they are whole, it waits for their end only.
func (c *Conn) serve(held int, whole bool) (*receiver, error) {
	r := &receiver{conn: c, path: "params", done: make(chan struct{}), whole: whole}
	if whole {
		r.held = held
	}
	return c.open(r)
}

func (c *Conn) open(r *receiver) (*receiver, error) {
	if err := c.begin(r.held); err != nil {
		return nil, err
	}
	if err := c.inbox.open(r); err != nil {
		c.end(r.held)
		return nil, err
	}
	return r, nil
}

func (r *receiver) close() {
	r.finish(ErrClosed)
	r.mu.Lock()
	held := r.held
	r.held, r.body = 0, nil
	r.mu.Unlock()
	r.conn.end(held)
}

// answer takes the handshake, or what NATS says in its place.
func (r *receiver) answer(m *nats.Msg) {
	if r.answered == nil {
		return
	}
	if err := status(m); err != nil {
		r.finish(err)
		return
	}
	if m.Reply == "" {
		r.finish(fmt.Errorf("%w: an answer without a subject for parameters", ErrProtocol))
		return
	}
	select {
	case r.answered <- m.Reply:
	default: // the second one
	}
}

// status is the error in an answer of NATS itself.
func status(m *nats.Msg) error {
	if len(m.Header) == 0 || len(m.Data) > 0 {
		return nil
	}
	switch code := m.Header.Get("Status"); {
	case code == "" || code[0] == '2':
		return nil
	case code == "503":
		return ErrNoServer
	default:
		return &StatusError{Code: code, Description: m.Header.Get("Description")}
	}
}

// chunk takes the next bytes; none are the end.
func (r *receiver) chunk(data []byte, second bool) {
	r.mu.Lock()
	if !r.over {
		r.heard, r.second = true, second
	}
	r.mu.Unlock()
	if r.whole && len(data) > 0 {
		return
	}
	if err := r.add(data); err != nil || len(data) == 0 {
		r.finish(err)
	}
}

func (r *receiver) add(data []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over || len(data) == 0 {
		return nil
	}
	size := len(r.body) + len(data)
	if size > r.conn.o.MaxBody {
		return ErrTooLarge
	}
	if size <= cap(r.body) {
		r.body = append(r.body, data...)
		return nil
	}
	grown := len(data)
	if r.body != nil { // most calls are one message, whose bytes nobody else has
		grown = min(max(size, 2*cap(r.body)), r.conn.o.MaxBody)
	}
	if err := r.conn.hold(grown - r.held); err != nil {
		return err
	}
	r.held = grown
	if r.body == nil {
		r.body = data[:len(data):len(data)]
		return nil
	}
	r.body = append(append(make([]byte, 0, grown), r.body...), data...)
	return nil
}

// hold counts more bytes of the call.
func (r *receiver) hold(bytes int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.conn.hold(bytes); err != nil {
		return err
	}
	r.held += bytes
	return nil
}

// heardOf says whether anything has come of the other side, and whether in answer to the repeated handshake.
func (r *receiver) heardOf() (heard, second bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.heard, r.second
}

func (r *receiver) finish(err error) {
	r.conn.inbox.forget(r)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	r.over, r.err = true, err
	close(r.done)
}

// result is what has arrived, once done is closed.
func (r *receiver) result() ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.body, r.err
}

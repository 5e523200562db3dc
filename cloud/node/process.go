package node

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/parse"
)

// process is one worker: a process of Node and its socket. It is made, runs until it ends for whatever reason, and is not used again.
type process struct {
	pool    *pool
	number  int
	cmd     *exec.Cmd
	conn    net.Conn
	out     chan []byte
	stop    chan struct{} // closed when the process has ended
	loaded  chan error    // what came of loading: one value
	ended   chan struct{} // closed when all that belongs to the process has ended
	pong    chan uint64
	aside   sync.WaitGroup
	stderr  tail
	retired atomic.Bool // no new calls
	suspect atomic.Bool // a ping is under way

	mu    sync.Mutex
	calls map[uint64]*call
	dead  bool
	// why the process ended, as far as somebody knows better than the system.
	why string
}

// call is one call that a worker is to answer.
type call struct {
	id     uint64
	what   string
	frame  []byte
	ctx    context.Context
	client *cloud.Client // what the code asks goes through it
	begun  bool
	done   chan outcome // one value
}

// outcome is what came of a call.
type outcome struct {
	reply *parse.Map
	err   error
	again bool // it never began: another worker can have it
}

// spawn starts a worker and has it load the code. The process lives until it is told to end, whatever becomes of ctx.
func spawn(p *pool, number int) (*process, error) {
	conn, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	args := []string{}
	if p.o.MaxMemory > 0 {
		args = append(args, "--max-old-space-size="+strconv.Itoa(p.o.MaxMemory))
	}
	w := &process{
		pool: p, number: number, conn: conn, out: make(chan []byte, 256), stop: make(chan struct{}), loaded: make(chan error, 1), ended: make(chan struct{}),
		pong: make(chan uint64, 1), calls: map[uint64]*call{},
	}
	w.cmd = exec.Command(p.node, append(append(args, p.o.NodeArgs...), "-")...)
	w.cmd.Env = p.o.Env
	w.cmd.Stdin = strings.NewReader(p.source)
	w.cmd.ExtraFiles = append(w.cmd.ExtraFiles, theirs) // number 3
	w.cmd.Stdout = &lines{write: func(text string) { p.say("info", text, "") }}
	w.cmd.Stderr = io.MultiWriter(&w.stderr, &lines{write: func(text string) { p.say("warn", text, "") }})
	w.cmd.WaitDelay = time.Second // something that it has started may hold its output open
	separate(w.cmd)
	started := make(chan error)
	go w.live(started)
	if err := <-started; err != nil {
		conn.Close()
		return nil, err
	}
	w.aside.Go(w.writing)
	w.aside.Go(w.reading)
	if limit := memoryLimit(p.o); limit > 0 {
		w.aside.Go(func() { w.watching(limit) })
	}
	w.post(parse.NewMap("t", "load", "main", p.main, "appId", p.o.AppID, "serverURL", p.o.ServerURL, "limit", maxFrame, "oldestNode", oldestNode))
	return w, nil
}

// live starts the process and waits for its end, on one thread: the process ends with the thread that started it, see separate.
func (w *process) live(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := w.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	w.cmd.Wait() // how it ended is in its state
	w.end()
}

// end answers the calls of a process that is no more.
func (w *process) end() {
	w.conn.SetReadDeadline(time.Now().Add(time.Second)) // what it has said before is still read
	w.mu.Lock()
	w.dead = true
	w.mu.Unlock()
	close(w.stop)
	w.aside.Wait()
	w.conn.Close()
	why := w.reason()
	w.mu.Lock()
	calls := w.calls
	w.calls = nil
	w.mu.Unlock()
	for _, c := range calls {
		if !c.begun {
			c.done <- outcome{again: true}
			continue
		}
		c.done <- outcome{err: parse.Errorf(parse.ScriptFailed, "The cloud code did not finish: its process %s.", why)}
	}
	w.hasLoaded(fmt.Errorf("the cloud code cannot be loaded: its process %s%s", why, w.stderr.said()))
	close(w.ended)
}

// hasLoaded tells what came of loading. Only the first word counts: the socket is within the reach of the code.
func (w *process) hasLoaded(err error) {
	select {
	case w.loaded <- err:
	default:
	}
}

// reason says how the process ended.
func (w *process) reason() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	text, aborted := ending(w.cmd.ProcessState)
	switch {
	case w.why != "":
		return w.why
	case aborted && strings.Contains(w.stderr.said(), "out of memory"):
		return "ran out of memory"
	}
	return "ended (" + text + ")"
}

// because remembers why the process is about to end; the first reason counts.
func (w *process) because(why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.why == "" {
		w.why = why
	}
}

func (w *process) kill(why string) {
	w.because(why)
	kill(w.cmd)
}

// do has the worker run a call, until ctx ends.
func (w *process) do(c *call) outcome {
	w.mu.Lock()
	if w.dead || w.retired.Load() {
		w.mu.Unlock()
		return outcome{again: true}
	}
	w.calls[c.id] = c
	w.mu.Unlock()
	if !w.send(c.ctx, c.frame) {
		select {
		case o := <-c.done: // the process has ended
			return o
		case <-c.ctx.Done():
		}
		return w.abandon(c)
	}
	select {
	case o := <-c.done:
		return o
	case <-c.ctx.Done():
		return w.abandon(c)
	}
}

// abandon gives a call up. The worker is told, and asked whether it is still there.
func (w *process) abandon(c *call) outcome {
	w.mu.Lock()
	delete(w.calls, c.id)
	w.mu.Unlock()
	w.post(parse.NewMap("t", "cancel", "id", float64(c.id)))
	if errors.Is(c.ctx.Err(), context.DeadlineExceeded) && w.suspect.CompareAndSwap(false, true) {
		w.pool.aside.Go(func() { w.doubt(c) })
	}
	return outcome{err: c.ctx.Err()}
}

// doubt ends a worker that does not answer: something in it does not end.
func (w *process) doubt(c *call) {
	defer w.suspect.Store(false)
	patience := time.NewTimer(w.pool.o.Grace)
	defer patience.Stop()
	w.post(parse.NewMap("t", "ping", "id", float64(c.id)))
	for {
		select {
		case id := <-w.pong:
			if id == c.id {
				return
			}
		case <-w.ended:
			return
		case <-patience.C:
			w.pool.log.Error("cloud code does not answer and is started anew: is there a loop without an end?", "cloud", c.what, "worker", w.number)
			w.kill("was ended, because " + c.what + " kept it busy beyond its time")
			return
		}
	}
}

// load is how many calls the worker has.
func (w *process) load() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.calls)
}

// send hands a frame to the socket, false when the process has ended or ctx does.
func (w *process) send(ctx context.Context, frame []byte) bool {
	select {
	case w.out <- frame:
		return true
	case <-w.stop:
		return false
	case <-ctx.Done():
		return false
	}
}

// post sends a message that is small and may be lost with the process.
func (w *process) post(message *parse.Map) {
	frame, err := encode(message)
	if err != nil {
		w.pool.log.Error("a message to the cloud code", "error", err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), w.pool.o.Grace)
	defer cancel()
	w.send(ctx, frame)
}

// writing writes what is sent, as much at once as there is.
func (w *process) writing() {
	b := bufio.NewWriterSize(w.conn, 64<<10)
	for {
		select {
		case frame := <-w.out:
			b.Write(frame) // an error stays until Flush
		case <-w.stop:
			return
		}
		for more := true; more; {
			select {
			case frame := <-w.out:
				b.Write(frame)
			default:
				more = false
			}
		}
		if b.Flush() != nil {
			b.Reset(io.Discard) // who sends is not kept waiting until the process has ended
		}
	}
}

// reading takes what the worker says until it ends.
func (w *process) reading() {
	r := bufio.NewReaderSize(w.conn, 64<<10)
	var buffer []byte
	for {
		message, err := read(r, &buffer)
		var beyond *unreadable
		switch {
		case errors.As(err, &beyond):
			w.garbled(beyond)
		case errors.As(err, new(tooLong)):
			w.pool.log.Error("the socket of the cloud code", "error", err.Error(), "worker", w.number)
			w.kill("said something that nobody understands")
			return
		case err != nil: // the process has ended, mostly: a moment later it is known how
			select {
			case <-w.stop:
			case <-time.After(w.pool.o.Grace):
				w.kill("was ended, because it closed its socket")
			}
			return
		default:
			w.take(message)
		}
	}
}

// take acts on one message.
func (w *process) take(m *parse.Map) {
	switch m.String("t") {
	case "begun":
		w.mu.Lock()
		if c := w.calls[id(m)]; c != nil {
			c.begun = true
		}
		w.mu.Unlock()
	case "result":
		if c := w.finished(id(m)); c != nil {
			c.done <- outcome{reply: m, err: failureOf(m)}
		}
	case "ask":
		w.asked(m)
	case "log":
		w.pool.say(m.String("level"), m.String("text"), m.String("what"))
	case "odd":
		w.pool.odd(m.String("text"))
	case "pong":
		select {
		case w.pong <- id(m):
		default:
		}
	case "exit":
		why := "was ended by process.exit"
		if what := m.String("what"); what != "" {
			why += " in " + what
		}
		w.because(why)
	case "ready":
		w.pool.announced(w, m)
		w.hasLoaded(nil)
	case "registered":
		w.pool.announced(w, m)
	case "failed":
		w.hasLoaded(loadFailure(m.String("stage"), m.String("message"), m.String("stack"), w.pool.node))
	}
}

func id(m *parse.Map) uint64 {
	n, _ := m.Get("id").(float64)
	return uint64(n)
}

func (w *process) finished(id uint64) *call {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.calls[id]
	delete(w.calls, id)
	return c
}

var addressed = regexp.MustCompile(`^\{"t":"(result|ask)","id":(\d+)`)

// garbled answers for a message that is too deep to be read: whatever it belongs to fails, and nothing else.
func (w *process) garbled(u *unreadable) {
	m := addressed.FindSubmatch(u.begin)
	if m == nil {
		w.pool.log.Error("a message of the cloud code cannot be read", "error", u.Error(), "worker", w.number)
		return
	}
	n, _ := strconv.ParseUint(string(m[2]), 10, 64)
	told := parse.Errorf(parse.ScriptFailed, "What the cloud code says cannot be read: %v", u.err)
	if string(m[1]) == "ask" {
		w.answer(n, &cloud.Answer{Status: 400, Body: parse.NewMap("code", float64(told.Code), "error", told.Message)})
	} else if c := w.finished(n); c != nil {
		c.done <- outcome{err: told}
	}
}

// tail keeps the end of what a process says on its standard error.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const longestTail = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if len(t.text) > longestTail {
		t.text = append(t.text[:0], t.text[len(t.text)-longestTail:]...)
	}
	return len(p), nil
}

func (t *tail) said() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(bytes.TrimSpace(t.text)) == 0 {
		return ""
	}
	return ": " + string(bytes.TrimSpace(t.text))
}

// lines hands on what is written to it, line by line.
type lines struct {
	write func(string)
	rest  []byte
}

const longestLine = 16 << 10

func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 && len(l.rest) > longestLine {
			i = longestLine
		}
		if i < 0 {
			return len(p), nil
		}
		if text := strings.TrimRight(string(l.rest[:i]), "\r"); text != "" {
			l.write(text)
		}
		l.rest = l.rest[min(i+1, len(l.rest)):]
	}
}

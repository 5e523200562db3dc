package oracle

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/parley-backend/parley/conformance"
)

var record = flag.Bool("record", false, "record the answers of Parse Server to handover/*.txt, and to the corpus files that -only names")

var token = regexp.MustCompile(`r:[0-9a-f]{32}`)

// story is the folder with what happens to the database that is handed over.
const story = "handover"

// TestHandOver: Parse Server fills a database and ends. Parley answers everything on it as Parse Server did, writes, and ends.
// Parse Server starts again, answers everything as Parley did, and writes on what Parley wrote. Parley answers as it does.
func TestHandOver(t *testing.T) {
	needed(t)
	h := &handOver{t: t, uri: newDatabase(t, true), vars: map[string]string{}}
	h.options = read(t, filepath.Join(story, "fill.txt")).Options

	h.start(startParseServer)
	h.play("fill.txt")
	logins := h.ask("logins.txt")
	before := h.ask("reads.txt")

	if *record { // all by Parse Server
		h.play("more.txt")
		h.play("again.txt")
		return
	}
	h.change(startParley)
	h.same(before, h.ask("reads.txt"))
	h.same(logins, h.ask("logins.txt"))
	h.play("more.txt")
	before = h.ask("reads.txt", "reads2.txt")

	h.change(startParseServer)
	h.same(before, h.ask("reads.txt", "reads2.txt"))
	h.play("again.txt")
	before = h.ask("reads.txt", "reads2.txt")

	h.change(startParley)
	h.same(before, h.ask("reads.txt", "reads2.txt"))
	t.Logf("%d answers compared", h.compared)
}

type handOver struct {
	t        *testing.T
	uri      string
	options  string
	vars     map[string]string // what the files captured
	server   *server
	compared int
}

// start starts a server on the database.
func (h *handOver) start(start func(t *testing.T, options, uri string) *server) {
	h.t.Helper()
	h.server = start(h.t, h.options, h.uri)
}

// change ends one server, and starts another.
func (h *handOver) change(start func(t *testing.T, options, uri string) *server) {
	h.t.Helper()
	h.server.stop(h.t)
	h.start(start)
}

// play sends the exchanges of a file, and wants the recorded answers.
func (h *handOver) play(name string) {
	h.t.Helper()
	path := filepath.Join(story, name)
	f := read(h.t, path)
	r := &conformance.Runner{BaseURL: h.server.url, Client: newClient(h.t), Vars: h.vars}
	if h.server.name == "Parley" {
		r.Expect = (*conformance.Exchange).ExpectedOnPostgres
	} else {
		r.Expect = func(e *conformance.Exchange) *conformance.Answer { return e.Want }
	}
	if *record {
		r.Record = func(e *conformance.Exchange, a *conformance.Answer) { e.Want = a }
	}
	failures, err := r.Run(h.t.Context(), f)
	for _, failure := range failures {
		h.t.Errorf("%s: %v", h.server.name, failure)
	}
	if err != nil {
		h.t.Fatalf("%s: %v", h.server.name, err)
	}
	h.compared += len(f.Exchanges)
	maps.Copy(h.vars, r.Captured())
	if *record {
		if err := os.WriteFile(path, f.Format(), 0o644); err != nil {
			h.t.Fatal(err)
		}
	}
}

// An answered is what a server said to an exchange.
type answered struct {
	server   string
	exchange *conformance.Exchange
	answer   *conformance.Answer
}

// ask sends the exchanges of files and returns the answers, without what has to differ: the URL of the server and new sessions.
func (h *handOver) ask(names ...string) []answered {
	h.t.Helper()
	var all []answered
	for _, name := range names {
		f := read(h.t, filepath.Join(story, name))
		known := map[string]bool{}
		for _, value := range h.vars {
			known[value] = true
		}
		r := &conformance.Runner{BaseURL: h.server.url, Client: newClient(h.t), Vars: h.vars, Expect: func(*conformance.Exchange) *conformance.Answer { return &conformance.Answer{} }}
		r.Seen = func(e *conformance.Exchange, a *conformance.Answer) {
			plain := *a
			plain.Body = h.plain(a.Body, known)
			plain.Headers = map[string]string{}
			for header, value := range a.Headers {
				plain.Headers[header] = h.plain(value, known)
			}
			all = append(all, answered{h.server.name, e, &plain})
		}
		if _, err := r.Run(h.t.Context(), f); err != nil {
			h.t.Fatalf("%s: %v", h.server.name, err)
		}
	}
	return all
}

// plain replaces in a text what differs from server to server.
func (h *handOver) plain(text string, known map[string]bool) string {
	text = strings.ReplaceAll(text, h.server.url, "URL")
	return token.ReplaceAllStringFunc(text, func(found string) string {
		if known[found] {
			return found
		}
		return "TOKEN"
	})
}

// same wants equal answers.
func (h *handOver) same(want, got []answered) {
	h.t.Helper()
	if len(want) != len(got) {
		h.t.Fatalf("%d answers, want %d", len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		h.compared++
		if differences := g.exchange.Differences(w.answer, g.answer); len(differences) > 0 {
			h.t.Errorf("%s: %s, which was answered by %s:\n%s\nis answered by %s:\n%s\n%s", w.exchange.Name, line(w.exchange), w.server, w.answer, g.server, g.answer, strings.Join(differences, "\n"))
		}
	}
}

func line(e *conformance.Exchange) string {
	return fmt.Sprint(e.Method, " ", e.Path, " ", e.Caller, " ", e.Body)
}

package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"time"
)

// The credentials with which every server of the corpus is started, beside the
// options of the file. All key IP lists admit loopback.
const (
	ApplicationID     = "app"
	MasterKey         = "mk-master-0123456789abcdef"
	ReadOnlyMasterKey = "ro-readonly-0123456789abcdef"
	MaintenanceKey    = "mt-maintenance-0123456789abcdef"
)

// A Failure is an exchange that was not answered as expected.
type Failure struct {
	File        string
	Line        int
	Name        string
	Request     string
	Got         string
	Differences []string
}

func (f Failure) String() string {
	return fmt.Sprintf("%s:%d: %s\n\t> %s\n\t< %s\n\t%s", f.File, f.Line, f.Name, f.Request, f.Got, strings.Join(f.Differences, "\n\t"))
}

// A Runner replays files against a server.
type Runner struct {
	BaseURL string // scheme, host and mount path, without a slash at the end
	Client  *http.Client

	// Expect chooses the expected answer; nil means (*Exchange).Expected.
	Expect func(*Exchange) *Answer
	// Record, when set, receives each answer with everything that changes
	// from run to run generalised, and nothing is compared.
	Record func(*Exchange, *Answer)
	// Seen, when set, receives each answer as it came.
	Seen func(*Exchange, *Answer)
	// Vars are known before the first exchange of a file. They do not gain what it captures; see Captured.
	Vars map[string]string

	match    matcher
	requests strings.Builder // all that was sent: what it holds is not generated
}

// Run plays one conversation and returns the failures in order. The error is a
// failure of transport; it ends the conversation.
func (r *Runner) Run(ctx context.Context, f *File) ([]Failure, error) {
	r.match = matcher{vars: map[string]string{}}
	maps.Copy(r.match.vars, r.Vars)
	r.match.vars["url"] = r.BaseURL
	r.requests.Reset()
	expect := r.Expect
	if expect == nil {
		expect = (*Exchange).Expected
	}
	var failures []Failure
	for _, e := range f.Exchanges {
		got, request, err := r.send(ctx, e)
		if err != nil {
			return failures, fmt.Errorf("%s:%d: %s: %w", f.Name, e.Line, e.Name, err)
		}
		r.match.now, r.match.anyOrder = time.Now(), e.AnyOrder
		if r.Seen != nil {
			r.Seen(e, got)
		}
		var differences []string
		for _, c := range e.Captures {
			value, err := capture(got.Body, c.Path)
			if err != nil {
				differences = append(differences, err.Error())
				continue
			}
			r.match.vars[c.Name] = value
		}
		if r.Record != nil {
			r.Record(e, r.generalise(got))
		} else if want := expect(e); want == nil {
			differences = append(differences, "nothing is recorded")
		} else {
			differences = append(differences, r.match.differences(want, got)...)
		}
		if len(differences) > 0 {
			sort.Strings(differences)
			failures = append(failures, Failure{f.Name, e.Line, e.Name, request, got.String(), differences})
		}
	}
	return failures, nil
}

// Captured returns the variables of the last run: Vars, ${url}, and what the file captured.
func (r *Runner) Captured() map[string]string { return maps.Clone(r.match.vars) }

// Differences compares two answers to an exchange, as they came, and returns what differs.
func (e *Exchange) Differences(want, got *Answer) []string {
	m := matcher{anyOrder: e.AnyOrder}
	differences := m.differences(want, got)
	sort.Strings(differences)
	return differences
}

func (r *Runner) send(ctx context.Context, e *Exchange) (*Answer, string, error) {
	body := r.match.expand(e.Body)
	target := r.BaseURL + escape(r.match.expand(e.Path))
	u, err := url.Parse(target)
	if err != nil {
		return nil, "", err
	}
	request, err := http.NewRequestWithContext(ctx, e.Method, "http://invalid/", strings.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	request.URL, request.Host = u, u.Host
	if body == "" && !e.Raw {
		request.Body, request.ContentLength = nil, 0
	} else {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("X-Parse-Application-Id", ApplicationID)
	for _, item := range e.Caller {
		if err := setCaller(request.Header, r.match.expand(item)); err != nil {
			return nil, "", err
		}
	}
	line := e.Method + " " + r.match.expand(e.Path) + " " + body
	r.requests.WriteString(line + "\n" + strings.Join(e.Caller, "\n") + "\n")
	response, err := r.Client.Do(request)
	if err != nil {
		return nil, line, err
	}
	got, err := read(response, e.Headers)
	return got, line, err
}

func setCaller(h http.Header, item string) error {
	if name, ok := strings.CutPrefix(item, "-"); ok {
		h.Del(name)
		return nil
	}
	if session, ok := strings.CutPrefix(item, "session "); ok {
		h.Set("X-Parse-Session-Token", session)
		return nil
	}
	switch item {
	case "master":
		h.Set("X-Parse-Master-Key", MasterKey)
	case "readonly":
		h.Set("X-Parse-Master-Key", ReadOnlyMasterKey)
	case "maintenance":
		h.Set("X-Parse-Maintenance-Key", MaintenanceKey)
	default:
		name, value, ok := strings.Cut(item, ":")
		if !ok {
			return fmt.Errorf("unknown caller %q", item)
		}
		h.Set(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return nil
}

// escape encodes what a request target cannot hold, so that paths in the
// corpus can be read. What is already encoded stays.
func escape(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c <= ' ', c >= 0x7f, strings.IndexByte(`"<>\^{|}`+"`"+`[]`, c) >= 0:
			fmt.Fprintf(&b, "%%%02X", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func read(response *http.Response, headers []string) (*Answer, error) {
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	a := &Answer{Status: response.StatusCode, Body: string(body)}
	for _, name := range append([]string{"location"}, headers...) {
		if values := response.Header.Values(name); len(values) > 0 {
			if a.Headers == nil {
				a.Headers = map[string]string{}
			}
			a.Headers[name] = strings.Join(values, ", ")
		}
	}
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	switch {
	case len(body) == 0:
		a.Kind = EmptyBody
	case media == "application/json", media == "" && json.Valid(body): // some refusals carry no media type
		a.Kind, a.Body = JSONBody, string(bytes.TrimSpace(body))
	case media == "text/plain":
		a.Kind = TextBody
	default:
		a.Kind, a.Body = OtherBody, media
	}
	return a, nil
}

// differences compares a whole answer.
func (m *matcher) differences(want, got *Answer) (out []string) {
	if want.Status != got.Status {
		out = append(out, fmt.Sprintf("status = %d, want %d", got.Status, want.Status))
	}
	switch {
	case want.Kind != got.Kind:
		out = append(out, fmt.Sprintf("answer = %s, want %s", got, m.expand(want.String())))
	case want.Kind == JSONBody:
		out = append(out, m.compare(want.Body, got.Body)...)
	case !m.matches(want.Body, got.Body):
		out = append(out, fmt.Sprintf("body = %q, want %q", got.Body, m.expand(want.Body)))
	}
	for name, w := range want.Headers {
		if g, ok := got.Headers[name]; !ok {
			out = append(out, fmt.Sprintf("header %s is missing, want %s", name, m.expand(w)))
		} else if !m.matches(w, g) {
			out = append(out, fmt.Sprintf("header %s = %q, want %q", name, g, m.expand(w)))
		}
	}
	for name, g := range got.Headers {
		if _, ok := want.Headers[name]; !ok {
			out = append(out, fmt.Sprintf("header %s = %q, want it absent", name, g))
		}
	}
	return out
}

package object

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/parley-backend/parley/internal/access"
	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/internal/schemas"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
	"github.com/parley-backend/parley/storage/memory"
	"github.com/parley-backend/parley/storage/sqlite"
)

// bed is a service over an empty database.
type bed struct {
	t testing.TB
	*Objects
	schemas *schemas.Schemas
	// names of objectIds: "$name$" in a body or a path stands for one, "last" is that of the last create.
	names map[string]string
	// quiet is set while internal errors are what the test is about.
	quiet bool
}

// adapters are the databases that every scenario runs on.
var adapters = map[string]func(t testing.TB) storage.Adapter{
	"memory": func(testing.TB) storage.Adapter { return memory.New() },
	"sqlite": func(t testing.TB) storage.Adapter {
		db, err := sqlite.Open(context.Background(), sqlite.Config{Path: filepath.Join(t.TempDir(), "test.db")})
		if err != nil {
			t.Fatalf("sqlite.Open() = %v", err)
		}
		return db
	},
}

// onEach runs a test on a service over each database. Clients may create classes unless cfg is changed.
func onEach(t *testing.T, f func(t *testing.T, b *bed), change ...func(*Config)) {
	for name, open := range adapters {
		t.Run(name, func(t *testing.T) { f(t, newBed(t, storage.Checked(open(t)), change...)) })
	}
}

func newBed(t testing.TB, store storage.Adapter, change ...func(*Config)) *bed {
	t.Helper()
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	s, err := schemas.Load(context.Background(), store)
	if err != nil {
		t.Fatalf("Load() = %v", err)
	}
	cfg := Config{Store: store, Schemas: s, Rules: access.Rules{AllowClassCreation: true}}
	cfg.FileURL = func(name string) string { return "http://files/" + name }
	for _, f := range change {
		f(&cfg)
	}
	return &bed{t: t, Objects: New(cfg), schemas: s, names: map[string]string{}}
}

// The callers of the scenarios.
var (
	public      = &auth.Caller{}
	master      = &auth.Caller{Master: true}
	readOnly    = &auth.Caller{Master: true, ReadOnly: true}
	maintenance = &auth.Caller{Maintenance: true}
	alice       = user("alice", "role:Staff")
	bob         = user("bob")
)

func user(id string, roles ...string) *auth.Caller {
	return &auth.Caller{User: parse.NewObject(schema.UserClass, "objectId", id), Roles: roles}
}

// decode reads a body, in which $name stands for the objectId that was stored under that name.
func (b *bed) decode(body string) *parse.Map {
	b.t.Helper()
	m, err := parse.DecodeMap([]byte(b.fill(body)), parse.Limits{})
	if err != nil {
		b.t.Fatalf("DecodeMap(%s) = %v", body, err)
	}
	return m
}

func (b *bed) fill(text string) string {
	for name, id := range b.names {
		text = strings.ReplaceAll(text, "$"+name+"$", id)
	}
	return text
}

// do runs one exchange, such as "POST Obj", "PUT Obj/id", "GET Obj?keys=a", and returns the answer as a client reads it:
// its status and its JSON, in which ids and dates are generalised.
func (b *bed) do(caller *auth.Caller, line, body string) string {
	b.t.Helper()
	ctx := context.Background()
	method, path, _ := strings.Cut(b.fill(line), " ")
	path, params, _ := strings.Cut(path, "?")
	class, id, _ := strings.Cut(path, "/")
	switch method {
	case "POST":
		saved, err := b.Create(ctx, caller, class, b.decode(body))
		return b.saved(saved, err)
	case "PUT":
		saved, err := b.Update(ctx, caller, class, id, b.decode(body))
		return b.saved(saved, err)
	case "DELETE":
		return b.answer(200, parse.NewMap(), b.Delete(ctx, caller, class, id))
	case "GET":
		q, err := query.ParseFind(query.ParamsFromQuery(params), query.Options{Privileged: caller.Privileged()})
		if err != nil {
			return b.answer(0, nil, err)
		}
		q.ClassName = class
		if id != "" {
			object, err := b.Get(ctx, caller, class, id, q)
			if err != nil {
				return b.answer(0, nil, err)
			}
			return b.answer(200, &parse.Object{ClassName: class, Map: object.Map}, nil)
		}
		found, err := b.Find(ctx, caller, q)
		if err != nil {
			return b.answer(0, nil, err)
		}
		return b.found(q, found)
	}
	b.t.Fatalf("no method %q", method)
	return ""
}

func (b *bed) saved(saved *Saved, err error) string {
	if err != nil {
		return b.answer(0, nil, err)
	}
	if id := saved.Body.String("objectId"); id != "" {
		b.names["last"] = id
	}
	text := b.answer(saved.Status, saved.Body, nil)
	if saved.Location != "" {
		text += " " + b.generalise(saved.Location)
	}
	return text
}

func (b *bed) found(q *query.Find, found *Found) string {
	text := make([]string, len(found.Objects))
	for i, object := range found.Objects {
		text[i] = string(parse.AppendObject(nil, object))
	}
	all := "[" + strings.Join(text, ",") + "]"
	if q.Count {
		all += fmt.Sprintf(" count %d", found.Count)
	}
	if found.ClassName != "" {
		all += " of " + found.ClassName
	}
	return "200 " + b.generalise(all)
}

func (b *bed) answer(status int, body any, err error) string {
	if err != nil {
		e, ok := err.(*parse.Error)
		if !ok {
			return fmt.Sprintf("%T %v", err, err)
		}
		if e.Code == parse.InternalServerError && !b.quiet {
			b.t.Errorf("internal error: %v", err)
		}
		return fmt.Sprintf("%d %s", int(e.Code), e.Message)
	}
	var text []byte
	if o, ok := body.(*parse.Object); ok {
		text = parse.AppendObject(nil, o)
	} else {
		text = parse.Marshal(body)
	}
	return fmt.Sprintf("%d %s", status, b.generalise(string(text)))
}

// generalise replaces known ids by their names and dates of this century by <date>.
func (b *bed) generalise(text string) string {
	for name, id := range b.names {
		if name != "last" && id != "" {
			text = strings.ReplaceAll(text, id, "<"+name+">")
		}
	}
	if id := b.names["last"]; id != "" {
		text = strings.ReplaceAll(text, id, "<id>")
	}
	return recent.ReplaceAllString(text, "<date>")
}

// recent are the dates of now; those of test data are of another century.
var recent = regexp.MustCompile(`20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ`)

// canonical sorts the members of the JSON objects in an answer: their order is not promised.
func canonical(answer string) string {
	start := strings.IndexAny(answer, "{[")
	if start < 0 {
		return answer
	}
	var v any
	d := json.NewDecoder(strings.NewReader(answer[start:]))
	if err := d.Decode(&v); err != nil {
		return answer
	}
	sorted := &strings.Builder{}
	e := json.NewEncoder(sorted)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return answer
	}
	return answer[:start] + strings.TrimSpace(sorted.String()) + answer[start+int(d.InputOffset()):]
}

// exchange is one request and its answer.
type exchange struct {
	caller *auth.Caller // nil for the public
	line   string
	body   string
	// as is the name under which the objectId of a create is kept.
	as   string
	want string
}

func (b *bed) play(exchanges []exchange) {
	b.t.Helper()
	for _, e := range exchanges {
		caller := e.caller
		if caller == nil {
			caller = public
		}
		delete(b.names, "last")
		got := b.do(caller, e.line, e.body)
		if e.as != "" && b.names["last"] != "" {
			b.names[e.as] = b.names["last"]
			delete(b.names, "last")
		}
		if canonical(e.want) != canonical(got) {
			b.t.Errorf("%s %s = %s\nwant %s", e.line, e.body, canonical(got), canonical(e.want))
		}
	}
}

// define makes a class with the body of the schema API.
func (b *bed) define(name, body string) {
	b.t.Helper()
	if _, err := b.schemas.Create(context.Background(), name, b.decode(body)); err != nil {
		b.t.Fatalf("Create(%s) = %v", name, err)
	}
}

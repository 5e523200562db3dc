package installation_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/internal/installation"
	"github.com/parley-backend/parley/internal/object"
	"github.com/parley-backend/parley/internal/schemas"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
	"github.com/parley-backend/parley/storage/memory"
)

type world struct {
	t       testing.TB
	objects *object.Objects
	classes *schemas.Schemas
	// ids by the name that a test gave to an object.
	ids map[string]string
}

func newWorld(t testing.TB, cfg installation.Config) *world {
	store := storage.Checked(memory.New())
	classes, err := schemas.Load(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	objects := object.New(object.Config{Store: store, Schemas: classes, Behaviors: map[string]object.Behavior{
		schema.InstallationClass: installation.New(cfg),
	}})
	return &world{t: t, objects: objects, classes: classes, ids: map[string]string{}}
}

// step is one request: a create, or an update of a named object, and its answer.
type step struct {
	update string // name of the object, "" for a create
	body   *parse.Map
	header string // installation id of the request
	master bool

	name   string // of the object that is created
	status int
	code   parse.Code
	text   string
}

func (w *world) run(i int, s step) {
	w.t.Helper()
	caller := &auth.Caller{InstallationID: s.header, Master: s.master}
	var saved *object.Saved
	var err error
	if s.update == "" {
		saved, err = w.objects.Create(w.t.Context(), caller, schema.InstallationClass, s.body.Clone())
	} else {
		saved, err = w.objects.Update(w.t.Context(), caller, schema.InstallationClass, w.ids[s.update], s.body.Clone())
	}
	if s.code != 0 {
		var told *parse.Error
		if !errors.As(err, &told) || told.Code != s.code || told.Message != s.text {
			w.t.Errorf("step %d %s: %v, want %d %s", i, parse.Marshal(s.body), err, s.code, s.text)
		}
		return
	}
	if err != nil || saved.Status != s.status {
		w.t.Fatalf("step %d %s: %+v, %v, want status %d", i, parse.Marshal(s.body), saved, err, s.status)
	}
	if saved.Status == 200 && !cmp.Equal(saved.Body.Keys(), []string{"updatedAt"}) {
		w.t.Errorf("step %d: answer %s, want updatedAt alone", i, parse.Marshal(saved.Body))
	}
	if s.name != "" {
		w.ids[s.name] = saved.Body.String("objectId")
	}
}

// stored describes all installations as "name installationId deviceToken", by name.
func (w *world) stored() map[string]string {
	w.t.Helper()
	found, err := w.objects.Find(w.t.Context(), auth.System, &query.Find{ClassName: schema.InstallationClass, Limit: -1})
	if err != nil {
		w.t.Fatal(err)
	}
	names := map[string]string{}
	for name, id := range w.ids {
		names[id] = name
	}
	got := map[string]string{}
	for _, o := range found.Objects {
		got[names[o.ID()]] = o.String("installationId") + " " + o.String("deviceToken")
	}
	return got
}

func body(pairs ...any) *parse.Map { return parse.NewMap(pairs...) }

// device is the body of an Android installation; "" leaves a field out.
func device(id, token string, more ...any) *parse.Map {
	m := body("deviceType", "android")
	if id != "" {
		m.Set("installationId", id)
	}
	if token != "" {
		m.Set("deviceToken", token)
	}
	for k, v := range parse.NewMap(more...).All() {
		m.Set(k, v)
	}
	return m
}

const (
	idNeeded   = "at least one ID field (deviceToken, installationId) must be specified in this operation"
	typeNeeded = "deviceType must be specified in this operation"
	ambiguous  = "Must specify installationId when deviceToken matches multiple Installation objects"
)

func TestSave(t *testing.T) {
	apple := strings.Repeat("AB", 32)
	tests := []struct {
		name  string
		cfg   installation.Config
		steps []step
		want  map[string]string
	}{
		{"neither id nor token", installation.Config{}, []step{
			{body: body("deviceType", "ios"), code: 135, text: idNeeded},
			{body: body("deviceType", "ios", "deviceToken", "", "installationId", nil), code: 135, text: idNeeded},
			{body: body("installationId", "i"), code: 135, text: typeNeeded},
			{body: body("deviceToken", "t"), code: 135, text: typeNeeded},
		}, map[string]string{}},
		{"id from the header", installation.Config{}, []step{
			{body: body("deviceType", "ios"), header: "h", status: 201, name: "a"},
		}, map[string]string{"a": " "}},
		{"lower case", installation.Config{}, []step{
			{body: device("I-1", apple), status: 201, name: "a"},
			{body: device("I-2", "ABc"), status: 201, name: "b"},
		}, map[string]string{"a": "i-1 " + strings.ToLower(apple), "b": "i-2 ABc"}},
		{"again by id", installation.Config{}, []step{
			{body: device("i", ""), status: 201, name: "a"},
			{body: device("I", "t"), status: 200},
			{body: body("installationId", "i", "deviceType", "ios"), status: 200},
		}, map[string]string{"a": "i t"}},
		{"again by token", installation.Config{}, []step{
			{body: device("", "t"), status: 201, name: "a"},
			{body: device("", "t"), status: 200},
		}, map[string]string{"a": " t"}},
		{"again by the id of the header", installation.Config{}, []step{
			{body: device("i", ""), status: 201, name: "a"},
			{body: device("", "t"), header: "I", status: 200},
		}, map[string]string{"a": "i t"}},
		{"the header does not count for the master key", installation.Config{}, []step{
			{body: device("i", ""), status: 201, name: "a"},
			{body: device("", "t"), header: "i", master: true, status: 201, name: "b"},
		}, map[string]string{"a": "i ", "b": " t"}},
		{"an id claims the token of nobody", installation.Config{}, []step{
			{body: device("", "t"), status: 201, name: "a"},
			{body: device("i", "t"), status: 200},
		}, map[string]string{"a": "i t"}},
		{"a token moves to a new installation", installation.Config{}, []step{
			{body: device("i", "t"), status: 201, name: "a"},
			{body: device("j", "t"), status: 201, name: "b"},
			{body: device("", "t"), status: 200},
		}, map[string]string{"b": "j t"}},
		{"a token moves and is cleared where it was", installation.Config{ClearDuplicates: true}, []step{
			{body: device("i", "t"), status: 201, name: "a"},
			{body: device("j", "t"), status: 201, name: "b"},
		}, map[string]string{"a": "i ", "b": "j t"}},
		{"a token moves within one application", installation.Config{}, []step{
			{body: device("i", "t", "appIdentifier", "one"), status: 201, name: "a"},
			{body: device("j", "t", "appIdentifier", "two"), status: 201, name: "b"},
			{body: device("", "t"), code: 132, text: ambiguous},
			{body: device("k", "t", "appIdentifier", "two"), status: 201, name: "c"},
		}, map[string]string{"a": "i t", "c": "k t"}},
		{"a token moves to a known installation", installation.Config{}, []step{
			{body: device("i", "t"), status: 201, name: "a"},
			{body: device("j", ""), status: 201, name: "b"},
			{body: device("j", "t"), status: 200},
		}, map[string]string{"b": "j t"}},
		{"a token moves to a known installation and is cleared", installation.Config{ClearDuplicates: true}, []step{
			{body: device("i", "t"), status: 201, name: "a"},
			{body: device("j", ""), status: 201, name: "b"},
			{body: device("j", "t"), status: 200},
		}, map[string]string{"a": "i ", "b": "j t"}},
		{"merge", installation.Config{}, []step{
			{body: device("i", ""), status: 201, name: "id"},
			{body: device("", "t"), status: 201, name: "token"},
			{body: device("i", "t"), status: 200},
		}, map[string]string{"token": "i t"}},
		{"merge for the id", installation.Config{KeepInstallationID: true}, []step{
			{body: device("i", ""), status: 201, name: "id"},
			{body: device("", "t"), status: 201, name: "token"},
			{body: device("i", "t"), status: 200},
		}, map[string]string{"id": "i t"}},
		{"merge and clear", installation.Config{ClearDuplicates: true}, []step{
			{body: device("i", ""), status: 201, name: "id"},
			{body: device("", "t"), status: 201, name: "token"},
			{body: device("i", "t"), status: 200},
		}, map[string]string{"id": " ", "token": "i t"}},
		{"merge for the id and clear", installation.Config{KeepInstallationID: true, ClearDuplicates: true}, []step{
			{body: device("i", ""), status: 201, name: "id"},
			{body: device("", "t"), status: 201, name: "token"},
			{body: device("i", "t"), status: 200},
		}, map[string]string{"id": "i t", "token": " "}},
		{"merge by an update", installation.Config{}, []step{
			{body: device("i", ""), status: 201, name: "id"},
			{body: device("", "t"), status: 201, name: "token"},
			{update: "id", body: body("installationId", "i", "deviceToken", "t"), status: 200},
		}, map[string]string{"token": "i t"}},
		{"what may not change", installation.Config{}, []step{
			{body: device("i", "t"), status: 201, name: "a"},
			{body: device("", "u"), status: 201, name: "b"},
			{update: "a", body: body("installationId", "j"), code: 136, text: "installationId may not be changed in this operation"},
			{update: "a", body: body("deviceType", "ios"), code: 136, text: "deviceType may not be changed in this operation"},
			{update: "b", body: body("deviceToken", "v"), code: 136, text: "deviceToken may not be changed in this operation"},
			{update: "a", body: body("installationId", "I", "deviceType", "android", "custom", 1.0), status: 200},
			{update: "a", body: body("deviceToken", "w"), status: 200},
			{update: "none", body: body("deviceToken", "w"), code: 101, text: "Object not found for update."},
			{update: "none", body: body("custom", 1.0), code: 101, text: "Object not found."},
		}, map[string]string{"a": "i w", "b": " u"}},
		{"with the rights of the caller", installation.Config{EnforceAuth: true}, []step{
			{body: device("i", "t", "ACL", parse.ACL{"alice": {Read: true, Write: true}}), status: 201, name: "a"},
			{body: device("h", "u"), status: 201, name: "h"},
			{body: device("j", "t"), status: 201, name: "b"}, // the first is not the caller's to delete
			{body: device("k", "u"), status: 201, name: "c"},
			{body: device("m", "t"), master: true, status: 201, name: "d"},
		}, map[string]string{"c": "k u", "d": "m t"}},
		{"whatever the rights of the caller", installation.Config{}, []step{
			{body: device("i", "t", "ACL", parse.ACL{"alice": {Read: true, Write: true}}), status: 201, name: "a"},
			{body: device("j", "t"), status: 201, name: "b"},
		}, map[string]string{"b": "j t"}},
		{"an installation that is not the caller's", installation.Config{}, []step{
			{body: device("i", "t", "ACL", parse.ACL{"alice": {Read: true, Write: true}}), status: 201, name: "a"},
			{body: device("i", "u"), code: 101, text: "Object not found."},
		}, map[string]string{"a": "i t"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.cfg)
			w.ids["none"] = "abcdefghij"
			for i, s := range tt.steps {
				w.run(i, s)
			}
			if diff := cmp.Diff(tt.want, w.stored()); diff != "" {
				t.Errorf("installations (-want +got):\n%s", diff)
			}
		})
	}
}

// Class-level permissions count for the object that gives way when the caller's rights are enforced.
func TestEnforceAuthAsksClassPermissions(t *testing.T) {
	w := newWorld(t, installation.Config{EnforceAuth: true})
	w.run(0, step{body: device("i", "t"), status: 201, name: "a"})
	nobody := body("classLevelPermissions", body("create", body("*", true), "find", body("*", true), "update", body("*", true), "get", body("*", true),
		"addField", body("*", true), "delete", body()))
	if _, err := w.classes.Modify(t.Context(), schema.InstallationClass, nobody); err != nil {
		t.Fatal(err)
	}
	w.run(1, step{body: device("j", "t"), status: 201, name: "b"})
	if got, want := w.stored(), map[string]string{"a": "i t", "b": "j t"}; !cmp.Equal(got, want) {
		t.Errorf("installations = %v, want %v", got, want)
	}
}

func TestClientsDoNotFindOrDelete(t *testing.T) {
	w := newWorld(t, installation.Config{})
	w.run(0, step{body: device("i", "t"), status: 201, name: "a"})
	client := &auth.Caller{}
	if _, err := w.objects.Get(t.Context(), client, schema.InstallationClass, w.ids["a"], nil); err != nil {
		t.Errorf("Get = %v, want the installation", err)
	}
	_, err := w.objects.Find(t.Context(), client, &query.Find{ClassName: schema.InstallationClass, Limit: -1})
	if !errors.Is(err, parse.OperationForbidden) {
		t.Errorf("Find = %v, want 119", err)
	}
	if err := w.objects.Delete(t.Context(), client, schema.InstallationClass, w.ids["a"]); !errors.Is(err, parse.OperationForbidden) {
		t.Errorf("Delete = %v, want 119", err)
	}
}

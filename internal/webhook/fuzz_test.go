package webhook

import (
	"errors"
	"testing"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
)

// FuzzAnswer reads anything as the answer of a hook, and applies it to a save and to a read.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `5`, `[1]`, `{"success":null}`, `{"success":{"a":1,"n":{"__op":"Increment","amount":1},"objectId":"x"}}`, `{"success":{"a":{"__op":"Delete"}}}`,
		`{"error":"no"}`, `{"error":{"code":1,"message":"no"}}`, `{"error":{"__type":"Date","iso":"2026-01-01T00:00:00.000Z"}}`,
		`{"success":[{"objectId":"x","className":"A","createdAt":"2026-01-01T00:00:00.000Z"}]}`, `{"success":{"__type":"Object","className":"A","a":1}}`, `{"success":`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := read(body)
		var told *parse.Error
		if err != nil {
			if !errors.As(err, &told) {
				t.Errorf("read(%q) = %v, want an error for clients", body, err)
			}
			return
		}
		object := func() *parse.Object { return parse.NewObject("A", "objectId", "id", "a", 1.0, "gone", true) }
		save := &cloud.SaveRequest{Object: object(), Original: object(), Given: []string{"a", "gone"}}
		if err := apply(cloud.BeforeSave, save, got); err != nil {
			t.Errorf("beforeSave with %q = %v", body, err)
		}
		if save.Object.ID() != "id" || save.Object.ClassName != "A" {
			t.Errorf("beforeSave with %q made the object %v", body, save.Object)
		}
		found := &cloud.FoundRequest{Query: &query.Find{ClassName: "A"}, Objects: []*parse.Object{object()}}
		if err := apply(cloud.AfterFind, found, got); err != nil && !errors.As(err, &told) {
			t.Errorf("afterFind with %q = %v, want an error for clients", body, err)
		}
		for _, o := range found.Objects {
			if o == nil || o.ClassName == "" {
				t.Errorf("afterFind with %q found %v", body, o)
			}
			_ = parse.Marshal(o)
		}
	})
}

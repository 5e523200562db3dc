package object

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"pgregory.net/rapid"
)

// Whatever relation operators a program sends in whatever order, the members are those of a set.
func TestRelationIsASet(t *testing.T) {
	for name, open := range adapters {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, open(t))
			rapid.Check(t, func(t *rapid.T) { relationIsASet(t, b) })
		})
	}
}

func relationIsASet(t *rapid.T, b *bed) {
	ctx := context.Background()
	pointers := rapid.SliceOfN(rapid.Map(rapid.IntRange(0, 5), func(i int) parse.Pointer {
		return parse.Pointer{ClassName: "T", ObjectID: fmt.Sprint("t", i)}
	}), 1, 4)
	simple := rapid.OneOf(
		rapid.Map(pointers, func(p []parse.Pointer) parse.Op { return parse.AddRelation{Objects: p} }),
		rapid.Map(pointers, func(p []parse.Pointer) parse.Op { return parse.RemoveRelation{Objects: p} }),
	)
	op := rapid.OneOf(simple, rapid.Map(rapid.SliceOfN(simple, 1, 3), func(ops []parse.Op) parse.Op { return parse.Batch{Ops: ops} }))

	saved, err := b.Create(ctx, public, "R", parse.NewMap("n", 1.0))
	if err != nil {
		t.Fatal(err)
	}
	id := saved.Body.String("objectId")
	want := map[string]bool{}
	for _, op := range rapid.SliceOfN(op, 1, 6).Draw(t, "ops") {
		if _, err := b.Update(ctx, public, "R", id, parse.NewMap("rel", op)); err != nil {
			t.Fatalf("Update(%v) = %v", op, err)
		}
		apply(want, op)
	}
	q := &query.Find{ClassName: "_Join:rel:R", Where: &query.Constraint{Key: "owningId", Op: query.Eq, Arg: id}, Limit: -1}
	found, err := b.Find(ctx, master, q)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, pair := range found.Objects {
		got = append(got, pair.String("relatedId"))
	}
	slices.Sort(got)
	if diff := cmp.Diff(append([]string{}, slices.Sorted(maps.Keys(want))...), got); diff != "" {
		t.Fatalf("members (-want +got):\n%s", diff)
	}
}

func apply(set map[string]bool, op parse.Op) {
	switch op := op.(type) {
	case parse.AddRelation:
		for _, p := range op.Objects {
			set[p.ObjectID] = true
		}
	case parse.RemoveRelation:
		for _, p := range op.Objects {
			delete(set, p.ObjectID)
		}
	case parse.Batch:
		for _, part := range op.Ops {
			apply(set, part)
		}
	}
}

// A query may be sent to another class only by a caller who may ask that one.
func TestRedirectAsksTheOtherClass(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		b.define("Hidden", `{"fields":{"n":{"type":"Number"}},"classLevelPermissions":{"find":{},"count":{},"get":{},"create":{"*":true},"update":{},"delete":{},"addField":{}}}`)
		b.define("Open", `{"fields":{"h":{"type":"Relation","targetClass":"Hidden"},"i":{"type":"Relation","targetClass":"_Installation"}}}`)
		b.play([]exchange{
			{line: "POST Hidden", body: `{"n":1}`, as: "h", want: `201 {"objectId":"<id>","createdAt":"<date>"} /classes/Hidden/<id>`},
			{line: "GET Open?redirectClassNameForKey=h", want: `119 Permission denied`},
			{line: "GET Open?redirectClassNameForKey=i", want: `119 Permission denied`},
			{caller: master, line: "GET Open?redirectClassNameForKey=h&keys=n", want: `200 [{"objectId":"<h>","createdAt":"<date>","updatedAt":"<date>","n":1}] of Hidden`},
		})
	})
}

func TestManyMembersAndManyPointers(t *testing.T) {
	const n = 3000
	onEach(t, func(t *testing.T, b *bed) {
		ctx := context.Background()
		members := make([]parse.Pointer, n)
		list := make([]any, n)
		for i := range members {
			members[i] = parse.Pointer{ClassName: "T", ObjectID: fmt.Sprint("t", i)}
			list[i] = members[i]
		}
		saved, err := b.Create(ctx, public, "R", parse.NewMap("rel", parse.AddRelation{Objects: members}, "list", list))
		if err != nil {
			t.Fatal(err)
		}
		b.do(public, "POST T", `{"n":1}`)
		id := saved.Body.String("objectId")
		object, err := b.Get(ctx, public, "R", id, &query.Find{Include: []query.Path{{"list"}}})
		if err != nil || len(object.Get("list").([]any)) != 0 {
			t.Errorf("Get including %d pointers to nothing = %v, want an empty list", n, err)
		}
		where := &query.RelatedTo{Object: parse.Pointer{ClassName: "R", ObjectID: id}, Key: "rel"}
		found, err := b.Find(ctx, public, &query.Find{ClassName: "T", Where: where, Limit: 10})
		if err != nil || len(found.Objects) != 0 {
			t.Errorf("Find of %d members that do not exist = %v, %v, want none", n, found, err)
		}
	})
}

func TestExplain(t *testing.T) {
	want := map[string]bool{"sqlite": true, "memory": false}
	for name, open := range adapters {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, open(t))
			b.do(public, "POST E", `{"n":1}`)
			q := &query.Find{ClassName: "E", Where: &query.Constraint{Key: "n", Op: query.Eq, Arg: 1.0}, Limit: 1, Explain: true}
			found, err := b.Find(context.Background(), master, q)
			if explains := err == nil && found.Explain != nil && found.Objects == nil; explains != want[name] {
				t.Errorf("Find(explain) = %v, %v, want a plan: %v", found, err, want[name])
			}
		})
	}
}

package query_test

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

var salesClass = &schema.Class{Name: "Sale", Fields: map[string]schema.Field{
	"objectId": {Type: schema.String}, "createdAt": {Type: schema.Date}, "updatedAt": {Type: schema.Date},
	"item": {Type: schema.String}, "n": {Type: schema.Number}, "price": {Type: schema.Number}, "at": {Type: schema.Date},
	"tags": {Type: schema.Array}, "buyer": {Type: schema.Pointer, TargetClass: "Buyer"}, "o": {Type: schema.Object},
}}

// sales are the objects that the pipelines below run on.
func sales(t testing.TB) []*parse.Object {
	var objects []*parse.Object
	for i, text := range []string{
		`{"item":"pen","n":10,"price":2,"at":{"__type":"Date","iso":"2026-01-01T10:20:30.400Z"},"tags":["a","b"],"buyer":{"__type":"Pointer","className":"Buyer","objectId":"x"},"o":{"k":1,"l":[{"v":1},{"v":2}]}}`,
		`{"item":"pen","n":5,"price":3,"at":{"__type":"Date","iso":"2026-01-04T00:00:00.000Z"},"tags":["b"],"buyer":{"__type":"Pointer","className":"Buyer","objectId":"y"},"o":{"k":2}}`,
		`{"item":"ink","n":1,"price":7.5,"at":{"__type":"Date","iso":"2025-12-31T23:59:59.999Z"},"tags":[],"buyer":{"__type":"Pointer","className":"Buyer","objectId":"x"}}`,
		`{"item":"cup","n":null,"price":4,"_hashed_password":"secret","_rperm":["*"]}`,
	} {
		o := parse.NewObject("Sale", "objectId", fmt.Sprintf("s%d", i+1), "createdAt", parse.Date(1e12+int64(i)), "updatedAt", parse.Date(2e12))
		for name, v := range decode(t, text).All() {
			o.Set(name, v)
		}
		objects = append(objects, o)
	}
	return objects
}

func sequence(objects []*parse.Object) iter.Seq2[*parse.Object, error] {
	return func(yield func(*parse.Object, error) bool) {
		for _, o := range objects {
			if !yield(o, nil) {
				return
			}
		}
	}
}

// aggregate answers a pipeline as an adapter does that takes over what Split gives it.
func aggregate(t testing.TB, params string) (string, error) {
	t.Helper()
	p, err := query.ParsePipeline(decode(t, params), salesClass, query.Options{Privileged: true})
	if err != nil {
		return "", err
	}
	if p.Distinct != "" {
		found, err := scan(sales(t))(&query.Find{Where: p.Where, Limit: -1})
		if err != nil {
			return "", err
		}
		values, err := query.Distinct(sequence(found), p.Distinct)
		return string(parse.Marshal(values)), err
	}
	whole, err := query.Run(p.Stages, sequence(sales(t)))
	if err != nil {
		return "", err
	}
	find, rest := query.Split(p.Stages)
	found, err := scan(sales(t))(find)
	if err != nil {
		return "", err
	}
	for _, o := range found {
		for _, key := range o.Keys() {
			if find.Keys != nil && !slices.Contains(find.Keys, key) && !slices.Contains([]string{"objectId", "createdAt", "updatedAt"}, key) {
				o.Delete(key)
			}
		}
	}
	split, err := query.Run(rest, sequence(found))
	if err != nil {
		return "", err
	}
	want, got := text(p.Answer(whole)), text(p.Answer(split))
	if got != want {
		t.Errorf("Run behind Split(%s) = %s, want %s", params, got, want)
	}
	return want, nil
}

func text(results []*parse.Map) string {
	list := make([]any, len(results))
	for i, m := range results {
		list[i] = m
	}
	return string(parse.Marshal(list))
}

func TestAggregate(t *testing.T) {
	for _, c := range []struct{ name, pipeline, want string }{
		{"sum and count", `[{"$group":{"_id":"$item","total":{"$sum":"$n"},"c":{"$sum":1}}},{"$sort":{"objectId":1}}]`,
			`[{"objectId":"cup","total":0,"c":1},{"objectId":"ink","total":1,"c":1},{"objectId":"pen","total":15,"c":2}]`},
		{"all accumulators", `[{"$group":{"_id":null,"avg":{"$avg":"$n"},"min":{"$min":"$n"},"max":{"$max":"$n"},"first":{"$first":"$item"},"last":{"$last":"$n"},"set":{"$addToSet":"$item"},"push":{"$push":"$n"},"count":{"$count":{}}}}]`,
			`[{"objectId":null,"avg":5.333333333333333,"min":1,"max":10,"first":"pen","last":null,"set":["pen","ink","cup"],"push":[10,5,1,null],"count":4}]`},
		{"by pointer", `[{"$group":{"_id":"$buyer","n":{"$sum":"$n"}}},{"$sort":{"_id":1}}]`,
			`[{"objectId":null,"n":0},{"objectId":"x","n":11},{"objectId":"y","n":5}]`},
		{"by the name of a stored pointer", `[{"$match":{"_p_buyer":"Buyer$y"}},{"$group":{"_id":"$_p_buyer"}}]`, `[{"objectId":"y"}]`},
		{"by parts of a date", `[{"$match":{"at":{"$exists":true}}},{"$group":{"_id":{"y":{"$year":"$at"},"m":{"$month":"$at"},"d":{"$dayOfMonth":"$at"}}}}]`,
			`[{"objectId":{"y":2026,"m":1,"d":1}},{"objectId":{"y":2026,"m":1,"d":4}},{"objectId":{"y":2025,"m":12,"d":31}}]`},
		{"all parts of a date", `[{"$match":{"objectId":"s1"}},{"$project":{"_id":0,"dow":{"$dayOfWeek":"$at"},"doy":{"$dayOfYear":"$at"},"idow":{"$isoDayOfWeek":"$at"},"iy":{"$isoWeekYear":"$at"},"iw":{"$isoWeek":"$at"},"h":{"$hour":"$at"},"mi":{"$minute":"$at"},"s":{"$second":"$at"},"ms":{"$millisecond":"$at"},"w":{"$week":{"date":"$at"}},"none":{"$year":"$nope"}}}]`,
			`[{"dow":5,"doy":1,"idow":4,"iy":2026,"iw":1,"h":10,"mi":20,"s":30,"ms":400,"w":0,"none":null}]`},
		{"a week begins on Sunday", `[{"$match":{"objectId":"s2"}},{"$project":{"_id":0,"w":{"$week":"$at"},"iw":{"$isoWeek":"$at"},"dow":{"$dayOfWeek":"$at"},"idow":{"$isoDayOfWeek":"$at"}}}]`,
			`[{"w":1,"iw":1,"dow":1,"idow":7}]`},
		{"empty ids are null", `[{"$group":{"_id":{"x":"$nope"}}}]`, `[{"objectId":null}]`},
		{"no objects, no group", `[{"$match":{"n":99}},{"$group":{"_id":null,"c":{"$sum":1}}}]`, `[]`},
		{"match behind group", `[{"$group":{"_id":"$item","c":{"$sum":1}}},{"$match":{"c":{"$gt":1}}}]`, `[{"objectId":"pen","c":2}]`},
		{"match on the id of a group", `[{"$group":{"_id":"$item"}},{"$match":{"_id":"ink"}}]`, `[{"objectId":"ink"}]`},
		{"match dates and pointers by text", `[{"$match":{"at":{"$gte":"2026-01-01T00:00:00.000Z"},"buyer":"y"}},{"$project":{"n":1}}]`, `[{"objectId":"s2","n":5}]`},
		{"match with or", `[{"$match":{"$or":[{"_id":"s1"},{"n":null}]}},{"$project":{"_id":1}}]`, `[{"objectId":"s1"},{"objectId":"s4"}]`},
		{"project keeps", `[{"$project":{"item":1,"o.k":true}},{"$limit":2}]`, `[{"objectId":"s1","item":"pen","o":{"k":1}},{"objectId":"s2","item":"pen","o":{"k":2}}]`},
		{"project keeps without id", `[{"$project":{"item":1,"objectId":0}},{"$limit":1}]`, `[{"item":"pen"}]`},
		{"project into arrays", `[{"$match":{"objectId":"s1"}},{"$project":{"_id":0,"o":{"l":{"v":1}}}}]`, `[{"o":{"l":[{"v":1},{"v":2}]}}]`},
		{"project drops", `[{"$project":{"o.l":0,"at":0,"buyer":0,"tags":0,"createdAt":0,"updatedAt":0}},{"$limit":1}]`, `[{"objectId":"s1","item":"pen","n":10,"price":2,"o":{"k":1}}]`},
		{"project drops the id alone", `[{"$match":{"objectId":"s4"}},{"$project":{"_id":0}}]`, `[{"createdAt":"2001-09-09T01:46:40.003Z","updatedAt":"2033-05-18T03:33:20.000Z","item":"cup","n":null,"price":4}]`},
		{"project computes", `[{"$limit":1},{"$project":{"_id":0,"total":{"$multiply":["$n","$price"]},"up":{"$toUpper":"$item"},"text":{"$concat":["<","$item",">"]},"lit":{"$literal":"$n"},"vs":"$o.l.v","big":{"$gt":["$n",5]},"deep.er":{"$add":["$n",1]}}}]`,
			`[{"total":20,"up":"PEN","text":"<pen>","lit":"$n","vs":[1,2],"big":true,"deep":{"er":11}}]`},
		{"internal fields stay inside", `[{"$match":{"objectId":"s4"}},{"$project":{"_id":0,"x":"$_hashed_password","_rperm":1,"item":1}}]`, `[{"item":"cup"}]`},
		{"sort by two", `[{"$sort":{"item":1,"n":-1}},{"$project":{"_id":1}}]`, `[{"objectId":"s4"},{"objectId":"s3"},{"objectId":"s1"},{"objectId":"s2"}]`},
		{"skip and limit", `[{"$sort":{"price":1}},{"$skip":1},{"$limit":2},{"$project":{"price":1}}]`, `[{"objectId":"s2","price":3},{"objectId":"s4","price":4}]`},
		{"limit and skip", `[{"$sort":{"price":1}},{"$limit":3},{"$skip":1},{"$limit":5},{"$project":{"price":1}}]`, `[{"objectId":"s2","price":3},{"objectId":"s4","price":4}]`},
		{"skip beyond limit", `[{"$limit":1},{"$skip":2}]`, `[]`},
		{"match behind limit", `[{"$sort":{"price":1}},{"$limit":2},{"$match":{"price":3}},{"$project":{"_id":1}}]`, `[{"objectId":"s2"}]`},
		{"sort behind limit", `[{"$sort":{"price":1}},{"$limit":2},{"$sort":{"price":-1}},{"$project":{"_id":1}}]`, `[{"objectId":"s2"},{"objectId":"s1"}]`},
		{"count", `[{"$match":{"item":"pen"}},{"$count":"pens"}]`, `[{"pens":2}]`},
		{"count nothing", `[{"$match":{"item":"hat"}},{"$count":"hats"}]`, `[]`},
		{"unwind", `[{"$unwind":"$tags"},{"$project":{"tags":1}}]`, `[{"objectId":"s1","tags":"a"},{"objectId":"s1","tags":"b"},{"objectId":"s2","tags":"b"}]`},
		{"unwind and keep", `[{"$unwind":{"path":"$tags","includeArrayIndex":"i","preserveNullAndEmptyArrays":true}},{"$project":{"tags":1,"i":1}}]`,
			`[{"objectId":"s1","tags":"a","i":0},{"objectId":"s1","tags":"b","i":1},{"objectId":"s2","tags":"b","i":0},{"objectId":"s3","i":null},{"objectId":"s4","i":null}]`},
		{"unwind members", `[{"$unwind":"$o.l"},{"$project":{"_id":0,"v":"$o.l.v","k":"$o.k"}}]`, `[{"v":1,"k":1},{"v":2,"k":1}]`},
		{"unwind and group", `[{"$unwind":"$tags"},{"$group":{"_id":"$tags","n":{"$sum":"$n"}}},{"$sort":{"_id":-1}}]`, `[{"objectId":"b","n":15},{"objectId":"a","n":10}]`},
		{"add fields", `[{"$limit":1},{"$addFields":{"o.m":{"$subtract":["$n","$price"]},"x":"y"}},{"$project":{"_id":0,"o":1,"x":1}}]`, `[{"o":{"k":1,"l":[{"v":1},{"v":2}],"m":8},"x":"y"}]`},
		{"set is add fields", `[{"$limit":1},{"$set":{"n":null}},{"$project":{"_id":0,"n":1}}]`, `[{"n":null}]`},
		{"unset", `[{"$limit":1},{"$unset":["o","at","tags","buyer","createdAt","updatedAt","n"]}]`, `[{"objectId":"s1","item":"pen","price":2}]`},
		{"replace root", `[{"$match":{"o":{"$exists":true}}},{"$replaceRoot":{"newRoot":"$o"}},{"$project":{"k":1}}]`, `[{"k":1},{"k":2}]`},
		{"replace with", `[{"$limit":1},{"$replaceWith":{"a":"$n","b":["$item","$nope"]}}]`, `[{"a":10,"b":["pen",null]}]`},
		{"sort by count", `[{"$sortByCount":"$item"},{"$limit":1}]`, `[{"objectId":"pen","count":2}]`},
		{"sample of all", `[{"$sample":{"size":10}},{"$count":"n"}]`, `[{"n":4}]`},
		{"conditions", `[{"$limit":1},{"$project":{"_id":0,"a":{"$cond":[{"$eq":["$item","pen"]},"yes","no"]},"b":{"$cond":{"if":{"$lt":["$n",5]},"then":1,"else":2}},"c":{"$ifNull":["$nope","$o.x","fallback"]},"d":{"$and":["$n",{"$not":[false]}]},"e":{"$or":[0,null,"$nope"]},"f":{"$cmp":["$n",10]},"g":{"$ne":["$nope",null]},"h":{"$lte":["$nope",null]},"i":{"$gte":["$n","$price"]}}}]`,
			`[{"a":"yes","b":2,"c":"fallback","d":true,"e":false,"f":0,"g":true,"h":true,"i":true}]`},
		{"arithmetic", `[{"$limit":1},{"$project":{"_id":0,"a":{"$divide":["$n",4]},"b":{"$mod":["$n",3]},"c":{"$abs":-3},"d":{"$ceil":1.2},"e":{"$floor":-1.2},"f":{"$round":2.5},"g":{"$add":["$n",null]},"h":{"$sqrt":9},"i":{"$trunc":-1.7},"j":{"$multiply":[]}}}]`,
			`[{"a":2.5,"b":1,"c":3,"d":2,"e":-2,"f":2,"g":null,"h":3,"i":-1,"j":1}]`},
		{"arithmetic of dates", `[{"$match":{"objectId":"s1"}},{"$project":{"_id":0,"a":{"$subtract":["$at",{"$add":["$at",-1000]}]},"b":{"$add":["$at",600]}}}]`,
			`[{"a":1000,"b":{"__type":"Date","iso":"2026-01-01T10:20:31.000Z"}}]`},
		{"arrays", `[{"$limit":1},{"$project":{"_id":0,"a":{"$size":"$tags"},"b":{"$arrayElemAt":["$tags",-1]},"c":{"$in":["b","$tags"]},"d":{"$arrayElemAt":["$tags",9]},"e":{"$strLenCP":"$item"},"f":{"$toLower":null}}}]`,
			`[{"a":2,"b":"b","c":true,"e":3,"f":""}]`},
		{"the whole document", `[{"$match":{"objectId":"s4"}},{"$project":{"_id":0,"r":"$$ROOT.item","gone":"$$REMOVE"}}]`, `[{"r":"cup"}]`},
		{"dates in answers", `[{"$limit":1},{"$project":{"_id":0,"createdAt":1,"at":1,"copy":"$_created_at"}}]`,
			`[{"createdAt":"2001-09-09T01:46:40.000Z","at":{"__type":"Date","iso":"2026-01-01T10:20:30.400Z"},"copy":{"__type":"Date","iso":"2001-09-09T01:46:40.000Z"}}]`},
		{"nothing to do", `[]`, ""},
		{"an object as pipeline", `{"$match":{"item":"ink"},"$project":{"n":1}}`, `[{"objectId":"s3","n":1}]`},
	} {
		got, err := aggregate(t, `{"pipeline":`+c.pipeline+`}`)
		if err != nil {
			t.Errorf("%s: %s = %v", c.name, c.pipeline, err)
		} else if c.want != "" && got != c.want {
			t.Errorf("%s: %s\n got %s\nwant %s", c.name, c.pipeline, got, c.want)
		} else if n := strings.Count(got, `"objectId":"s`); c.want == "" && n != 4 {
			t.Errorf("%s: %s has %d objects, want 4", c.name, got, n)
		}
	}
}

func TestAggregateForms(t *testing.T) {
	for _, c := range []struct{ params, want string }{
		{`{"$match":{"item":"ink"},"$project":{"n":1}}`, `[{"objectId":"s3","n":1}]`},
		{`{"$match":{"item":"ink"},"$count":"c","hint":"x","explain":false,"where":{}}`, `[{"c":1}]`},
		{`{"pipeline":[{"$limit":1},{"$project":{"createdAt":1,"at":1,"buyer":1}}],"rawValues":true,"rawFieldNames":true}`,
			`[{"_id":"s1","_created_at":{"$date":"2001-09-09T01:46:40.000Z"},"at":{"$date":"2026-01-01T10:20:30.400Z"},"buyer":"Buyer$x"}]`},
		{`{"distinct":"item"}`, `["cup","ink","pen"]`},
		{`{"distinct":"tags"}`, `["a","b"]`},
		{`{"distinct":"n","where":{"item":"pen"}}`, `[5,10]`},
		{`{"distinct":"o.k","where":"{\"n\":10}"}`, `[1]`},
		{`{"distinct":"buyer"}`, `[{"__type":"Pointer","className":"Buyer","objectId":"x"},{"__type":"Pointer","className":"Buyer","objectId":"y"}]`},
		{`{"distinct":"nope"}`, `[]`},
	} {
		got, err := aggregate(t, c.params)
		if err != nil || got != c.want {
			t.Errorf("aggregate(%s) = %s, %v, want %s", c.params, got, err, c.want)
		}
	}
}

func TestAggregateErrors(t *testing.T) {
	deep := strings.Repeat(`{"$abs":`, 100) + `1` + strings.Repeat(`}`, 100)
	for _, c := range []struct{ pipeline, want string }{
		{`[{"group":{"_id":null}}]`, "102 Invalid aggregate stage 'group'."},
		{`"x"`, "102 Invalid aggregate stage '0'."},
		{`[{}]`, "102 Pipeline stages should only have one key but found ."},
		{`[5]`, "102 Pipeline stages should only have one key but found ."},
		{`[{"$match":{},"$limit":1}]`, "102 Pipeline stages should only have one key but found $match, $limit."},
		{`[{"$group":{}}]`, "102 Invalid parameter for query: group. Missing key _id"},
		{`[{"$group":5}]`, "102 Invalid parameter for query: group. Missing key _id"},
		{`[{"$group":{"objectId":null}}]`, "102 Cannot use 'objectId' in aggregation stage $group."},
		{`[{"$group":{"_id":null,"x":{"$nope":1}}}]`, "102 unknown group operator '$nope'"},
		{`[{"$group":{"_id":null,"x":5}}]`, "102 The field 'x' must be an accumulator object"},
		{`[{"$lookup":{"from":"x"}}]`, "102 Unsupported aggregate stage '$lookup'."},
		{`[{"$out":"x"}]`, "102 Unsupported aggregate stage '$out'."},
		{`[{"$nope":{}}]`, "102 Unrecognized pipeline stage name: '$nope'"},
		{`[{"$match":5}]`, "102 the match filter must be an expression in an object"},
		{`[{"$match":{"n":{"$foo":1}}}]`, "107 bad constraint: $foo"},
		{`[{"$limit":0}]`, "102 the limit must be positive"},
		{`[{"$limit":1.5}]`, "102 the limit must be positive"},
		{`[{"$skip":-1}]`, "102 invalid argument to $skip stage: Expected a non-negative number"},
		{`[{"$sort":{}}]`, "102 $sort stage must have at least one sort key"},
		{`[{"$sort":{"a":2}}]`, "102 $sort key ordering must be 1 (for ascending) or -1 (for descending)"},
		{`[{"$count":""}]`, "102 the count field must be a non-empty string without '$' and '.'"},
		{`[{"$unwind":"tags"}]`, "102 path option to $unwind stage should be prefixed with a '$'"},
		{`[{"$sample":{}}]`, "102 size argument to $sample must be a non-negative number"},
		{`[{"$project":{}}]`, "102 Invalid $project :: caused by :: projection specification must have at least one field"},
		{`[{"$project":{"a":1,"b":0}}]`, "102 Invalid $project :: caused by :: Cannot do exclusion on field b in inclusion projection"},
		{`[{"$project":{"a":{"$nope":1}}}]`, "102 Unrecognized expression '$nope'"},
		{`[{"$project":{"a":{"$divide":[1]}}}]`, "102 Expression $divide takes exactly 2 arguments. 1 were passed in."},
		{`[{"$project":{"a":{"$divide":["$n",0]}}}]`, "102 can't $divide by zero"},
		{`[{"$project":{"a":{"$concat":["$price"]}}}]`, "102 $concat only supports strings, not double"},
		{`[{"$project":{"a":{"$year":"$item"}}}]`, "102 can't convert from string to Date"},
		{`[{"$project":{"a":"$$nope"}}]`, "102 Use of undefined variable: nope"},
		{`[{"$project":{"a":` + deep + `}}]`, ""},
		{`[{"$replaceRoot":{"newRoot":"$n"}}]`, "102 'newRoot' expression must evaluate to an object, but resulting value was of type: double"},
		{`[{"$addFields":{}}]`, "102 $addFields specification stage must be an object with at least one field"},
		{`[{"$unset":5}]`, "102 $unset specification must be a string or an array of strings"},
	} {
		_, err := aggregate(t, `{"pipeline":`+c.pipeline+`}`)
		if got := textOf(err); got != c.want {
			t.Errorf("aggregate(%.100s) = %q, want %q", c.pipeline, got, c.want)
		}
	}
}

// TestRunStops checks that Run reads no further than it must, and passes on the error of its source.
func TestRunStops(t *testing.T) {
	p, err := query.ParsePipeline(decode(t, `{"pipeline":[{"$match":{"n":{"$gte":0}}},{"$skip":1},{"$limit":2}]}`), nil, query.Options{})
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	endless := func(yield func(*parse.Object, error) bool) {
		for {
			read++
			if !yield(parse.NewObject("C", "objectId", fmt.Sprint(read), "n", float64(read)), nil) {
				return
			}
		}
	}
	got, err := query.Run(p.Stages, endless)
	if want := `[{"objectId":"2","n":2},{"objectId":"3","n":3}]`; err != nil || text(got) != want || read != 3 {
		t.Errorf("Run = %s, %v after %d objects, want %s after 3", text(got), err, read, want)
	}
	failure := errors.New("disk on fire")
	broken := func(yield func(*parse.Object, error) bool) { yield(nil, failure) }
	for _, pipeline := range []string{
		`[]`, `[{"$match":{}}]`, `[{"$sort":{"a":1}}]`, `[{"$limit":1}]`, `[{"$skip":1}]`, `[{"$count":"c"}]`, `[{"$unwind":"$a"}]`,
		`[{"$group":{"_id":null}}]`, `[{"$project":{"a":1}}]`, `[{"$sample":{"size":1}}]`,
	} {
		p, err := query.ParsePipeline(decode(t, `{"pipeline":`+pipeline+`}`), nil, query.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := query.Run(p.Stages, broken); err != failure {
			t.Errorf("Run(%s) = %v, want %v", pipeline, err, failure)
		}
	}
}

func TestSplit(t *testing.T) {
	p, err := query.ParsePipeline(decode(t, `{"pipeline":[{"$match":{"n":1}},{"$sort":{"item":-1}},{"$match":{"price":2}},{"$skip":5},{"$limit":9},{"$skip":2},{"$group":{"_id":"$o.k","x":{"$sum":"$n"},"i":{"$first":"$_id"}}}]}`),
		salesClass, query.Options{})
	if err != nil {
		t.Fatal(err)
	}
	find, rest := query.Split(p.Stages)
	want := &query.Find{Where: query.And{eq("n", 1.0), eq("price", 2.0)}, Order: []query.Order{{Key: "item", Descending: true}}, Skip: 7, Limit: 7, Keys: []string{"o", "n"}}
	if diff := cmp.Diff(want, find, sameMaps); diff != "" || len(rest) != 1 {
		t.Errorf("Split leaves %d stages and differs (-want +got):\n%s", len(rest), diff)
	}
}

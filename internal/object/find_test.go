package object

import (
	"context"
	"fmt"
	"testing"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
)

// objects of class Q as in the recorded exchanges "queries": i from 0 to 5, a pointer to Tgt in each.
func (b *bed) queries() {
	b.t.Helper()
	b.play([]exchange{{line: "POST Tgt", body: `{"v":1}`, as: "tgt", want: `201 {"objectId":"<id>","createdAt":"<date>"} /classes/Tgt/<id>`}})
	for i := range 6 {
		body := fmt.Sprintf(`{"i":%d,"s":"v%d","mod":%d,"arr":[%d,%d],"o":{"k":%d},"g":{"__type":"GeoPoint","latitude":%d,"longitude":%d},"ptr":{"__type":"Pointer","className":"Tgt","objectId":"$tgt$"}}`, i, i, i%2, i, i+1, i, i, i)
		b.play([]exchange{{line: "POST Q", body: body, as: fmt.Sprintf("q%d", i), want: `201 {"objectId":"<id>","createdAt":"<date>"} /classes/Q/<id>`}})
	}
	b.play([]exchange{{line: "PUT Q/$q0$", body: `{"only":1}`, want: `200 {"updatedAt":"<date>"}`}})
}

// some is the answer that holds these objects of class Q, shown with the key i.
func some(indexes ...int) string {
	text := "200 ["
	for n, i := range indexes {
		if n > 0 {
			text += ","
		}
		text += fmt.Sprintf(`{"i":%d,"objectId":"<q%d>","createdAt":"<date>","updatedAt":"<date>"}`, i, i)
	}
	return text + "]"
}

func TestRecordedQueries(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		b.queries()
		const q = "GET Q?keys=i&order=i&where="
		const tgt = `{"__type":"Object","className":"Tgt","objectId":"<tgt>","createdAt":"<date>","updatedAt":"<date>","v":1}`
		b.play([]exchange{
			{line: q + `{"i":1}`, want: some(1)},
			{line: q + `{"i":{"$gt":1,"$lte":3}}`, want: some(2, 3)},
			{line: q + `{"i":{"$ne":0}}`, want: some(1, 2, 3, 4, 5)},
			{line: q + `{"i":{"$in":[1,2]}}`, want: some(1, 2)},
			{line: q + `{"i":{"$nin":[1,2]}}`, want: some(0, 3, 4, 5)},
			{line: q + `{"only":{"$exists":true}}`, want: some(0)},
			{line: q + `{"s":{"$regex":"^V1","$options":"i"}}`, want: some(1)},
			{line: q + `{"arr":{"$all":[1,2]}}`, want: some(1)},
			{line: q + `{"arr":3}`, want: some(2, 3)},
			{line: q + `{"arr":{"$containedBy":[0,1,2]}}`, want: some(0, 1)},
			{line: q + `{"o.k":2}`, want: some(2)},
			{line: q + `{"$or":[{"i":0},{"i":5}]}`, want: some(0, 5)},
			{line: q + `{"$and":[{"i":{"$gt":1}},{"mod":0}]}`, want: some(2, 4)},
			{line: q + `{"$nor":[{"i":0},{"i":1}]}`, want: some(2, 3, 4, 5)},
			{line: q + `{"createdAt":{"$gt":{"$relativeTime":"2 hours ago"}}}`, want: some(0, 1, 2, 3, 4, 5)},
			{line: `GET Q?keys=i&where={"g":{"$nearSphere":{"__type":"GeoPoint","latitude":0,"longitude":0},"$maxDistanceInKilometers":200}}`, want: some(0, 1)},
			{line: q + `{"g":{"$within":{"$box":[{"__type":"GeoPoint","latitude":0.5,"longitude":0.5},{"__type":"GeoPoint","latitude":2.5,"longitude":2.5}]}}}`, want: some(1, 2)},
			{line: q + `{"g":{"$geoWithin":{"$centerSphere":[[0,0],0.03]}}}`, want: some(0, 1)},
			{line: q + `{"s":{"$text":{"$search":{"$term":"v1"}}}}`, want: some(1)},
			{line: `GET Q?keys=i&order=i&limit=1&where={"ptr":{"$inQuery":{"className":"Tgt","where":{"v":1}}}}`, want: some(0)},
			{line: q + `{"ptr":{"$notInQuery":{"className":"Tgt","where":{"v":1}}}}`, want: some()},
			{line: q + `{"i":{"$select":{"query":{"className":"Tgt","where":{}},"key":"v"}}}`, want: some(1)},
			{line: q + `{"i":{"$dontSelect":{"query":{"className":"Tgt","where":{}},"key":"v"}}}`, want: some(0, 2, 3, 4, 5)},
			{line: q + `{"i":{"$in":5}}`, want: `107 bad $in value`},
			{line: q + `{"ACL":1}`, want: `102 Cannot query on ACL.`},
			{line: q + `{"i":{"$select":{}}}`, want: `102 improper usage of $select`},
			{line: q + `{"nosuch":"x"}`, want: some()},
			{line: q + `{"_rperm":"x","i":1}`, want: some(1)},
			{line: "GET Q?count=1&limit=0", want: `200 [] count 6`},
			{line: "GET Q?count=1&limit=2&keys=i&order=i", want: some(0, 1) + ` count 6`},
			{line: "GET Q?count=1&keys=i&order=i", want: some(0, 1, 2, 3, 4, 5) + ` count 6`},
			{line: "GET Q?order=-i&limit=2&skip=1&keys=i", want: some(4, 3)},
			{line: "GET Q?limit=1&order=i&excludeKeys=arr,o,g,ptr,s,mod,objectId", want: `200 [{"objectId":"<q0>","createdAt":"<date>","updatedAt":"<date>","i":0,"only":1}]`},
			{line: "GET Q?limit=1&order=i&keys=i,s&excludeKeys=s", want: some(0)},
			{line: "GET Q?limit=1&order=i&keys=ptr&include=ptr", want: `200 [{"ptr":` + tgt + `,"objectId":"<q0>","createdAt":"<date>","updatedAt":"<date>"}]`},
			{line: "GET Q?limit=1&order=i&keys=ptr.v", want: `200 [{"ptr":` + tgt + `,"objectId":"<q0>","createdAt":"<date>","updatedAt":"<date>"}]`},
			{line: "GET Q?limit=1&order=i&keys=i&include=*", want: `200 [{"i":0,"objectId":"<q0>","createdAt":"<date>","updatedAt":"<date>","arr":[0,1],"ptr":` + tgt + `}]`},
			{line: "GET Q/$q0$?keys=i", want: `200 {"i":0,"objectId":"<q0>","createdAt":"<date>","updatedAt":"<date>"}`},
			{line: "GET Q?explain=true", want: `102 Using the explain query parameter requires the master key`},
		})
	})
}

func TestRelations(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		const updated, created = `200 {"updatedAt":"<date>"}`, `201 {"objectId":"<id>","createdAt":"<date>"} /classes/`
		const to1, to2 = `{"__type":"Pointer","className":"T","objectId":"$t1$"}`, `{"__type":"Pointer","className":"T","objectId":"$t2$"}`
		const one, two = `{"objectId":"<t1>","createdAt":"<date>","updatedAt":"<date>","v":1}`, `{"objectId":"<t2>","createdAt":"<date>","updatedAt":"<date>","v":2}`
		const related = `GET T?order=v&where={"$relatedTo":{"object":{"__type":"Pointer","className":"R","objectId":"$r$"},"key":"rel"}}`
		const owner = `{"objectId":"<r>","createdAt":"<date>","updatedAt":"<date>","n":1,"rel":{"__type":"Relation","className":"T"}}`
		const other = `{"objectId":"<r2>","createdAt":"<date>","updatedAt":"<date>","n":2,"rel":{"__type":"Relation","className":"T"}}`
		b.play([]exchange{
			{line: "POST T", body: `{"v":1}`, as: "t1", want: created + "T/<id>"},
			{line: "POST T", body: `{"v":2}`, as: "t2", want: created + "T/<id>"},
			{line: "POST R", body: `{"n":1}`, as: "r", want: created + "R/<id>"},
			{line: "PUT R/$r$", body: `{"rel":{"__op":"AddRelation","objects":[` + to1 + `,` + to2 + `]}}`, want: updated},
			{line: related, want: `200 [` + one + `,` + two + `]`},
			{line: "PUT R/$r$", body: `{"rel":{"__op":"AddRelation","objects":[` + to1 + `,` + to1 + `]}}`, want: updated},
			{line: related, want: `200 [` + one + `,` + two + `]`},
			{line: "PUT R/$r$", body: `{"rel":{"__op":"RemoveRelation","objects":[` + to1 + `]}}`, want: updated},
			{line: related, want: `200 [` + two + `]`},
			{line: "PUT R/$r$", body: `{"rel":{"__op":"Batch","ops":[{"__op":"AddRelation","objects":[` + to1 + `]},{"__op":"RemoveRelation","objects":[` + to2 + `]}]}}`, want: updated},
			{line: related, want: `200 [` + one + `]`},
			{line: "POST R", body: `{"n":2,"rel":{"__op":"AddRelation","objects":[` + to2 + `]}}`, as: "r2", want: created + "R/<id>"},
			{line: `GET R?where={"rel":` + to1 + `}`, want: `200 [` + owner + `]`},
			{line: `GET R?order=n&where={"rel":{"$ne":` + to1 + `}}`, want: `200 [` + other + `]`},
			{line: `GET R?order=n&where={"rel":{"$in":[` + to1 + `,` + to2 + `]}}`, want: `200 [` + owner + `,` + other + `]`},
			{line: `GET R?order=n&where={"rel":{"$nin":[` + to2 + `]}}`, want: `200 [` + owner + `]`},
			{line: `GET R?where={"rel":{"$inQuery":{"className":"T","where":{"v":2}}}}`, want: `200 [` + other + `]`},
			{line: `GET R?order=n&where={"$or":[{"rel":` + to1 + `},{"n":2}]}`, want: `200 [` + owner + `,` + other + `]`},
			{line: `GET R?where={"rel":null}`, want: `200 []`},
			{line: `GET R?where={"rel":5}`, want: `200 []`},
			{line: `GET R?where={"rel":{"$exists":true}}`, want: `200 []`},
			{line: "GET R/$r$?keys=n", want: `200 ` + owner},
			{line: "GET R/$r$?excludeKeys=rel", want: `200 ` + owner},
			{line: `GET T?where={"$relatedTo":{"object":{"__type":"Pointer","className":"R","objectId":"none"},"key":"rel"}}`, want: `200 []`},
			{line: `GET T?where={"$relatedTo":{"object":{"__type":"Pointer","className":"No","objectId":"none"},"key":"rel"}}`, want: `200 []`},
			{line: `GET T?where={"$relatedTo":{"object":{"__type":"Pointer","className":"R","objectId":"$r$"},"key":"n"}}`, want: `200 []`},
			{line: "GET R?redirectClassNameForKey=rel&order=v", want: `200 [{"objectId":"<t1>","createdAt":"<date>","updatedAt":"<date>","v":1},{"objectId":"<t2>","createdAt":"<date>","updatedAt":"<date>","v":2}] of T`},
			{line: "GET T?redirectClassNameForKey=nosuch&order=-v&limit=1", want: `200 [{"objectId":"<t2>","createdAt":"<date>","updatedAt":"<date>","v":2}] of T`},
			{caller: master, line: `GET _Join:rel:R?keys=relatedId&where={"owningId":"$r$"}&count=1&limit=0`, want: `200 [] count 1`},
			{line: "PUT R/$r$", body: `{"rel":{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"Other","objectId":"x"}]}}`, want: `111 schema mismatch for R.rel; expected Relation<T> but got Relation<Other>`},
			{line: "PUT R/$r$", body: `{"rel":{"__op":"AddRelation","objects":[` + to1 + `,{"__type":"Pointer","className":"Other","objectId":"x"}]}}`, want: `111 schema mismatch for R.rel; expected Relation<T> but got Relation<Other>`},
			{line: "PUT R/$r$", body: `{"rel":{"__op":"AddRelation","objects":[]}}`, want: `107 a relation operator must name at least one object`},
			{line: "PUT R/$r$", body: `{"rel":{"__type":"Relation","className":"T"}}`, want: updated},
			{line: "PUT R/$r$", body: `{"rel":{"__op":"Delete"}}`, want: updated},
			{line: "PUT R/$r$", body: `{"rel":null}`, want: updated},
			{line: "PUT R/$r$", body: `{"rel":1}`, want: `111 schema mismatch for R.rel; expected Relation<T> but got Number`},
			{line: "PUT R/none", body: `{"rel":{"__op":"AddRelation","objects":[` + to1 + `]}}`, want: `101 Object not found.`},
			{caller: master, line: `GET _Join:rel:R?where={"owningId":"none"}`, want: `200 []`},
			{line: related, want: `200 [` + one + `]`},
			// Who cannot read the owner does not see its members.
			{line: "PUT R/$r$", body: `{"ACL":{"alice":{"read":true,"write":true}}}`, want: updated},
			{line: related, want: `200 []`},
			{caller: alice, line: related, want: `200 [` + one + `]`},
			{caller: master, line: related, want: `200 [` + one + `]`},
			{caller: alice, line: "DELETE R/$r$", want: `200 {}`},
			{caller: master, line: `GET _Join:rel:R?where={"owningId":"$r$"}`, want: `200 []`},
		})
	})
}

func TestInclude(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		const created = `201 {"objectId":"<id>","createdAt":"<date>"} /classes/`
		pointer := func(name string) string { return `{"__type":"Pointer","className":"T","objectId":"$` + name + `$"}` }
		shown := func(name, fields string) string {
			return `{"__type":"Object","className":"T","objectId":"<` + name + `>","createdAt":"<date>","updatedAt":"<date>"` + fields + `}`
		}
		object := func(fields string) string {
			return `{"objectId":"<q>","createdAt":"<date>","updatedAt":"<date>"` + fields + `}`
		}
		one, two := shown("t1", `,"v":1`), shown("t2", `,"v":2,"up":`+shown("t1", `,"v":1`))
		plain := func(name string) string {
			return `{"__type":"Pointer","className":"T","objectId":"<` + name + `>"}`
		}
		flat := shown("t2", `,"v":2,"up":`+plain("t1"))
		b.play([]exchange{
			{line: "POST T", body: `{"v":1}`, as: "t1", want: created + "T/<id>"},
			{line: "POST T", body: `{"v":2,"up":` + pointer("t1") + `}`, as: "t2", want: created + "T/<id>"},
			{caller: master, line: "POST T", body: `{"v":3,"ACL":{"alice":{"read":true}}}`, as: "t3", want: created + "T/<id>"},
			{line: "POST Q", body: `{"p":` + pointer("t2") + `,"q":` + pointer("t2") + `,"hidden":` + pointer("t3") + `,"ps":[` + pointer("t1") + `,` + pointer("t3") + `,5,` + pointer("t2") + `],"deep":{"x":` + pointer("t1") + `,"y":{"z":` + pointer("t3") + `,"n":1}},"gone":{"__type":"Pointer","className":"T","objectId":"none"},"no":{"__type":"Pointer","className":"NoClass","objectId":"none"}}`, as: "q", want: created + "Q/<id>"},
			{line: "GET Q/$q$?keys=p&include=p", want: `200 ` + object(`,"p":`+flat)},
			{line: "GET Q/$q$?keys=p&include=p.up", want: `200 ` + object(`,"p":`+two)},
			{line: "GET Q/$q$?keys=p,q&include=p.up,q", want: `200 ` + object(`,"p":`+two+`,"q":`+flat)},
			{line: "GET Q/$q$?keys=ps&include=ps", want: `200 ` + object(`,"ps":[`+one+`,5,`+flat+`]`)},
			{line: "GET Q/$q$?keys=ps&include=ps.up", want: `200 ` + object(`,"ps":[`+one+`,5,`+two+`]`)},
			{line: "GET Q/$q$?keys=hidden,gone,no&include=hidden,gone,no", want: `200 ` + object("")},
			{line: "GET Q/$q$?keys=deep&include=deep.x,deep.y.z", want: `200 ` + object(`,"deep":{"x":`+one+`,"y":{"n":1}}`)},
			{caller: alice, line: "GET Q/$q$?keys=hidden&include=hidden", want: `200 ` + object(`,"hidden":`+shown("t3", `,"v":3,"ACL":{"alice":{"read":true}}`))},
			{line: "GET Q/$q$?keys=hidden", want: `200 ` + object(`,"hidden":`+plain("t3"))},
			{line: "GET Q/$q$?keys=p.v", want: `200 ` + object(`,"p":`+shown("t2", `,"v":2`))},
			{line: "GET Q/$q$?keys=p.up.v", want: `200 ` + object(`,"p":`+shown("t2", `,"up":`+one))},
			{line: "GET Q/$q$?keys=p&include=p&excludeKeys=p.v", want: `200 ` + object(`,"p":`+shown("t2", `,"up":`+plain("t1")))},
			{line: "GET Q/$q$?keys=v&include=p", want: `200 ` + object("")},
			{line: "GET Q/$q$?keys=p&include=nope,v,p.v.x", want: `200 ` + object(`,"p":`+flat)},
			{line: "GET Q?keys=p&include=p.up", want: `200 [` + object(`,"p":`+two) + `]`},
		})
		// The stored objects are not what was changed.
		b.play([]exchange{{line: "GET Q/$q$?keys=deep,ps", want: `200 ` + object(`,"deep":{"x":`+plain("t1")+`,"y":{"z":`+plain("t3")+`,"n":1}},"ps":[`+plain("t1")+`,`+plain("t3")+`,5,`+plain("t2")+`]`)}})
	})
}

func TestClassLevelPermissions(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		const created, updated = `201 {"objectId":"<id>","createdAt":"<date>"} /classes/`, `200 {"updatedAt":"<date>"}`
		b.define("Nobody", `{"fields":{"n":{"type":"Number"}},"classLevelPermissions":{"find":{},"count":{},"get":{},"create":{},"update":{},"delete":{},"addField":{}}}`)
		b.define("GetOnly", `{"fields":{"n":{"type":"Number"}},"classLevelPermissions":{"find":{},"count":{"*":true},"get":{"*":true},"create":{"*":true},"update":{"requiresAuthentication":true},"delete":{"role:Staff":true},"addField":{}}}`)
		b.define("Own", `{"fields":{"n":{"type":"Number"},"owner":{"type":"Pointer","targetClass":"_User"},"team":{"type":"Array"}},"classLevelPermissions":{"find":{"pointerFields":["owner"]},"count":{"pointerFields":["owner"]},"get":{"pointerFields":["owner","team"]},"create":{"*":true},"update":{"pointerFields":["owner"]},"delete":{"pointerFields":["team"]},"addField":{"pointerFields":["owner"]}}}`)
		one := `{"objectId":"<o>","createdAt":"<date>","updatedAt":"<date>","n":1}`
		owned := `{"objectId":"<own>","createdAt":"<date>","updatedAt":"<date>","n":1}`
		b.play([]exchange{
			{caller: master, line: "POST Nobody", body: `{"n":1}`, as: "n", want: created + "Nobody/<id>"},
			{line: "GET Nobody", want: `119 Permission denied`},
			{line: "GET Nobody?count=1&limit=0", want: `119 Permission denied`},
			{line: "GET Nobody/$n$", want: `119 Permission denied`},
			{caller: alice, line: "POST Nobody", body: `{"n":2}`, want: `119 Permission denied`},
			{caller: alice, line: "PUT Nobody/$n$", body: `{"n":2}`, want: `119 Permission denied`},
			{caller: alice, line: "DELETE Nobody/$n$", want: `119 Permission denied`},
			{line: "GET Nobody?limit=0", want: `200 []`},
			{caller: master, line: "PUT Nobody/$n$", body: `{"m":2}`, want: updated},

			{line: "POST GetOnly", body: `{"n":1}`, as: "o", want: created + "GetOnly/<id>"},
			{line: "POST GetOnly", body: `{"m":1}`, want: `119 Permission denied`},
			{line: "GET GetOnly", want: `119 Permission denied`},
			{line: "GET GetOnly?count=1&limit=0", want: `200 [] count 1`},
			{line: "GET GetOnly/$o$", want: `200 ` + one},
			{line: `GET GetOnly?where={"objectId":"$o$"}`, want: `200 [` + one + `]`},
			{line: `GET GetOnly?where={"objectId":"$o$","n":1}`, want: `119 Permission denied`},
			{line: "PUT GetOnly/$o$", body: `{"n":1}`, want: `101 Permission denied`},
			{caller: bob, line: "PUT GetOnly/$o$", body: `{"n":1}`, want: updated},
			{caller: bob, line: "DELETE GetOnly/$o$", want: `119 Permission denied`},
			{line: "POST Holder", body: `{"p":{"__type":"Pointer","className":"GetOnly","objectId":"$o$"},"x":{"__type":"Pointer","className":"Nobody","objectId":"$n$"}}`, as: "h", want: created + "Holder/<id>"},
			{line: "GET Holder/$h$?keys=p&include=p", want: `200 {"objectId":"<h>","createdAt":"<date>","updatedAt":"<date>","p":{"__type":"Object","className":"GetOnly","objectId":"<o>","createdAt":"<date>","updatedAt":"<date>","n":1}}`},
			{line: "GET Holder/$h$?include=x", want: `119 Permission denied`},
			{line: `GET Holder?where={"p":{"$inQuery":{"className":"GetOnly","where":{}}}}`, want: `119 Permission denied`},
			{caller: alice, line: "DELETE GetOnly/$o$", want: `200 {}`},

			{line: "POST Own", body: `{"n":1,"owner":{"__type":"Pointer","className":"_User","objectId":"alice"},"team":[{"__type":"Pointer","className":"_User","objectId":"bob"}]}`, as: "own", want: created + "Own/<id>"},
			{line: "GET Own?keys=n", want: `200 []`},
			{line: "GET Own/$own$?keys=n", want: `101 Object not found.`},
			{caller: alice, line: "GET Own?keys=n&count=1", want: `200 [` + owned + `] count 1`},
			{caller: bob, line: "GET Own?keys=n&count=1", want: `200 [] count 0`},
			{caller: bob, line: "GET Own/$own$?keys=n", want: `200 ` + owned},
			{caller: bob, line: "PUT Own/$own$", body: `{"n":5}`, want: `101 Object not found.`},
			{line: "PUT Own/$own$", body: `{"n":5}`, want: `101 Object not found.`},
			{caller: alice, line: "PUT Own/$own$", body: `{"n":5}`, want: updated},
			{caller: alice, line: "PUT Own/$own$", body: `{"extra":5}`, want: updated},
			{line: "POST Own", body: `{"extra2":5}`, want: `119 Permission denied`},
			{caller: alice, line: "DELETE Own/$own$", want: `101 Object not found.`},
			{caller: bob, line: "DELETE Own/$own$", want: `200 {}`},
		})
	})
}

func TestProtectedFields(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		b.define("P", `{"fields":{"a":{"type":"String"},"b":{"type":"String"},"c":{"type":"String"},"p":{"type":"Pointer","targetClass":"P"},"rel":{"type":"Relation","targetClass":"P"},"owner":{"type":"Pointer","targetClass":"_User"}},
			"classLevelPermissions":{"find":{"*":true},"get":{"*":true},"count":{"*":true},"create":{"*":true},"update":{"*":true},"delete":{"*":true},"addField":{"*":true},"protectedFields":{"*":["a","b","p","rel"],"role:Staff":["b"],"userField:owner":["c"]}}}`)
		const rel = `,"rel":{"__type":"Relation","className":"P"}`
		const owner = `,"owner":{"__type":"Pointer","className":"_User","objectId":"bob"}`
		const p = `,"p":{"__type":"Pointer","className":"P","objectId":"x"}`
		whole := func(fields string) string {
			return `200 {"objectId":"<p>","createdAt":"<date>","updatedAt":"<date>"` + fields + `}`
		}
		b.play([]exchange{
			{line: "POST P", body: `{"a":"1","b":"2","c":"3","p":{"__type":"Pointer","className":"P","objectId":"x"},"owner":{"__type":"Pointer","className":"_User","objectId":"bob"}}`, as: "p", want: `201 {"objectId":"<id>","createdAt":"<date>"} /classes/P/<id>`},
			{line: "GET P/$p$", want: whole(`,"c":"3"` + owner)},
			{line: "GET P/$p$?keys=a,c", want: whole(`,"c":"3"`)},
			{line: "GET P/$p$?include=p", want: whole(`,"c":"3"` + owner)},
			{caller: alice, line: "GET P/$p$", want: whole(`,"a":"1","c":"3"` + p + rel + owner)},
			{caller: bob, line: "GET P/$p$", want: whole(`,"a":"1","b":"2","c":"3"` + p + rel + owner)},
			{caller: bob, line: "GET P/$p$?keys=a", want: whole(`,"a":"1"` + rel)},
			{caller: master, line: "GET P/$p$", want: whole(`,"a":"1","b":"2","c":"3"` + p + rel + owner)},
			{line: `GET P?where={"a":"1"}`, want: `119 Permission denied`},
			{line: `GET P?where={"$or":[{"a":"1"},{"c":"3"}]}`, want: `119 Permission denied`},
			{line: `GET P?order=a`, want: `119 Permission denied`},
			{line: `GET P?where={"$relatedTo":{"object":{"__type":"Pointer","className":"P","objectId":"$p$"},"key":"rel"}}`, want: `119 Permission denied`},
			{line: `GET P?where={"c":{"$select":{"query":{"className":"P","where":{}},"key":"a"}}}`, want: `200 []`},
			{line: `GET P?where={"c":{"$select":{"query":{"className":"P","where":{"a":"1"}},"key":"c"}}}`, want: `119 Permission denied`},
		})
	})
}

func TestSubQueriesHaveTheRightsOfTheCaller(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		const created = `201 {"objectId":"<id>","createdAt":"<date>"} /classes/`
		const seen = `{"objectId":"<a>","createdAt":"<date>","updatedAt":"<date>"}`
		const in = `GET A?keys=x&where={"p":{"$inQuery":{"className":"S","where":{}}}}`
		const notIn = `GET A?keys=x&where={"p":{"$notInQuery":{"className":"S","where":{}}}}`
		const sel = `GET A?keys=x&where={"n":{"$select":{"query":{"className":"S","where":{}},"key":"o.n"}}}`
		b.play([]exchange{
			{line: "POST S", body: `{"o":{"n":7},"ACL":{"alice":{"read":true}}}`, as: "s", want: created + "S/<id>"},
			{line: "POST A", body: `{"n":7,"p":{"__type":"Pointer","className":"S","objectId":"$s$"}}`, as: "a", want: created + "A/<id>"},
			{line: in, want: `200 []`},
			{caller: alice, line: in, want: `200 [` + seen + `]`},
			{line: notIn, want: `200 [` + seen + `]`},
			{caller: alice, line: notIn, want: `200 []`},
			{line: sel, want: `200 []`},
			{caller: alice, line: sel, want: `200 [` + seen + `]`},
			{line: `GET A?keys=x&where={"p":{"$inQuery":{"className":"NoClass","where":{}}}}`, want: `200 []`},
			{line: `GET A?keys=x&where={"p":{"$inQuery":{"className":"_JobStatus","where":{}}}}`, want: `119 Permission denied`},
			{line: `GET A?keys=x&where={"$nor":[{"p":{"$inQuery":{"className":"S","where":{}}}}]}`, want: `200 [` + seen + `]`},
		})
	})
}

func TestSubQueryLimit(t *testing.T) {
	b := newBed(t, adapters["memory"](t))
	for range 3 {
		b.do(public, "POST S", `{"n":1}`)
		b.do(public, "POST A", `{"p":{"__type":"Pointer","className":"S","objectId":"$last$"}}`)
	}
	where, err := parse.DecodeMap([]byte(`{"p":{"$inQuery":{"className":"S","where":{}}}}`), parse.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	opts := query.Options{Limits: query.Limits{SubqueryLimit: 2}}
	q, err := query.ParseFind(parse.NewMap("where", where), opts)
	if err != nil {
		t.Fatal(err)
	}
	q.ClassName = "A"
	found, err := b.Find(context.Background(), public, q)
	if err != nil || len(found.Objects) != 2 {
		t.Errorf("Find(A in S limited to 2) = %d objects, %v, want 2", len(found.Objects), err)
	}
}

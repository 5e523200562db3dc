package object

import "testing"

// The exchanges of these tests are those that were recorded with Parse Server 9.10 (parse-probes-rest.txt, "objects", and the
// corpus of package conformance), with the deliberate differences of docs/divergences.md.

const everyType = `{"s":"a","n":1,"b":true,"arr":[1,"x",{"k":1}],"obj":{"a":{"b":1}},"d":{"__type":"Date","iso":"1999-01-01T00:00:00.000Z"},"g":{"__type":"GeoPoint","latitude":10,"longitude":20},"poly":{"__type":"Polygon","coordinates":[[0,0],[0,1],[1,1],[1,0]]},"by":{"__type":"Bytes","base64":"aGk="},"f":{"__type":"File","name":"x.txt"},"nul":null}`

func TestRecordedObjects(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		b.play([]exchange{
			{line: "POST Obj", body: everyType, as: "obj", want: `201 {"objectId":"<id>","createdAt":"<date>"} /classes/Obj/<id>`},
			{line: "POST Tgt", body: `{"v":1}`, as: "tgt", want: `201 {"objectId":"<id>","createdAt":"<date>"} /classes/Tgt/<id>`},
			{line: "GET Obj/$obj$", want: `200 {"objectId":"<obj>","createdAt":"<date>","updatedAt":"<date>","g":{"__type":"GeoPoint","latitude":10,"longitude":20},"b":true,"s":"a","obj":{"a":{"b":1}},"arr":[1,"x",{"k":1}],"d":{"__type":"Date","iso":"1999-01-01T00:00:00.000Z"},"n":1,"poly":{"__type":"Polygon","coordinates":[[0,0],[0,1],[1,1],[1,0],[0,0]]},"f":{"__type":"File","name":"x.txt","url":"http://files/x.txt"},"by":{"__type":"Bytes","base64":"aGk="},"nul":null}`},
			{line: "GET Obj/zzzzzzzzzz", want: `101 Object not found.`},
			{line: "GET NoSuch/zzz", want: `101 Object not found.`},
			{line: "GET NoSuch", want: `200 []`},
			{line: "PUT Obj/$obj$", body: `{"s":"b"}`, want: `200 {"updatedAt":"<date>"}`},
			{line: "PUT Obj/zzzzzzzzzz", body: `{"s":"b"}`, want: `101 Object not found.`},
			{line: "PUT Obj/$obj$", body: `{"n":{"__op":"Increment","amount":5}}`, want: `200 {"n":6,"updatedAt":"<date>"}`},
			{line: "PUT Obj/$obj$", body: `{"n":{"__op":"Increment","amount":"5"}}`, want: `107 incrementing must provide a number`},
			{line: "PUT Obj/$obj$", body: `{"arr":{"__op":"Add","objects":[1,2]}}`, want: `200 {"arr":[1,"x",{"k":1},1,2],"updatedAt":"<date>"}`},
			{line: "PUT Obj/$obj$", body: `{"arr":{"__op":"AddUnique","objects":[2,3]}}`, want: `200 {"arr":[1,"x",{"k":1},1,2,3],"updatedAt":"<date>"}`},
			{line: "PUT Obj/$obj$", body: `{"arr":{"__op":"Remove","objects":[1]}}`, want: `200 {"arr":["x",{"k":1},2,3],"updatedAt":"<date>"}`},
			{line: "PUT Obj/$obj$", body: `{"s":{"__op":"Delete"}}`, want: `200 {"updatedAt":"<date>"}`},
			{line: "PUT Obj/$obj$", body: `{"obj.a.b":2,"obj.z":9}`, want: `200 {"updatedAt":"<date>"}`},
			{line: "PUT Obj/$obj$", body: `{"obj.cnt":{"__op":"Increment","amount":2}}`, want: `200 {"obj":{"cnt":2},"updatedAt":"<date>"}`},
			{line: "POST Obj", body: `{"so":{"__op":"SetOnInsert","amount":7}}`, want: `108 The SetOnInsert operator is not supported yet.`},
			{line: "PUT Obj/$obj$", body: `{"n":{"__op":"Multiply","amount":2}}`, want: `108 The Multiply operator is not supported yet.`},
			{line: "POST Obj", body: `{"n":{"__op":"Multiply","amount":2}}`, want: `108 The Multiply operator is not supported yet.`},
			{line: "PUT Obj/$obj$", body: `{"rel":{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"Tgt","objectId":"$tgt$"}]}}`, want: `200 {"updatedAt":"<date>"}`},
			{line: "PUT Obj/$obj$", body: `{"rel":{"__op":"RemoveRelation","objects":[{"__type":"Pointer","className":"Tgt","objectId":"none"}]}}`, want: `200 {"updatedAt":"<date>"}`},
			{line: "PUT Obj/$obj$", body: `{"rel":{"__op":"Batch","ops":[{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"Tgt","objectId":"$tgt$"}]},{"__op":"RemoveRelation","objects":[{"__type":"Pointer","className":"Tgt","objectId":"n"}]}]}}`, want: `200 {"updatedAt":"<date>"}`},
			{line: "PUT Obj/$obj$", body: `{"ptr":{"__type":"Pointer","className":"Tgt","objectId":"$tgt$"}}`, want: `200 {"updatedAt":"<date>"}`},
			{line: "GET Obj/$obj$", want: `200 {"objectId":"<obj>","createdAt":"<date>","updatedAt":"<date>","g":{"__type":"GeoPoint","latitude":10,"longitude":20},"b":true,"obj":{"a":{"b":2},"z":9,"cnt":2},"arr":["x",{"k":1},2,3],"d":{"__type":"Date","iso":"1999-01-01T00:00:00.000Z"},"n":6,"poly":{"__type":"Polygon","coordinates":[[0,0],[0,1],[1,1],[1,0],[0,0]]},"f":{"__type":"File","name":"x.txt","url":"http://files/x.txt"},"by":{"__type":"Bytes","base64":"aGk="},"nul":null,"ptr":{"objectId":"<tgt>","__type":"Pointer","className":"Tgt"},"rel":{"__type":"Relation","className":"Tgt"}}`},
			{line: "PUT Obj/$obj$", body: `{"n":"str"}`, want: `111 schema mismatch for Obj.n; expected Number but got String`},
			{line: "POST Obj", body: `{"1bad":1}`, want: `105 Invalid field name: 1bad.`},
			{line: "POST 1Bad", body: `{"a":1}`, want: `107 schema class name does not revalidate`},
			{line: "PUT 1x/none", body: `{}`, want: `107 schema class name does not revalidate`},
			{line: "POST Obj", body: `{"obj":{"$a":1}}`, want: `121 Nested keys should not contain the '$' or '.' characters`},
			{line: "POST Obj", body: `{"objectId":"abc"}`, want: `105 objectId is an invalid field name.`},
			{line: "POST Obj", body: `{"id":"abc"}`, want: `105 id is an invalid field name.`},
			{line: "POST Obj", body: `{"g2":{"__type":"GeoPoint","latitude":1,"longitude":2}}`, want: `201 {"objectId":"<id>","createdAt":"<date>"} /classes/Obj/<id>`},
			{line: "POST Obj", body: `{"constructor":1}`, want: `105 Prohibited keyword in request data: {"key":"constructor"}.`},
			{line: "POST Obj", body: `{"ACL":{"*":{"read":true},"abc":{"read":true,"write":true}}}`, want: `201 {"objectId":"<id>","createdAt":"<date>"} /classes/Obj/<id>`},
			{line: "POST Obj", body: `{"ptr":{"__type":"Pointer","objectId":"x"}}`, want: `111 This is not a valid Pointer`},
			{line: "POST Obj", body: `{"d":{"__type":"Date","iso":"notadate"}}`, want: `111 This is not a valid Date`},
			{line: "DELETE Obj/$obj$", want: `200 {}`},
			{line: "DELETE Obj/$obj$", want: `101 Object not found.`},
			{line: "DELETE NoSuch/none", want: `200 {}`},
		})
	})
}

func TestOperatorsOnCreate(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		b.play([]exchange{
			{line: "POST Op", body: `{"a":{"__op":"Delete"},"arr":{"__op":"Remove","objects":[1]},"inc":{"__op":"Increment","amount":3},"add":{"__op":"AddUnique","objects":[1,1,2]},"o.x":5}`, as: "op",
				want: `201 {"arr":[],"inc":3,"add":[1,1,2],"objectId":"<id>","createdAt":"<date>"} /classes/Op/<id>`},
			{line: "GET Op/$op$", want: `200 {"objectId":"<op>","createdAt":"<date>","updatedAt":"<date>","arr":[],"inc":3,"add":[1,1,2],"o":{"x":5}}`},
			{line: "POST Op", body: `{"inc":{"__op":"Increment","amount":"4"}}`, want: `107 objects to add must be an array`},
			{line: "POST Op", body: `{"add":{"__op":"AddUnique","objects":"x"}}`, want: `107 objects to add must be an array`},
		})
	})
}

func TestUpdate(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		b.play([]exchange{
			{line: "POST Op", body: `{"n":1,"s":"a","arr":[1,2],"o":{"n":1,"k":"v","l":[1],"a":{"b":1,"c":2}}}`, as: "op", want: `201 {"objectId":"<id>","createdAt":"<date>"} /classes/Op/<id>`},
			{line: "PUT Op/$op$", body: `{"fresh":{"__op":"Increment","amount":3}}`, want: `200 {"fresh":3,"updatedAt":"<date>"}`},
			{line: "PUT Op/$op$", body: `{"s":{"__op":"Increment","amount":1}}`, want: `111 schema mismatch for Op.s; expected String but got Number`},
			{line: "PUT Op/$op$", body: `{"o.n":{"__op":"Increment","amount":1},"o.fresh":{"__op":"Increment","amount":1}}`, want: `200 {"o":{"n":2,"fresh":1},"updatedAt":"<date>"}`},
			{line: "PUT Op/$op$", body: `{"o.l":{"__op":"Add","objects":[2]}}`, want: `200 {"o":{"l":[1,2]},"updatedAt":"<date>"}`},
			{line: "PUT Op/$op$", body: `{"o.a.c":{"__op":"Delete"},"o.k":{"__op":"Delete"}}`, want: `200 {"updatedAt":"<date>"}`},
			{line: "PUT Op/$op$", body: `{"fresho.a":1}`, want: `200 {"updatedAt":"<date>"}`},
			{line: "PUT Op/$op$", body: `{"nope":{"__op":"Delete"}}`, want: `200 {"updatedAt":"<date>"}`},
			{line: "PUT Op/$op$", body: `{"arr.0":9}`, want: `200 {"updatedAt":"<date>"}`},
			{line: "PUT Op/$op$", body: `{"arr.1":{"__op":"Increment","amount":5}}`, want: `200 {"arr":[9,7],"updatedAt":"<date>"}`},
			{line: "PUT Op/$op$", body: `{"n.a":1}`, want: `111 schema mismatch for Op.n; expected Number but got Object`},
			{line: "PUT Op/$op$", body: `{"o.$a":1}`, want: `121 Nested keys should not contain the '$' or '.' characters`},
			{line: "PUT Op/$op$", body: `{"authData.x":1}`, want: `105 Invalid field name for update: authData.x`},
			{line: "PUT Op/$op$", body: `{"o":{"x":{"__op":"Increment","amount":1}}}`, want: `200 {"updatedAt":"<date>"}`},
			{line: "PUT Op/$op$", body: `{"n":null}`, want: `200 {"updatedAt":"<date>"}`},
			{line: "PUT Op/$op$", body: `{}`, want: `200 {"updatedAt":"<date>"}`},
			{line: "GET Op/$op$", want: `200 {"objectId":"<op>","createdAt":"<date>","updatedAt":"<date>","n":null,"s":"a","arr":[9,7],"fresh":3,"fresho":{"a":1},"o":{"x":{"__op":"Increment","amount":1}}}`},
			{line: "PUT Op/$op$", body: `{"objectId":{"__op":"Increment","amount":1}}`, want: `111 schema mismatch for Op.objectId; expected String but got Number`},
			{line: "PUT Op/$op$", body: `{"objectId":"other"}`, want: `105 objectId is an invalid field name.`},
			{line: "PUT Op/$op$", body: `{"objectId":"$op$","s":"c"}`, want: `200 {"updatedAt":"<date>"}`},
			{line: "PUT Op/$op$", body: `{"createdAt":"2020-01-01T00:00:00.000Z"}`, want: `111 schema mismatch for Op.createdAt; expected Date but got String`},
			{line: "PUT Op/$op$", body: `{"createdAt":{"__type":"Date","iso":"1999-01-01T00:00:00.000Z"}}`, want: `200 {"updatedAt":"<date>"}`},
			{line: "GET Op/$op$?keys=s", want: `200 {"objectId":"<op>","createdAt":"<date>","updatedAt":"<date>","s":"c"}`},
			{line: "PUT Nothing/abc", body: `{"a":1}`, want: `101 Object not found.`},
		})
	})
}

func TestDatesOfTheMaintenanceKey(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		const early, later = `{"__type":"Date","iso":"1999-01-01T00:00:00.000Z"}`, `{"__type":"Date","iso":"1999-01-02T00:00:00.000Z"}`
		b.play([]exchange{
			{line: "POST D", body: `{"createdAt":` + early + `}`, want: `201 {"objectId":"<id>","createdAt":"<date>"} /classes/D/<id>`},
			{caller: master, line: "POST D", body: `{"createdAt":` + early + `}`, want: `201 {"objectId":"<id>","createdAt":"<date>"} /classes/D/<id>`},
			{caller: maintenance, line: "POST D", body: `{"createdAt":` + early + `}`, as: "d", want: `201 {"objectId":"<id>","createdAt":"1999-01-01T00:00:00.000Z"} /classes/D/<id>`},
			{line: "GET D/$d$", want: `200 {"objectId":"<d>","createdAt":"1999-01-01T00:00:00.000Z","updatedAt":"1999-01-01T00:00:00.000Z"}`},
			{caller: maintenance, line: "POST D", body: `{"createdAt":` + early + `,"updatedAt":` + later + `}`, as: "d2", want: `201 {"objectId":"<id>","createdAt":"1999-01-01T00:00:00.000Z"} /classes/D/<id>`},
			{line: "GET D/$d2$", want: `200 {"objectId":"<d2>","createdAt":"1999-01-01T00:00:00.000Z","updatedAt":"1999-01-02T00:00:00.000Z"}`},
			{caller: maintenance, line: "POST D", body: `{"createdAt":` + later + `,"updatedAt":` + early + `}`, want: `142 updatedAt cannot occur before createdAt`},
			{caller: maintenance, line: "POST D", body: `{"createdAt":5}`, want: `111 schema mismatch for D.createdAt; expected Date but got Number`},
			{caller: maintenance, line: "POST D", body: `{"updatedAt":` + early + `}`, want: `201 {"objectId":"<id>","createdAt":"<date>"} /classes/D/<id>`},
		})
	})
}

func TestACL(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		b.play([]exchange{
			{line: "POST A", body: `{"n":1}`, as: "a", want: `201 {"objectId":"<id>","createdAt":"<date>"} /classes/A/<id>`},
			{line: "PUT A/$a$", body: `{"ACL":{"*unresolved":{"read":true}}}`, want: `123 Invalid ACL.`},
			{line: "PUT A/$a$", body: `{"ACL":null}`, want: `200 {"updatedAt":"<date>"}`},
			{line: "GET A/$a$", want: `200 {"objectId":"<a>","createdAt":"<date>","updatedAt":"<date>","n":1}`},
			{line: "PUT A/$a$", body: `{"ACL":{"*":{"read":true},"alice":{"read":true,"write":true},"u":{"read":false}}}`, want: `200 {"updatedAt":"<date>"}`},
			{line: "GET A/$a$", want: `200 {"objectId":"<a>","createdAt":"<date>","updatedAt":"<date>","n":1,"ACL":{"*":{"read":true},"alice":{"read":true,"write":true}}}`},
			{line: "PUT A/$a$", body: `{"n":2}`, want: `101 Object not found.`},
			{line: "DELETE A/$a$", want: `101 Object not found.`},
			{caller: bob, line: "PUT A/$a$", body: `{"n":2}`, want: `101 Object not found.`},
			{caller: alice, line: "PUT A/$a$", body: `{"n":2}`, want: `200 {"updatedAt":"<date>"}`},
			{caller: alice, line: "PUT A/$a$", body: `{"ACL":{"role:Staff":{"read":true,"write":true}}}`, want: `200 {"updatedAt":"<date>"}`},
			{line: "GET A/$a$", want: `101 Object not found.`},
			{line: "GET A?count=1", want: `200 [] count 0`},
			{caller: bob, line: "GET A/$a$", want: `101 Object not found.`},
			{caller: alice, line: "GET A/$a$", want: `200 {"objectId":"<a>","createdAt":"<date>","updatedAt":"<date>","n":2,"ACL":{"role:Staff":{"read":true,"write":true}}}`},
			{caller: alice, line: "GET A?count=1&keys=n", want: `200 [{"objectId":"<a>","createdAt":"<date>","updatedAt":"<date>","n":2,"ACL":{"role:Staff":{"read":true,"write":true}}}] count 1`},
			{caller: alice, line: "PUT A/$a$", body: `{"ACL":{"__op":"Delete"}}`, want: `200 {"updatedAt":"<date>"}`},
			{caller: alice, line: "GET A/$a$", want: `101 Object not found.`},
			{caller: master, line: "GET A/$a$", want: `200 {"objectId":"<a>","createdAt":"<date>","updatedAt":"<date>","n":2,"ACL":{}}`},
			{caller: maintenance, line: "DELETE A/$a$", want: `200 {}`},
			{line: "POST A", body: `{"ACL":{"u":{"read":"yes","write":1,"fly":true},"*":5,"v":{}}}`, as: "c", want: `201 {"objectId":"<id>","createdAt":"<date>"} /classes/A/<id>`},
			{caller: master, line: "GET A/$c$", want: `200 {"objectId":"<c>","createdAt":"<date>","updatedAt":"<date>","ACL":{"u":{"read":true,"write":true}}}`},
			{line: "POST A", body: `{"ACL":"s"}`, as: "b", want: `201 {"objectId":"<id>","createdAt":"<date>"} /classes/A/<id>`},
			{caller: master, line: "GET A/$b$", want: `200 {"objectId":"<b>","createdAt":"<date>","updatedAt":"<date>","ACL":{}}`},
		})
	})
}

func TestRestrictedNames(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		b.play([]exchange{
			{line: "POST N", body: `{"_foo":1}`, want: `105 Invalid field name: _foo.`},
			{caller: master, line: "POST N", body: `{"_rperm":["x"]}`, want: `105 Invalid field name: _rperm.`},
			{caller: maintenance, line: "POST N", body: `{"_rperm":["x"]}`, want: `105 Invalid field name: _rperm.`},
			{line: "POST N", body: `{"className":"x"}`, want: `105 Invalid field name: className.`},
			{line: "POST N", body: `{"length":1}`, want: `105 Invalid field name: length.`},
			{line: "POST N", body: `{"__type":"x"}`, want: `105 Invalid field name: __type.`},
			{line: "POST N", body: `{"o":{"constructor":1}}`, want: `105 Prohibited keyword in request data: {"key":"constructor"}.`},
			{line: "POST N", body: `{"l":[[{"__proto__":1}]]}`, want: `105 Prohibited keyword in request data: {"key":"__proto__"}.`},
			{line: "POST N", body: `{"l":{"__op":"Add","objects":[{"__proto__":1}]}}`, want: `105 Prohibited keyword in request data: {"key":"__proto__"}.`},
			{line: "POST N", body: `{"o":{"_bsontype":"Code"}}`, want: `105 Prohibited keyword in request data: {"key":"_bsontype","value":"Code"}.`},
			{line: "POST N", body: `{"o":{"_bsontype":"X"}}`, want: `201 {"objectId":"<id>","createdAt":"<date>"} /classes/N/<id>`},
			{line: "PUT N/abc", body: `{"o":{"k":{"x.y":5}}}`, want: `121 Nested keys should not contain the '$' or '.' characters`},
			{line: "POST N", body: `{"objectId":""}`, want: `201 {"objectId":"<id>","createdAt":"<date>"} /classes/N/<id>`},
			{line: "POST N", body: `{"objectId":null}`, want: `201 {"objectId":"<id>","createdAt":"<date>"} /classes/N/<id>`},
			{line: "POST _JobStatus", body: `{}`, want: `119 Permission denied`},
			{line: "GET _JobStatus", want: `119 Permission denied`},
			{line: "GET _Join:rel:N", want: `119 Permission denied`},
			{line: "GET _Installation", want: `119 Permission denied`},
			{line: "DELETE _Installation/x", want: `119 Permission denied`},
			{caller: readOnly, line: "POST N", body: `{}`, want: `119 Permission denied`},
			{caller: readOnly, line: "PUT N/abc", body: `{}`, want: `119 Permission denied`},
			{caller: readOnly, line: "DELETE N/abc", want: `119 Permission denied`},
			{caller: readOnly, line: "GET N?limit=0&count=1", want: `200 [] count 3`},
			{line: "POST _NoSys", body: `{}`, want: `107 schema class name does not revalidate`},
			{caller: master, line: "POST _Join:rel:N", body: `{"relatedId":"x"}`, want: `107 schema class name does not revalidate`},
		})
	})
}

func TestCustomObjectID(t *testing.T) {
	custom := func(c *Config) { c.AllowCustomObjectID = true }
	onEach(t, func(t *testing.T, b *bed) {
		b.play([]exchange{
			{line: "POST C", body: `{"objectId":"mine"}`, want: `201 {"objectId":"<id>","createdAt":"<date>"} /classes/C/<id>`},
			{line: "GET C/mine?keys=n", want: `200 {"objectId":"mine","createdAt":"<date>","updatedAt":"<date>"}`},
			{line: "POST C", body: `{"objectId":"mine"}`, want: `137 A duplicate value for a field with unique values was provided`},
			{line: "POST C", body: `{"objectId":""}`, want: `104 objectId must not be empty, null or undefined`},
			{line: "POST C", body: `{"objectId":null}`, want: `104 objectId must not be empty, null or undefined`},
			{line: "POST C", body: `{"objectId":5}`, want: `111 schema mismatch for C.objectId; expected String but got Number`},
			{line: "POST _User", body: `{"objectId":"role:Admin"}`, want: `119 Permission denied`},
		})
	}, custom)
}

func TestClassCreation(t *testing.T) {
	closed := func(c *Config) { c.Rules.AllowClassCreation = false }
	onEach(t, func(t *testing.T, b *bed) {
		b.play([]exchange{
			{line: "POST New", body: `{"n":1}`, want: `119 Permission denied`},
			{line: "PUT New/abc", body: `{"n":1}`, want: `119 Permission denied`},
			{line: "GET New", want: `119 Permission denied`},
			{line: "GET New/abc", want: `119 Permission denied`},
			{line: "DELETE New/abc", want: `200 {}`},
			{caller: alice, line: "POST New", body: `{"n":1}`, want: `119 Permission denied`},
			{caller: master, line: "GET New", want: `200 []`},
			{caller: master, line: "POST New", body: `{"n":1}`, want: `201 {"objectId":"<id>","createdAt":"<date>"} /classes/New/<id>`},
			{line: "POST New", body: `{"n":2,"m":3}`, want: `201 {"objectId":"<id>","createdAt":"<date>"} /classes/New/<id>`},
			{line: "POST _Product", body: `{}`, want: `111 productIdentifier is required.`},
		})
	}, closed)
}

func TestRequiredAndDefaults(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		b.define("Od", `{"fields":{"a":{"type":"Number","required":true},"b":{"type":"String","defaultValue":"dd"},"c":{"type":"Number","required":true,"defaultValue":7}},
			"classLevelPermissions":{"find":{"*":true},"get":{"*":true},"count":{"*":true},"create":{"*":true},"update":{"*":true},"delete":{},"addField":{},"ACL":{"*":{"read":true},"currentUser":{"read":true,"write":true}}}}`)
		b.play([]exchange{
			{line: "POST Od", body: `{}`, want: `142 a is required`},
			{line: "POST Od", body: `{"a":null}`, want: `142 a is required`},
			{line: "POST Od", body: `{"a":""}`, want: `111 schema mismatch for Od.a; expected Number but got String`},
			{line: "POST Od", body: `{"a":1}`, want: `201 {"objectId":"<id>","createdAt":"<date>","ACL":{"*":{"read":true}},"b":"dd","c":7} /classes/Od/<id>`},
			{caller: alice, line: "POST Od", body: `{"a":1,"c":{"__op":"Delete"}}`, as: "o", want: `201 {"objectId":"<id>","createdAt":"<date>","ACL":{"*":{"read":true},"alice":{"read":true,"write":true}},"b":"dd","c":7} /classes/Od/<id>`},
			{caller: alice, line: "PUT Od/$o$", body: `{"a":{"__op":"Delete"}}`, want: `142 a is required`},
			{caller: alice, line: "PUT Od/$o$", body: `{"c":null}`, want: `142 c is required`},
			{caller: alice, line: "PUT Od/$o$", body: `{"newf":1}`, want: `119 Permission denied`},
			{caller: alice, line: "PUT Od/$o$", body: `{"newf":null}`, want: `119 Permission denied`},
			{caller: alice, line: "PUT Od/$o$", body: `{"newf":{"__op":"Delete"}}`, want: `200 {"updatedAt":"<date>"}`},
			{caller: alice, line: "DELETE Od/$o$", want: `119 Permission denied`},
			{line: "GET Od/$o$", want: `200 {"objectId":"<o>","createdAt":"<date>","updatedAt":"<date>","a":1,"b":"dd","c":7,"ACL":{"*":{"read":true},"alice":{"read":true,"write":true}}}`},
		})
	})
}

func TestProtectedFieldsInAnswersToWrites(t *testing.T) {
	onEach(t, func(t *testing.T, b *bed) {
		b.define("P", `{"fields":{"a":{"type":"Number"},"b":{"type":"Number","defaultValue":4},"c":{"type":"Number"}},
			"classLevelPermissions":{"find":{"*":true},"get":{"*":true},"count":{"*":true},"create":{"*":true},"update":{"*":true},"delete":{"*":true},"addField":{"*":true},"protectedFields":{"*":["a","b"]}}}`)
		const all = `{"a":{"__op":"Increment","amount":1},"c":{"__op":"Increment","amount":1}}`
		b.play([]exchange{
			{line: "POST P", body: all, as: "p", want: `201 {"c":1,"objectId":"<id>","createdAt":"<date>"} /classes/P/<id>`},
			{line: "PUT P/$p$", body: all, want: `200 {"c":2,"updatedAt":"<date>"}`},
			{caller: master, line: "PUT P/$p$", body: all, want: `200 {"a":3,"c":3,"updatedAt":"<date>"}`},
		})
	}, func(c *Config) { c.ProtectSaveResponse = true })
}

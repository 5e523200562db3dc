package parse

import (
	"encoding/json"
	"testing"
)

func TestEncodingJSON(t *testing.T) {
	type document struct {
		Date     Date
		Bare     Date
		Pointer  Pointer
		Relation Relation
		GeoPoint GeoPoint
		Polygon  Polygon
		File     File
		Bytes    Bytes
		ACL      ACL
		Map      *Map
		Object   *Object
		Fields   *Object
		Null     *Pointer
		Zero     Pointer
	}
	in := `{"Date":{"__type":"Date","iso":"1970-01-01T00:00:00.005Z"},"Bare":"1970-01-01T00:00:00.006Z",` +
		`"Pointer":{"__type":"Pointer","className":"C","objectId":"x"},"Relation":{"__type":"Relation","className":"C"},` +
		`"GeoPoint":{"__type":"GeoPoint","latitude":1,"longitude":2},"Polygon":{"__type":"Polygon","coordinates":[[0,0],[0,1],[1,1],[0,0]]},` +
		`"File":{"__type":"File","name":"f","url":"u"},"Bytes":{"__type":"Bytes","base64":"aGk="},"ACL":{"*":{"read":true}},` +
		`"Map":{"b":1,"a":{"__op":"Delete"}},"Object":{"objectId":"x","createdAt":"1970-01-01T00:00:00.007Z","__type":"Object","className":"C"},` +
		`"Fields":{"objectId":"y","updatedAt":"1970-01-01T00:00:00.008Z"},"Null":null,"Zero":null}`
	var got document
	if err := json.Unmarshal([]byte(in), &got); err != nil {
		t.Fatal(err)
	}
	want := document{
		Date: 5, Bare: 6, Pointer: Pointer{"C", "x"}, Relation: Relation{"C"}, GeoPoint: GeoPoint{1, 2}, Polygon: Polygon{{0, 0}, {0, 1}, {1, 1}, {0, 0}},
		File: File{"f", "u"}, Bytes: Bytes("hi"), ACL: ACL{"*": {Read: true}}, Map: NewMap("b", 1.0, "a", Delete{}),
		Object: NewObject("C", "objectId", "x", "createdAt", Date(7)), Fields: NewObject("", "objectId", "y", "updatedAt", Date(8)),
	}
	gotText, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	wantText, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if string(gotText) != string(wantText) {
		t.Errorf("json.Unmarshal(%s) = %s, want %s", in, gotText, wantText)
	}
}

func TestEncodingJSONErrors(t *testing.T) {
	tests := []struct {
		dst  any
		in   string
		want string
	}{
		{new(Pointer), `{"__type":"Date","iso":"1970-01-01"}`, "parse: not a parse.Pointer"},
		{new(Pointer), `5`, "parse: not a parse.Pointer"},
		{new(Date), `"notadate"`, "parse: not a parse.Date"},
		{new(ACL), `{"*unresolved":{"read":true}}`, "123 Invalid ACL."},
		{new(Map), `[]`, "Expected an object in JSON at position 0"},
		{new(Object), `{"__type":"Pointer","className":"C","objectId":"x"}`, `parse: "Pointer" is not an Object`},
		{new(Object), `{"__type":"Object"}`, "parse: an Object without a className"},
	}
	for _, tt := range tests {
		if err := json.Unmarshal([]byte(tt.in), tt.dst); errorText(err) != tt.want {
			t.Errorf("json.Unmarshal(%s, %T) fails with %v, want %s", tt.in, tt.dst, err, tt.want)
		}
	}
}

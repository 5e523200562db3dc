package parse

import (
	"errors"
	"slices"
	"testing"
)

func TestACLFromMap(t *testing.T) {
	tests := []struct {
		in   string
		want ACL
		code Code
	}{
		{`{}`, ACL{}, 0},
		{`{"*":{"read":true},"abc":{"read":true,"write":true},"role:A":{"write":true}}`, ACL{"*": {Read: true}, "abc": {true, true}, "role:A": {Write: true}}, 0},
		{`{"*":{"read":false},"a":{"read":true,"write":false},"b":{},"c":{"read":null}}`, ACL{"a": {Read: true}}, 0},
		{`{"*unresolved":{"read":true}}`, nil, InvalidACL}, {`{"*unresolved":null}`, ACL{}, 0},
		{`{"a":true}`, nil, InvalidJSON}, {`{"a":null}`, nil, InvalidJSON}, {`{"a":["read"]}`, nil, InvalidJSON},
		{`{"a":{"read":"false"}}`, nil, InvalidJSON}, {`{"a":{"read":1}}`, nil, InvalidJSON}, {`{"a":{"delete":true}}`, nil, InvalidJSON},
	}
	for _, tt := range tests {
		m, err := DecodeMap([]byte(tt.in), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := ACLFromMap(m)
		if !got.Equal(tt.want) || (got == nil) != (tt.want == nil) || (err != nil) != (tt.code != 0) || tt.code != 0 && !errors.Is(err, tt.code) {
			t.Errorf("ACLFromMap(%s) = %v, %v, want %v, code %d", tt.in, got, err, tt.want, tt.code)
		}
	}
}

func TestACLRights(t *testing.T) {
	a := ACL{"role:A": {Write: true}, "*": {Read: true}, "u": {true, true}}
	readers, writers := a.Readers(), a.Writers()
	if want := []string{"*", "u"}; !slices.Equal(readers, want) {
		t.Errorf("Readers(%v) = %v, want %v", a, readers, want)
	}
	if want := []string{"role:A", "u"}; !slices.Equal(writers, want) {
		t.Errorf("Writers(%v) = %v, want %v", a, writers, want)
	}
	if got := ACLOf(readers, writers); !got.Equal(a) {
		t.Errorf("ACLOf(%v, %v) = %v, want %v", readers, writers, got, a)
	}
	if got := (ACL{}).Readers(); got == nil || len(got) != 0 {
		t.Errorf("Readers of an empty ACL = %#v, want an empty list", got)
	}
}

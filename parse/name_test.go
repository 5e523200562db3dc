package parse

import (
	"regexp"
	"testing"
)

func TestFieldName(t *testing.T) {
	tests := []struct {
		name, class string
		want        bool
	}{
		{"a", "C", true}, {"A1_b", "C", true}, {"objectId", "C", true}, {"", "C", false}, {"1bad", "C", false}, {"_x", "C", false}, {"a-b", "C", false}, {"a.b", "C", false},
		{"a b", "C", false}, {"é", "C", false}, {"length", "C", false}, {"className", "C", false}, {"className", "_Hooks", true}, {"length", "_Hooks", false}, {"a\n", "C", false},
	}
	for _, tt := range tests {
		if got := FieldName(tt.name, tt.class); got != tt.want {
			t.Errorf("FieldName(%q, %s) = %v, want %v", tt.name, tt.class, got, tt.want)
		}
	}
}

func TestClassName(t *testing.T) {
	tests := []struct {
		name string
		want bool
	}{
		{"C", true}, {"c9_", true}, {"", false}, {"1Bad", false}, {"_User", false}, {"_Join:a:B", false}, {"length", false}, {"className", false}, {"A B", false},
	}
	for _, tt := range tests {
		if got := ClassName(tt.name); got != tt.want {
			t.Errorf("ClassName(%q) = %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestReservedField(t *testing.T) {
	for name, want := range map[string]bool{"objectId": true, "createdAt": true, "updatedAt": true, "ACL": true, "acl": false, "name": false} {
		if got := ReservedField(name); got != want {
			t.Errorf("ReservedField(%s) = %v, want %v", name, got, want)
		}
	}
}

func TestObjectID(t *testing.T) {
	for id, want := range map[string]bool{"w444KuxpLc": true, "1": true, "": false, "a b": false, "role:x": false, "é": false} {
		if got := ObjectID(id); got != want {
			t.Errorf("ObjectID(%q) = %v, want %v", id, got, want)
		}
	}
}

func TestJoinClass(t *testing.T) {
	tests := []struct {
		name, field, class string
		ok                 bool
	}{
		{"_Join:users:_Role", "users", "_Role", true}, {"_Join:rel:C", "rel", "C", true}, {"_Join:1:2", "1", "2", true},
		{"_Join:rel", "", "", false}, {"_Join:rel:", "", "", false}, {"_Join::C", "", "", false}, {"_Join:a:b:c", "", "", false}, {"Join:a:b", "", "", false}, {"_Join:a-b:C", "", "", false},
	}
	for _, tt := range tests {
		field, class, ok := SplitJoinClass(tt.name)
		if field != tt.field || class != tt.class || ok != tt.ok {
			t.Errorf("SplitJoinClass(%s) = %s, %s, %v, want %s, %s, %v", tt.name, field, class, ok, tt.field, tt.class, tt.ok)
		}
		if ok && JoinClass(field, class) != tt.name {
			t.Errorf("JoinClass(%s, %s) = %s, want %s", field, class, JoinClass(field, class), tt.name)
		}
	}
}

func TestNewID(t *testing.T) {
	counts := map[byte]int{}
	seen := map[string]bool{}
	for range 6200 {
		id := NewID(IDSize)
		if len(id) != IDSize || !ObjectID(id) || seen[id] {
			t.Fatalf("NewID(%d) = %q", IDSize, id)
		}
		seen[id] = true
		for i := range id {
			counts[id[i]]++
		}
	}
	// 1000 of each are expected, with a standard deviation of 31: nine of them are never seen. A modulo of the plain byte
	// would give its first eight characters 1210.
	for i := range alphanumerics {
		if n := counts[alphanumerics[i]]; n < 820 || n > 1180 {
			t.Errorf("of 62000 characters %d are %q, want about 1000", n, alphanumerics[i])
		}
	}
	for _, size := range []int{0, 1, 25, 100} {
		if got := NewID(size); len(got) != size {
			t.Errorf("NewID(%d) = %q", size, got)
		}
	}
}

func TestNewSessionToken(t *testing.T) {
	form := regexp.MustCompile(`^r:[0-9a-f]{32}$`)
	a, b := NewSessionToken(), NewSessionToken()
	if !form.MatchString(a) || a == b {
		t.Errorf("NewSessionToken() = %q and %q", a, b)
	}
}

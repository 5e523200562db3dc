package credential_test

import (
	"testing"

	"github.com/parley-backend/parley/credential"
)

// Equal readings have equal digests, others others; and no two sources agree, so that a digest that got out says nothing.
func TestDigester(t *testing.T) {
	version := func(value string, fields ...string) *credential.Version {
		v := &credential.Version{ID: "any", Value: credential.NewSecret(value), Fields: map[string]credential.Secret{}}
		for i := 0; i < len(fields); i += 2 {
			v.Fields[fields[i]] = credential.NewSecret(fields[i+1])
		}
		return v
	}
	var d, other credential.Digester
	seen := map[[32]byte]int{}
	for i, v := range []*credential.Version{
		version(""), version("a"), version("ab"), version("a", "b", ""), version("", "a", "b"), version("", "ab", ""), version("", "a", "", "b", ""), version("", "b", "a"),
	} {
		sum := d.Version(v)
		if before, known := seen[sum]; known {
			t.Errorf("versions %d and %d have one digest", before, i)
		}
		seen[sum] = i
		if d.Version(v) != sum {
			t.Errorf("version %d has two digests", i)
		}
		if other.Version(v) == sum {
			t.Errorf("version %d has one digest in two sources", i)
		}
	}
	content := []byte("content")
	sum := d.Bytes(content)
	if d.Bytes([]byte("content")) != sum || d.Bytes([]byte("content\n")) == sum || other.Bytes(content) == sum || string(content) != "content" {
		t.Error("the digest of bytes does not tell them apart, or changes them")
	}
}

package parse

import (
	"encoding/json"
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestAppendNumber(t *testing.T) {
	// What JSON.stringify of Node.js 20 writes.
	tests := []struct {
		in   float64
		want string
	}{
		{0, "0"}, {math.Copysign(0, -1), "0"}, {1, "1"}, {-1, "-1"}, {1.5, "1.5"}, {0.1, "0.1"}, {-0.1, "-0.1"},
		{1e20, "100000000000000000000"}, {1e21, "1e+21"}, {1.5e21, "1.5e+21"}, {123456789012345680000, "123456789012345680000"},
		{1e-6, "0.000001"}, {1e-7, "1e-7"}, {1.5e-7, "1.5e-7"}, {1e-10, "1e-10"}, {-1e-7, "-1e-7"}, {1e100, "1e+100"},
		{5e-324, "5e-324"}, {math.MaxFloat64, "1.7976931348623157e+308"},
		{9007199254740991, "9007199254740991"}, {9007199254740992, "9007199254740992"}, {9007199254740994, "9007199254740994"},
		{0.30000000000000004, "0.30000000000000004"}, {100, "100"}, {4.35, "4.35"}, {1e300 * 10, "1e+301"},
		{math.NaN(), "null"}, {math.Inf(1), "null"}, {math.Inf(-1), "null"},
	}
	for _, tt := range tests {
		if got := string(AppendNumber([]byte("x"), tt.in)); got != "x"+tt.want {
			t.Errorf("AppendNumber(%g) = %s, want x%s", tt.in, got, tt.want)
		}
	}
}

// encoding/json promises the ECMAScript format too, and is the reference for all finite numbers but -0.
func TestAppendNumberLikeEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.OneOf(rapid.Float64(), rapid.Custom(func(t *rapid.T) float64 {
			return math.Float64frombits(rapid.Uint64().Draw(t, "bits"))
		})).Draw(t, "f")
		if !Finite(f) || f == 0 {
			return
		}
		want, _ := json.Marshal(f)
		if got := string(AppendNumber(nil, f)); got != string(want) {
			t.Fatalf("AppendNumber(%g) = %s, want %s", f, got, want)
		}
	})
}

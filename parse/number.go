package parse

import (
	"math"
	"strconv"
)

// AppendNumber appends a Number as JSON.stringify writes it: the digits of ECMAScript Number::toString
// (ECMA-262, 6.1.6.1.20), -0 as 0, and null for what JSON has no word for (NaN and the infinities).
func AppendNumber(dst []byte, f float64) []byte {
	if i := int64(f); float64(i) == f && -1<<53 <= i && i <= 1<<53 {
		return strconv.AppendInt(dst, i, 10)
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	if abs := math.Abs(f); abs >= 1e-6 && abs < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	// Go pads an exponent to two digits, JavaScript does not: 1e-07 -> 1e-7.
	if n := len(dst); dst[n-4] == 'e' && dst[n-2] == '0' {
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}

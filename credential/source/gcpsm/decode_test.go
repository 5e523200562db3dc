package gcpsm

import (
	"encoding/json"
	"testing"
	"unicode/utf8"
)

// A string of JSON is what encoding/json says it is, however it is written.
func FuzzRawString(f *testing.F) {
	for _, text := range []string{`"YWJj"`, `"YQ\u003d\u003d"`, `"a\/b"`, `""`, `"\""`, `null`, `1`, `"`, `{}`, `"\ud800"`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var want string
		var got rawString
		wantErr, err := json.Unmarshal(text, &want), json.Unmarshal(text, &got)
		if wantErr == nil && want == "" || !utf8.Valid(text) {
			return // null, which is no payload, or what encoding/json mends
		}
		if wantErr == nil && (err != nil || string(got) != want) {
			t.Errorf("%s = %q %v, want %q", text, got, err, want)
		}
		if wantErr != nil && err == nil {
			t.Errorf("%s = %q, want the error %v", text, got, wantErr)
		}
	})
}

func FuzzNumber(f *testing.F) {
	for _, name := range []string{"projects/1/secrets/a/versions/7", "versions/7", "/versions/0", "/versions/", "/versions/99999999999999999999", "/versions/7/versions/8"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if number, ok := new(source).number(name); ok && number == 0 {
			t.Errorf("number(%q) = 0, want a version", name)
		}
	})
}

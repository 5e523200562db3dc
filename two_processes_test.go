package parley_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-backend/parley"
	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/storage/sqlite"
)

// TestTwoServersOnOneFile is what a deployment does that starts the new server before it stops the old one.
func TestTwoServersOnOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shared.db")
	start := func() *parley.Server {
		db, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		s, err := parley.New(t.Context(), parley.Config{
			AppID: "app", MasterKey: credential.Literal("master-key-for-the-tests"), Store: db,
			AllowClientClassCreation: true, SchemaCacheTTL: 20 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			s.Close()
			if err := db.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
		return s
	}
	one, two := start(), start()
	do := func(s *parley.Server, method, path, body string) string {
		r := httptest.NewRequest(method, "/parse"+path, strings.NewReader(body))
		r.Header.Set("X-Parse-Application-Id", "app")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		text, _ := io.ReadAll(w.Result().Body)
		return string(text)
	}
	eventually := func(s *parley.Server, path, want string) {
		t.Helper()
		var got string
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			if got = do(s, http.MethodGet, path, ""); strings.Contains(got, want) {
				return
			}
		}
		t.Fatalf("GET %s = %s, want %s in it", path, got, want)
	}

	do(one, http.MethodPost, "/classes/Shared", `{"a":1}`)
	eventually(two, "/classes/Shared", `"a":1`)
	do(two, http.MethodPost, "/classes/Shared", `{"a":2,"added":"by two"}`)
	eventually(one, "/classes/Shared?where=%7B%22added%22%3A%22by+two%22%7D", `"added":"by two"`)
	// Both add a field before either has seen that of the other: neither is lost.
	do(one, http.MethodPost, "/classes/Shared", `{"left":1}`)
	do(two, http.MethodPost, "/classes/Shared", `{"right":1}`)
	for _, s := range []*parley.Server{one, two} {
		eventually(s, "/classes/Shared?where=%7B%22left%22%3A1%7D", `"left":1`)
		eventually(s, "/classes/Shared?where=%7B%22right%22%3A1%7D", `"right":1`)
	}
	// What the one made a number the other cannot make a text.
	do(one, http.MethodPost, "/classes/Shared", `{"typed":1}`)
	if got := do(two, http.MethodPost, "/classes/Shared", `{"typed":"one"}`); !strings.Contains(got, `"code":111`) {
		t.Errorf("a second type for a field = %s, want code 111", got)
	}
}

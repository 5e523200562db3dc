package parley_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-backend/parley"
	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/file"
	"github.com/parley-backend/parley/storage/memory"
)

// TestKeysOverHTTP walks over the routes of /keys with every kind of key.
func TestKeysOverHTTP(t *testing.T) {
	const master, readOnly, maintenance = "master-key-of-the-http-test-01", "read-only-key-of-the-http-test-02", "maintenance-key-of-the-http-test-03"
	path := filepath.Join(t.TempDir(), "master")
	if err := os.WriteFile(path, []byte(master), 0o600); err != nil {
		t.Fatal(err)
	}
	server, err := parley.New(t.Context(), parley.Config{
		AppID: "app", Store: memory.New(), MasterKey: file.New(path, 0),
		ReadOnlyMasterKey: credential.Literal(readOnly), MaintenanceKey: credential.Literal(maintenance),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	h := httptest.NewServer(server)
	defer h.Close()
	call := func(method, path, key, body string) (int, http.Header, string) {
		r, err := http.NewRequest(method, h.URL+"/parse"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Parse-Application-Id", "app")
		header := "X-Parse-Master-Key"
		if key == maintenance {
			header = "X-Parse-Maintenance-Key"
		}
		if key != "" {
			r.Header.Set(header, key)
		}
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		text, err := io.ReadAll(a.Body)
		if err != nil {
			t.Fatal(err)
		}
		return a.StatusCode, a.Header, string(text)
	}
	old := server.Credentials().Get("masterKey").Verify(master).VersionID
	for _, test := range []struct {
		method, path, key, body string
		status                  int
		want                    string // the answer, or what it begins with
	}{
		{"GET", "/keys", "", "", 403, `{"error":"Permission denied"}`},
		{"GET", "/keys", "wrong", "", 403, `{"error":"Permission denied"}`},
		{"GET", "/keys", maintenance, "", 403, `{"error":"Permission denied"}`},
		{"GET", "/keys", master, "", 200, `{"results":[{"name":"masterKey"`},
		{"GET", "/keys", readOnly, "", 200, `{"results":[{"name":"masterKey"`},
		{"POST", "/keys/masterKey/refresh", "", "", 403, `{"error":"Permission denied"}`},
		{"POST", "/keys/masterKey/refresh", maintenance, "", 403, `{"error":"Permission denied"}`},
		{"POST", "/keys/masterKey/refresh", readOnly, "", 400, `{"code":119,"error":"Permission denied"}`},
		{"POST", "/keys/masterKey/revoke", readOnly, `{"version":"` + old + `"}`, 400, `{"code":119,"error":"Permission denied"}`},
		{"POST", "/keys/masterKey/rotate", readOnly, `{"show":true}`, 400, `{"code":119,"error":"Permission denied"}`},
		{"POST", "/keys/masterKey/refresh", master, "", 200, `{"name":"masterKey"`},
		{"POST", "/keys/none/refresh", master, "", 404, `{"code":101,"error":"no such key is configured"}`},
		{"POST", "/keys/readOnlyMasterKey/rotate", master, "", 400, `{"code":119,"error":"readOnlyMasterKey: credential: its source cannot be written: replace the value where it is kept"}`},
		{"POST", "/keys/masterKey/rotate", master, "", 200, `{"name":"masterKey","version":"fp-`},
		{"POST", "/keys/masterKey/rotate", master, "", 409, `{"error":"masterKey: a replaced version is still accepted; wait for its deadline, or set force"}`},
		{"POST", "/keys/masterKey/revoke", master, `{"version":"` + old + `"}`, 200, `{"name":"masterKey"`},
		{"GET", "/keys", master, "", 403, `{"error":"Permission denied"}`}, // it was this one
		{"DELETE", "/keys/masterKey", readOnly, "", 404, `<!DOCTYPE html>`},
	} {
		status, header, text := call(test.method, test.path, test.key, test.body)
		if status != test.status || !strings.HasPrefix(text, test.want) {
			t.Errorf("%s %s with %.9q = %d %s, want %d %s", test.method, test.path, test.key, status, text, test.status, test.want)
		}
		if status == 200 && header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: Cache-Control = %q, want no-store", test.method, test.path, header.Get("Cache-Control"))
		}
		if strings.Contains(text, readOnly) || strings.Contains(text, master) || strings.Contains(text, maintenance) {
			t.Errorf("%s %s: the answer holds a key", test.method, test.path)
		}
	}
	now, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	status, _, text := call("POST", "/keys/masterKey/rotate", string(now), `{"show":true,"force":true}`)
	var shown struct{ Value string }
	if err := json.Unmarshal([]byte(text), &shown); err != nil || status != 200 {
		t.Fatalf("rotate = %d %s, want 200", status, text)
	}
	if status, _, text := call("GET", "/keys", shown.Value, ""); status != 200 {
		t.Errorf("with the value that was shown = %d %s, want 200", status, text)
	}
}

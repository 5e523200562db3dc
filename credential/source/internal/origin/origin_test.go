package origin

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/parley-backend/parley/credential"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Plain HTTP stays on the loopback interface also where a name leads elsewhere, unless
// the configuration names that name.
func TestPlainHTTPIsCheckedWhenDialing(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	for _, test := range []struct {
		host      string
		allowHTTP string
		want      error
	}{
		{host, "", nil},
		{host, "127.0.0.1", nil},
		{"192.0.2.1:80", "", errNotLoopback}, // what localhost could lead to in a hosts file
		{"[2001:db8::1]:80", "", errNotLoopback},
	} {
		o, err := New(Config{Scheme: "http", Host: "localhost", Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		o.allowed = test.allowHTTP != ""
		transport := o.transport(nil)
		conn, err := transport.DialContext(t.Context(), "tcp", test.host)
		if !errors.Is(err, test.want) {
			t.Errorf("dialing %s, allow_http=%s: %v, want %v", test.host, test.allowHTTP, err, test.want)
		}
		if err == nil {
			_ = conn.Close()
		}
	}
}

func TestAllowed(t *testing.T) {
	for _, test := range []struct {
		host, allowHTTP string
		allowed         bool
		want            error
	}{
		{"localhost:80", "", false, nil},
		{"127.0.0.1", "store", false, nil},
		{"store:80", "store", true, nil},
		{"[2001:db8::1]:80", "2001:db8::1", true, nil},
		{"store:80", "", false, credential.Misconfigured},
		{"store.example:80", "store", false, credential.Misconfigured},
	} {
		o, err := New(Config{Scheme: "http", Host: test.host, AllowHTTP: test.allowHTTP})
		if !errors.Is(err, test.want) || err == nil && o.allowed != test.allowed {
			t.Errorf("New(%s, allow_http=%s) = %v, %v; want %v, %v", test.host, test.allowHTTP, o, err, test.allowed, test.want)
		}
	}
}

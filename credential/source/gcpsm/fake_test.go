package gcpsm_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fake answers as the service does: versions with numbers, states and times, tokens with
// an end, the statuses and the words of its refusals. It is the token endpoint, too.
type fake struct {
	addr string

	mu       sync.Mutex
	secrets  map[string][]entry // by projects/P/secrets/S
	hidden   map[string]int     // how many of the newest versions lists and "latest" lack yet
	noList   bool               // the account may read values only
	noAccess bool
	status   int // answers everything but logins, if not 0
	body     string
	header   map[string]string
	spoil    bool // the payload on the way
	gone     bool // the service

	tokens      map[string]time.Time
	ttl         time.Duration
	logins      int
	loginStatus int
	requests    []string
	between     func() // runs once before the next version is added
	active      int
	highest     int
}

type entry struct {
	value   []byte
	state   string
	created time.Time
}

const secretName = "projects/my-project/secrets/parley"

func startFake(t testing.TB) *fake {
	t.Helper()
	f := &fake{secrets: map[string][]entry{}, hidden: map[string]int{}, tokens: map[string]time.Time{}, ttl: time.Hour}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.addr = server.URL
	return f
}

// with runs change under the lock.
func (f *fake) with(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// add adds a version, made the given time ago.
func (f *fake) add(value string, ago time.Duration) {
	f.with(func() {
		f.secrets[secretName] = append(f.secrets[secretName], entry{[]byte(value), "ENABLED", time.Now().Add(-ago).UTC()})
	})
}

func (f *fake) state(number int, state string) {
	f.with(func() { f.secrets[secretName][number-1].state = state })
}

// asked counts the requests whose path ends so.
func (f *fake) asked(suffix string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, path := range f.requests {
		if strings.HasSuffix(path, suffix) {
			n++
		}
	}
	return n
}

// account is the file of a service account whose tokens come from the fake.
func (f *fake) account(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "account.json")
	if err := os.WriteFile(path, accountFile(f.addr+"/token"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

var accountKey = sync.OnceValue(func() string {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
})

func accountFile(tokenURI string) []byte {
	text, _ := json.Marshal(map[string]string{"type": "service_account", "project_id": "my-project", "private_key_id": "1",
		"private_key": accountKey(), "client_email": "parley@my-project.iam.gserviceaccount.com", "token_uri": tokenURI})
	return text
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.active++
	f.highest = max(f.highest, f.active)
	f.mu.Unlock()
	time.Sleep(time.Millisecond) // so that requests meet
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active--
	f.requests = append(f.requests, r.URL.Path)
	body, _ := io.ReadAll(r.Body)
	switch {
	case f.gone:
		panic(http.ErrAbortHandler)
	case r.URL.Path == "/token" || strings.HasPrefix(r.URL.Path, "/computeMetadata/v1/instance/service-accounts/"):
		f.login(w)
		return
	case strings.HasPrefix(r.URL.Path, "/computeMetadata/"):
		fmt.Fprint(w, "my-project")
		return
	}
	bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	for name, value := range f.header {
		w.Header().Set(name, value)
	}
	ends, known := f.tokens[bearer]
	switch {
	case f.status != 0:
		w.WriteHeader(f.status)
		fmt.Fprint(w, f.body)
	case !known || time.Now().After(ends):
		refuse(w, 401, "UNAUTHENTICATED", "Request had invalid authentication credentials: "+bearer)
	default:
		f.serve(w, r.Method, strings.TrimPrefix(r.URL.Path, "/v1/"), r.URL.Query().Get("pageSize"), body)
	}
}

func (f *fake) login(w http.ResponseWriter) {
	if f.loginStatus != 0 {
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(f.loginStatus)
		fmt.Fprint(w, `{"error":"invalid_grant","error_description":"canary-login"}`)
		return
	}
	f.logins++
	token := fmt.Sprintf("ya29.canary-token-%d", f.logins)
	f.tokens[token] = time.Now().Add(f.ttl)
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":%d}`, token, int(f.ttl.Seconds()))
}

func refuse(w http.ResponseWriter, status int, name, message string) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	text, _ := json.Marshal(map[string]any{"error": map[string]any{"code": status, "message": message, "status": name}})
	_, _ = w.Write(text)
}

func (f *fake) serve(w http.ResponseWriter, method, path, pageSize string, body []byte) {
	name, rest, _ := strings.Cut(path, "/versions")
	name, adding := strings.CutSuffix(name, ":addVersion")
	versions, exists := f.secrets[name]
	visible := versions[:max(0, len(versions)-f.hidden[name])]
	number, access := strings.CutSuffix(strings.TrimPrefix(rest, "/"), ":access")
	at, _ := strconv.Atoi(number)
	if number == "latest" {
		at = len(visible)
	}
	switch {
	case (!access && !adding && f.noList) || (access && f.noAccess):
		refuse(w, 403, "PERMISSION_DENIED", "Permission denied for resource "+name+" (or it may not exist).")
	case !exists:
		refuse(w, 404, "NOT_FOUND", "Secret ["+name+"] not found or has no versions.")
	case adding && method == http.MethodPost:
		f.adds(w, name, body)
	case rest == "":
		size, _ := strconv.Atoi(pageSize)
		var page []map[string]any
		for i := len(visible); i > 0 && len(page) < size; i-- {
			page = append(page, describe(name, i, visible[i-1]))
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"versions": page, "totalSize": len(visible)})
	case at < 1 || at > len(versions):
		refuse(w, 404, "NOT_FOUND", "Secret Version ["+path+"] not found.")
	case !access:
		_ = json.NewEncoder(w).Encode(describe(name, at, versions[at-1]))
	case versions[at-1].state != "ENABLED":
		refuse(w, 400, "FAILED_PRECONDITION", fmt.Sprintf("Secret Version [%s/versions/%d] is in %s state.", name, at, versions[at-1].state))
	default:
		value := versions[at-1].value
		sum := crc32.Checksum(value, crc32.MakeTable(crc32.Castagnoli))
		if f.spoil {
			value = append([]byte("x"), value[1:]...)
		}
		fmt.Fprintf(w, `{"name":"projects/123456/secrets/parley/versions/%d","payload":{"data":%q,"dataCrc32c":"%d"}}`, at, base64.StdEncoding.EncodeToString(value), sum)
	}
}

func describe(name string, number int, e entry) map[string]any {
	return map[string]any{"name": fmt.Sprintf("%s/versions/%d", name, number), "state": e.state, "createTime": e.created.Format(time.RFC3339Nano), "etag": `"1"`}
}

func (f *fake) adds(w http.ResponseWriter, name string, body []byte) {
	if between := f.between; between != nil {
		f.between = nil
		between()
	}
	var in struct {
		Payload struct {
			Data       []byte
			DataCrc32c string
		}
	}
	if json.Unmarshal(body, &in) != nil || in.Payload.DataCrc32c != fmt.Sprint(crc32.Checksum(in.Payload.Data, crc32.MakeTable(crc32.Castagnoli))) {
		refuse(w, 400, "INVALID_ARGUMENT", "the checksum is wrong")
		return
	}
	added := entry{in.Payload.Data, "ENABLED", time.Now().UTC()}
	f.secrets[name] = append(f.secrets[name], added)
	_ = json.NewEncoder(w).Encode(describe(name, len(f.secrets[name]), added))
}

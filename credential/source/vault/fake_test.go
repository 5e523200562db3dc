package vault_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fake answers as Vault does, in the words that Vault 1.21 was recorded with: the two
// versions of the key/value engine, tokens with an end, AppRole and Kubernetes logins, the
// seal. The tests talk to it as to a real one, which they also run on.
type fake struct {
	mu       sync.Mutex
	sealed   bool
	status   int                // answers everything, if not 0
	writes   int                // answers what is no GET, if not 0
	versions map[string][]entry // of the versioned engine, by path
	plain    map[string]map[string]any
	tokens   map[string]*grant
	ttl      time.Duration // of tokens that a login makes
	logins   int
	renewals int
	frozen   bool // no token lives longer than it does now
	lookups  int
	leases   int
	lease    int         // how long they are, in seconds
	asked    []string    // the leases that somebody wanted to prolong, and for how long
	prolongs int         // how long Vault prolongs a lease then, in seconds; or the status that it refuses with
	header   http.Header // of the latest request
	peer     string      // the name in the certificate that came with it
	active   int
	highest  int // requests at one time
}

type entry struct {
	data      map[string]any
	created   time.Time
	deleted   time.Time
	destroyed bool
}

type grant struct {
	ends      time.Time // zero for never
	ttl       time.Duration
	renewable bool
}

const (
	fakeRoleID   = "59d6d1ca-47bb-4e7e-a40b-8be3bc5a0ba8"
	fakeSecretID = "84896a0c-1347-aa90-a4f6-aca8b7558780"
	fakeJWT      = "eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl"
	fakeUnseal   = "fake-unseal-key"
)

func startFake(t *testing.T) (*fake, *bed) {
	t.Helper()
	f := newFake()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return f, &bed{addr: server.URL, unseal: fakeUnseal}
}

func newFake() *fake {
	return &fake{versions: map[string][]entry{}, plain: map[string]map[string]any{}, tokens: map[string]*grant{"root": {}}, ttl: time.Hour, lease: 60, prolongs: 60}
}

// with runs change under the lock.
func (f *fake) with(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
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
	f.header, f.peer = r.Header.Clone(), ""
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		f.peer = r.TLS.PeerCertificates[0].Subject.CommonName
	}
	var in map[string]any
	text, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(text, &in)
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	switch {
	case f.status != 0:
		answer(w, f.status, `{"errors":["an error of some kind: root"]}`)
	case f.writes != 0 && r.Method != http.MethodGet:
		answer(w, f.writes, `{"errors":["an error of some kind: root"]}`)
	case path == "sys/unseal":
		f.sealed = in["key"] != fakeUnseal
		answer(w, 200, `{"sealed":%v}`, f.sealed)
	case path == "sys/health":
		answer(w, map[bool]int{false: 200, true: 503}[f.sealed], `{}`)
	case f.sealed:
		answer(w, 503, `{"errors":["Vault is sealed"]}`)
	case strings.HasSuffix(path, "/login"):
		f.login(w, path, in)
	default:
		g, known := f.tokens[r.Header.Get("X-Vault-Token")]
		if !known || !g.ends.IsZero() && time.Now().After(g.ends) {
			answer(w, 403, `{"errors":["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]}`)
			return
		}
		f.serve(w, r, path, in, g)
	}
}

func (f *fake) login(w http.ResponseWriter, path string, in map[string]any) {
	switch {
	case path == "auth/approle/login" && in["role_id"] == fakeRoleID && in["secret_id"] == fakeSecretID:
	case path == "auth/approle/login":
		answer(w, 400, `{"errors":["invalid role or secret ID"]}`)
		return
	case path == "auth/cert/login" && f.peer == "parley" && (in["name"] == nil || in["name"] == "parley"):
	case path == "auth/cert/login":
		answer(w, 400, `{"errors":["invalid certificate or no client certificate supplied"]}`)
		return
	case path == "auth/kubernetes/login" && in["role"] == "parley" && in["jwt"] == fakeJWT:
	default:
		answer(w, 403, `{"errors":["permission denied"]}`)
		return
	}
	f.logins++
	token := fmt.Sprintf("hvs.canary-token-%d", f.logins)
	f.tokens[token] = &grant{ends: time.Now().Add(f.ttl), ttl: f.ttl, renewable: true}
	answer(w, 200, `{"request_id":"1","lease_id":"","renewable":false,"lease_duration":0,"data":null,"auth":{"client_token":%q,"accessor":"a","policies":["default"],"lease_duration":%d,"renewable":true}}`,
		token, int(f.ttl.Seconds()))
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request, path string, in map[string]any, g *grant) {
	kind, rest, _ := strings.Cut(path, "/")
	switch {
	case path == "auth/token/renew-self":
		f.renewals++
		if f.frozen {
			answer(w, 200, `{"auth":{"client_token":%q,"lease_duration":%d,"renewable":false}}`, r.Header.Get("X-Vault-Token"), int(time.Until(g.ends).Seconds()))
			return
		}
		g.ends = time.Now().Add(g.ttl)
		answer(w, 200, `{"auth":{"client_token":%q,"lease_duration":%d,"renewable":%v}}`, r.Header.Get("X-Vault-Token"), int(g.ttl.Seconds()), g.renewable)
	case path == "auth/token/lookup-self":
		f.lookups++
		left := 0
		if !g.ends.IsZero() {
			left = int(time.Until(g.ends).Seconds())
		}
		answer(w, 200, `{"data":{"id":"x","ttl":%d,"renewable":%v,"type":"service"}}`, left, g.renewable)
	case path == "auth/token/create":
		token := fmt.Sprintf("hvs.canary-given-%d", len(f.tokens))
		ttl, _ := time.ParseDuration(fmt.Sprint(in["ttl"]))
		f.tokens[token] = &grant{ends: time.Now().Add(ttl), ttl: ttl, renewable: true}
		answer(w, 200, `{"auth":{"client_token":%q,"lease_duration":%d,"renewable":true}}`, token, int(ttl.Seconds()))
	case path == "auth/token/revoke":
		delete(f.tokens, fmt.Sprint(in["token"]))
		w.WriteHeader(204)
	case strings.HasPrefix(path, "sys/internal/ui/mounts/secret/"):
		answer(w, 200, `{"data":{"accessor":"kv_1","options":{"version":"2"},"path":"secret/","type":"kv"}}`)
	case strings.HasPrefix(path, "sys/internal/ui/mounts/old/"):
		answer(w, 200, `{"data":{"accessor":"kv_2","options":{"version":"1"},"path":"old/","type":"kv"}}`)
	case strings.HasPrefix(path, "sys/internal/ui/mounts/database/"):
		answer(w, 200, `{"data":{"accessor":"database_1","options":null,"path":"database/","type":"database"}}`)
	case path == "database/creds/parley":
		f.leases++
		answer(w, 200, `{"request_id":"1","lease_id":"database/creds/parley/%d","renewable":true,"lease_duration":%d,"data":{"password":"canary-password-%d","username":"v-approle-parley-%d"},"mount_type":"database"}`,
			f.leases, f.lease, f.leases, f.leases)
	case path == "sys/leases/renew":
		f.renew(w, in)
	case strings.HasPrefix(path, "sys/internal/ui/mounts/"):
		answer(w, 403, `{"errors":["preflight capability check returned 403, please ensure client's policies grant access to path \"x/\""]}`)
	case path == "sys/seal":
		f.sealed = true
		w.WriteHeader(204)
	case kind == "old":
		f.servePlain(w, r, rest, in)
	case kind == "secret":
		verb, name, _ := strings.Cut(rest, "/")
		f.serveVersions(w, r, verb, name, in)
	case strings.HasPrefix(path, "sys/leases/revoke-prefix/"):
		clear(f.tokens)
		f.tokens["root"] = &grant{}
		w.WriteHeader(204)
	case kind == "sys":
		w.WriteHeader(204)
	case path == "auth/approle/role/parley":
		f.ttl, _ = time.ParseDuration(fmt.Sprint(in["token_ttl"]))
		w.WriteHeader(204)
	case path == "auth/approle/role/parley/role-id":
		answer(w, 200, `{"data":{"role_id":%q}}`, fakeRoleID)
	case path == "auth/approle/role/parley/secret-id":
		answer(w, 200, `{"data":{"secret_id":%q}}`, fakeSecretID)
	default:
		answer(w, 404, `{"errors":["no handler for route %q. route entry not found."]}`, path)
	}
}

func (f *fake) renew(w http.ResponseWriter, in map[string]any) {
	f.asked = append(f.asked, fmt.Sprintf("%v %v", in["lease_id"], in["increment"]))
	switch f.prolongs {
	case 400:
		answer(w, 400, `{"errors":["failed to renew entry: resp: (*logical.Response)(nil) err: past the max TTL, cannot renew"]}`)
	case 403:
		answer(w, 403, `{"errors":["1 error occurred:\n\t* permission denied\n\n"]}`)
	case 503:
		answer(w, 503, `{"errors":["Vault is sealed"]}`)
	default:
		answer(w, 200, `{"request_id":"1","lease_id":%q,"renewable":true,"lease_duration":%d,"data":null,"mount_type":"system"}`, in["lease_id"], f.prolongs)
	}
}

func (f *fake) servePlain(w http.ResponseWriter, r *http.Request, name string, in map[string]any) {
	switch data, known := f.plain[name]; {
	case r.Method == http.MethodPost:
		f.plain[name] = in
		w.WriteHeader(204)
	case r.Method == http.MethodDelete:
		delete(f.plain, name)
		w.WriteHeader(204)
	case !known:
		answer(w, 404, `{"errors":[]}`)
	default:
		text, _ := json.Marshal(data)
		answer(w, 200, `{"request_id":"1","lease_id":"","renewable":false,"lease_duration":2764800,"data":%s,"wrap_info":null,"warnings":null,"auth":null,"mount_type":"kv"}`, text)
	}
}

func (f *fake) serveVersions(w http.ResponseWriter, r *http.Request, verb, name string, in map[string]any) {
	all := f.versions[name]
	numbers := func() (n []int) {
		list, _ := in["versions"].([]any)
		for _, v := range list {
			n = append(n, int(v.(float64))-1)
		}
		return n
	}
	switch {
	case verb == "data" && r.Method == http.MethodPost:
		data, _ := in["data"].(map[string]any)
		options, _ := in["options"].(map[string]any)
		if cas, given := options["cas"].(float64); given && int(cas) != len(all) {
			answer(w, 400, `{"errors":["check-and-set parameter did not match the current version"]}`)
			return
		}
		f.versions[name] = append(all, entry{data: data, created: time.Now().UTC()})
		answer(w, 200, `{"data":{"version":%d}}`, len(all)+1)
	case verb == "data" && r.Method == http.MethodDelete:
		all[len(all)-1].deleted = time.Now().UTC()
		w.WriteHeader(204)
	case verb == "metadata" && r.Method == http.MethodDelete:
		delete(f.versions, name)
		w.WriteHeader(204)
	case verb == "delete" || verb == "undelete" || verb == "destroy":
		for _, i := range numbers() {
			switch verb {
			case "delete":
				all[i].deleted = time.Now().UTC()
			case "undelete":
				all[i].deleted = time.Time{}
			default:
				all[i].destroyed, all[i].data = true, nil
			}
		}
		w.WriteHeader(204)
	case verb == "data":
		number := len(all)
		if text := r.URL.Query().Get("version"); text != "" {
			number, _ = strconv.Atoi(text)
		}
		if number < 1 || number > len(all) {
			answer(w, 404, `{"errors":[]}`)
			return
		}
		f.serveVersion(w, number, all[number-1])
	}
}

func (f *fake) serveVersion(w http.ResponseWriter, number int, e entry) {
	deletion := ""
	if !e.deleted.IsZero() {
		deletion = e.deleted.Format(time.RFC3339Nano)
	}
	status, data := 200, []byte("null")
	if e.destroyed || deletion != "" {
		status = 404
	} else {
		data, _ = json.Marshal(e.data)
	}
	answer(w, status, `{"request_id":"1","lease_id":"","renewable":false,"lease_duration":0,"data":{"data":%s,"metadata":{"created_time":%q,"custom_metadata":null,"deletion_time":%q,"destroyed":%v,"version":%d}},"wrap_info":null,"warnings":null,"auth":null,"mount_type":"kv"}`,
		data, e.created.Format(time.RFC3339Nano), deletion, e.destroyed, number)
}

func answer(w http.ResponseWriter, status int, format string, args ...any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, format+"\n", args...)
}

package rest

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/internal/object"
	"github.com/parley-backend/parley/parse"
)

// exchange is one HTTP request on its way to an answer.
type exchange struct {
	server *Server
	w      http.ResponseWriter
	r      *http.Request
	id     string // of this request, in logs and in X-Request-Id
	route  string // pattern, once it is known
	method string // after _method
	status int    // of the answer, once it is begun
	// reserved are the bytes of its body that count among those in memory.
	reserved int64
	// ip and uses are for the audit; unknown without one.
	ip   netip.Addr
	uses auth.Uses
}

// request is what a handler works on: an HTTP request, or an item of a batch.
type request struct {
	method string
	path   string // below the mount path
	params params
	query  url.Values
	// rawQuery is the query string that query was read from.
	rawQuery string
	body     *parse.Map // never nil; without the members that the protocol itself uses
	caller   *auth.Caller
	// objects is bound to the transaction of the batch that the request is part of.
	objects *object.Objects
	// id is X-Parse-Request-Id; logID stands in the log and in X-Request-Id.
	id, logID string
	http      *http.Request
}

// credentials are what a request presents, from its headers or, for clients that cannot set any, from its body.
type credentials struct {
	presented      auth.Presented
	sessionToken   string
	installationID string
	context        *parse.Map
}

// serve answers one request below the mount path.
func (x *exchange) serve(path string) {
	answer, err := x.answer(path)
	switch {
	case errors.Is(err, errNoRoute):
		x.noRoute(x.method, x.server.cfg.MountPath+path)
	case err != nil:
		x.fail(err)
	default:
		x.send(answer)
	}
}

var errNoRoute = errors.New("no route")

// answer runs the pipeline of contract parse-api.md, 1.1, from the early detection of keys on: who asks, from the headers and,
// for clients that cannot set any, from the body; then what is asked.
func (x *exchange) answer(path string) (*reply, error) {
	ctx, s := x.r.Context(), x.server
	ip := s.cfg.Proxies.ClientIP(x.r)
	x.method = x.r.Method
	c, appID, err := x.headers()
	if err != nil {
		return nil, err
	}
	if s.cfg.Audit != nil {
		x.ip, c.presented.Uses = ip, &x.uses
	}
	// A right key from a wrong address is refused wherever it appears, even where no key is needed.
	rights, err := s.cfg.Keys.Privileged(ctx, c.presented, ip)
	if err != nil {
		return nil, err
	}
	rt, p := s.routes.find(x.method, path)
	if rt != nil && rt.needs == nothing {
		x.route = rt.pattern
		return s.call(ctx, rt, &request{method: x.method, path: path, http: x.r, body: &parse.Map{}})
	}
	body, err := x.decode(path, appID)
	if err != nil {
		return nil, err
	}
	if appID != s.cfg.AppID {
		if c, rights, err = x.identify(ctx, body, c, rights, ip); err != nil {
			return nil, err
		}
	}
	if state := s.cfg.State(); state != OK {
		return nil, parse.Errorf(parse.InternalServerError, "Invalid server state: %s", state)
	}
	if rights == auth.NoRights {
		if err := s.cfg.Keys.Client(ctx, c.presented); err != nil {
			return nil, err
		}
	}
	caller := c.caller(rights, ip)
	if s.cfg.Objects.HasCloud() {
		caller.Headers = harmless(x.r.Header)
	}
	if path == "/login" {
		caller.SessionToken = "" // who logs in is not who was logged in
	}
	if !caller.Privileged() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.cfg.ClientTimeout)
		defer cancel()
	}
	if x.method != x.r.Method {
		rt, p = s.routes.find(x.method, path)
	}
	return x.dispatch(ctx, rt, p, path, body, caller)
}

// decode reads the body, and takes the members out of it that change the method.
func (x *exchange) decode(path, appID string) (*parse.Map, error) {
	body := &parse.Map{}
	// The body of a file is its bytes, whatever they look like; but who names the application in the body sends JSON.
	if !isFile(path) || appID != x.server.cfg.AppID {
		var err error
		if body, err = x.body(); err != nil {
			return nil, err
		}
	}
	if x.r.Method == http.MethodPost {
		if m := body.String("_method"); m != "" {
			x.method = strings.ToUpper(m)
		}
		body.Delete("_method")
	}
	body.Delete("_noBody")
	return body, nil
}

// identify reads the credentials in the body and judges the keys among them. rights are those of the headers.
func (x *exchange) identify(ctx context.Context, body *parse.Map, headers credentials, rights auth.Rights, ip netip.Addr) (credentials, auth.Rights, error) {
	c, err := x.fromBody(body, headers)
	switch {
	case err != nil:
		return c, rights, err
	case headers.presented.Master != "" && rights != auth.MasterRights && rights != auth.ReadOnlyRights:
		// A master key in the header must be right even when the body brings its own.
		return c, rights, auth.Unauthorized()
	case c.presented.Master == headers.presented.Master && c.presented.Maintenance == headers.presented.Maintenance:
		return c, rights, nil
	}
	c.presented.Uses.Forget()
	rights, err = x.server.cfg.Keys.Privileged(ctx, c.presented, ip)
	return c, rights, err
}

// caller is who asks with these rights; its user is not known yet.
func (c *credentials) caller(rights auth.Rights, ip netip.Addr) *auth.Caller {
	return &auth.Caller{
		Master:         rights == auth.MasterRights || rights == auth.ReadOnlyRights,
		ReadOnly:       rights == auth.ReadOnlyRights,
		Maintenance:    rights == auth.MaintenanceRights,
		SessionToken:   c.sessionToken,
		InstallationID: c.installationID,
		Context:        c.context,
		IP:             ip,
	}
}

// dispatch asks whether there is a route, whether the caller may come this way now, finds its user, and runs the handler of the route.
func (x *exchange) dispatch(ctx context.Context, rt *route, p params, path string, body *parse.Map, caller *auth.Caller) (*reply, error) {
	s := x.server
	if rt != nil {
		x.route = rt.pattern
	}
	r := &request{method: x.method, path: path, params: p, query: x.r.URL.Query(), rawQuery: x.r.URL.RawQuery, body: body, caller: caller,
		objects: s.cfg.Objects, id: x.r.Header.Get("X-Parse-Request-Id"), logID: x.id, http: x.r}
	if err := x.limit(r); err != nil {
		return nil, err
	}
	if err := s.allowRoute(caller, path); err != nil {
		return nil, err
	}
	if rt == nil {
		return nil, errNoRoute
	}
	if err := s.resolveUser(ctx, r); err != nil {
		return nil, err
	}
	if strings.HasPrefix(path, "/functions/") {
		var err error
		if r.body, err = x.formOf(r.body); err != nil {
			return nil, err
		}
	}
	return s.call(ctx, rt, r)
}

func isFile(path string) bool { return path == "/files" || strings.HasPrefix(path, "/files/") }

// call runs the handler of a route for one request: of HTTP, or of a batch.
func (s *Server) call(ctx context.Context, rt *route, r *request) (*reply, error) {
	switch rt.needs {
	case masterKey, masterWrite:
		if !r.caller.Master {
			return nil, auth.Forbidden()
		}
		if rt.needs == masterWrite && r.caller.ReadOnly {
			return nil, parse.Denied(parse.OperationForbidden, "read-only masterKey isn't allowed to %s.", rt.deed())
		}
	}
	if rt.once {
		if err := s.idem.admit(ctx, r); err != nil {
			return nil, err
		}
	}
	return rt.handle(ctx, s, r)
}

// headers reads the credentials in the headers, Basic authentication included, and the application id.
func (x *exchange) headers() (c credentials, appID string, err error) {
	h := x.r.Header
	c = credentials{
		presented: auth.Presented{
			Master:      only(h, "X-Parse-Master-Key"),
			Maintenance: only(h, "X-Parse-Maintenance-Key"),
			Clients:     clientKeys(h),
		},
		sessionToken:   only(h, "X-Parse-Session-Token"),
		installationID: h.Get("X-Parse-Installation-Id"),
	}
	appID = only(h, "X-Parse-Application-Id")
	if id, key, ok := x.basic(); ok && id == x.server.cfg.AppID {
		appID = id
		if js, isJS := strings.CutPrefix(key, "javascript-key="); isJS {
			c.presented.SetClient("javascriptKey", js)
		} else if key != "" {
			c.presented.Master = key
		}
	}
	if text := h.Get("X-Parse-Cloud-Context"); text != "" {
		c.context, err = contextOf(text)
	}
	return c, appID, err
}

// only returns the value of a header. One that is given twice has all its values, as HTTP joins them: then none of them is
// right, whichever of them a proxy in front of this server looked at.
func only(h http.Header, name string) string {
	values := h.Values(name)
	if len(values) > 1 {
		return strings.Join(values, ", ")
	}
	return h.Get(name)
}

func (x *exchange) basic() (id, key string, ok bool) {
	scheme, encoded, _ := strings.Cut(x.r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return "", "", false
	}
	return strings.Cut(string(plain), ":")
}

// The headers of the client keys, by option.
var clientKeyHeaders = []struct{ option, header string }{
	{"clientKey", "X-Parse-Client-Key"},
	{"javascriptKey", "X-Parse-Javascript-Key"},
	{"dotNetKey", "X-Parse-Windows-Key"},
	{"restAPIKey", "X-Parse-REST-API-Key"},
}

func clientKeys(h http.Header) map[string]string {
	var keys map[string]string
	for _, k := range clientKeyHeaders {
		if v := only(h, k.header); v != "" {
			if keys == nil {
				keys = make(map[string]string, 1)
			}
			keys[k.option] = v
		}
	}
	return keys
}

// fromBody takes the credentials out of the body of a client that sends no headers: the JavaScript SDK.
func (x *exchange) fromBody(body *parse.Map, c credentials) (credentials, error) {
	body.Delete("_RevocableSession")
	if x.server.cfg.AppID == "" || body.String("_ApplicationId") != x.server.cfg.AppID {
		return c, auth.Unauthorized()
	}
	take := func(name string) (string, error) {
		v, ok := body.Lookup(name)
		if !ok || v == nil {
			body.Delete(name)
			return "", nil
		}
		text, ok := v.(string)
		if !ok {
			return "", auth.Unauthorized()
		}
		body.Delete(name)
		return text, nil
	}
	var js, master string
	for _, m := range []struct {
		name string
		to   *string
	}{
		{"_ApplicationId", new(string)}, {"_ClientVersion", new(string)}, {"_ContentType", new(string)},
		{"_JavaScriptKey", &js}, {"_InstallationId", &c.installationID}, {"_SessionToken", &c.sessionToken},
		{"_MasterKey", &master}, {"_MaintenanceKey", &c.presented.Maintenance},
	} {
		if !body.Has(m.name) {
			continue
		}
		text, err := take(m.name)
		if err != nil {
			return c, err
		}
		*m.to = text
	}
	if js != "" {
		c.presented.SetClient("javascriptKey", js)
	}
	if master != "" {
		c.presented.Master = master
	}
	if v, ok := body.Lookup("_context"); ok {
		body.Delete("_context")
		m, err := contextOf(v)
		if err != nil {
			return c, err
		}
		c.context = m
	}
	return c, nil
}

// contextOf reads the cloud context: a JSON object, or its text.
func contextOf(v any) (*parse.Map, error) {
	if text, ok := v.(string); ok {
		m, err := parse.DecodeMap([]byte(text), parse.Limits{})
		if err == nil {
			return m, nil
		}
		v = nil
	}
	if m, ok := v.(*parse.Map); ok {
		return m, nil
	}
	return nil, parse.Errorf(parse.InvalidJSON, "Invalid object for context.")
}

// body reads and decodes the body of the request. An empty body, and a multipart one, count as {}: see formOf.
func (x *exchange) body() (*parse.Map, error) {
	if x.r.Body == nil || x.r.Method == http.MethodGet || x.r.ContentLength == 0 {
		return &parse.Map{}, nil
	}
	kind, _, _ := strings.Cut(x.r.Header.Get("Content-Type"), ";")
	kind = strings.TrimSpace(strings.ToLower(kind))
	if strings.HasPrefix(kind, "multipart/") {
		return &parse.Map{}, nil
	}
	if err := x.reserve(); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, x.server.cfg.MaxUploadSize))
	var beyond *http.MaxBytesError
	switch {
	case errors.As(err, &beyond):
		return nil, tooLarge()
	case err != nil:
		return nil, &auth.Refusal{Status: http.StatusBadRequest, Message: "request aborted"}
	}
	text := strings.TrimLeft(string(data[:min(len(data), 64)]), " \t\r\n")
	if text == "" {
		return &parse.Map{}, nil
	}
	// A form that holds JSON is what curl -d sends when nobody names a content type.
	if kind == "application/x-www-form-urlencoded" && text[0] != '{' {
		return formBody(string(data))
	}
	m, err := parse.DecodeMap(data, parse.Limits{})
	if err != nil {
		var perr *parse.Error
		if errors.As(err, &perr) {
			return nil, &auth.Refusal{Status: http.StatusBadRequest, Message: perr.Message}
		}
		return nil, &auth.Refusal{Status: http.StatusBadRequest, Message: err.Error()}
	}
	return m, nil
}

// smallBody is the size in bytes up to which a body is not counted: so many as may come at once fit anyway.
const smallBody = 64 << 10

// reserve counts a large body among those that may be in memory at once, until the request ends. One whose size is not told
// counts as the largest there may be.
func (x *exchange) reserve() error {
	s := x.server
	size := x.r.ContentLength
	switch {
	case size > s.cfg.MaxUploadSize:
		return tooLarge()
	case size < 0:
		size = s.cfg.MaxUploadSize
	case size <= smallBody:
		return nil
	}
	if s.bodies.Add(size) > s.cfg.MaxBodies {
		s.bodies.Add(-size)
		return &auth.Refusal{Status: http.StatusServiceUnavailable, Message: "too many large requests at once", RetryAfter: time.Second}
	}
	x.reserved = size
	return nil
}

func tooLarge() *auth.Refusal {
	return &auth.Refusal{Status: http.StatusRequestEntityTooLarge, Message: "request entity too large"}
}

func formBody(text string) (*parse.Map, error) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, &auth.Refusal{Status: http.StatusBadRequest, Message: "the form in the body cannot be read"}
	}
	m := &parse.Map{}
	for name, all := range values {
		m.Set(name, all[0])
	}
	return m, nil
}

// allowRoute refuses what routeAllowList does not name to callers without a privileged key.
func (s *Server) allowRoute(caller *auth.Caller, path string) error {
	if s.cfg.RouteAllowList == nil || caller.Privileged() {
		return nil
	}
	for _, re := range s.cfg.RouteAllowList {
		if re.MatchString(strings.TrimPrefix(path, "/")) {
			return nil
		}
	}
	return parse.Denied(parse.OperationForbidden, "Route %s is not in the routeAllowList", path)
}

// mountURL is the URL that a client knows this server by, up to and including the mount path.
func (s *Server) mountURL(r *http.Request) string {
	switch {
	case s.cfg.PublicServerURL != "":
		return strings.TrimRight(s.cfg.PublicServerURL, "/")
	case s.cfg.ServerURL != "":
		return strings.TrimRight(s.cfg.ServerURL, "/")
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host + s.cfg.MountPath
}

func (x *exchange) observedMethod() string {
	switch x.method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodHead:
		return x.method
	}
	return "other" // a made-up method must not become a metric of its own
}

// asked is the pattern of the route that the request is for, whether it got there or not; "" for none.
func (x *exchange) asked() string {
	path, below := x.server.below(x.r.URL.Path)
	if x.route != "" || !below {
		return x.route
	}
	if rt, _ := x.server.routes.find(x.method, path); rt != nil {
		return rt.pattern
	}
	return ""
}

// requestID is the id that the client or a proxy gave the request when it is short and harmless, else a new one.
func requestID(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); id != "" && len(id) <= 64 && strings.IndexFunc(id, notInID) < 0 {
		return id
	}
	return strconv.FormatUint(rand.Uint64(), 16) // it tells requests apart; nobody gains by guessing it
}

func notInID(c rune) bool {
	return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.')
}

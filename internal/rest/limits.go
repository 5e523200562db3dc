package rest

import (
	"fmt"
	"hash/maphash"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/parley-backend/parley/parse"
)

// Zone says what requests share one counter.
type Zone string

// The zones.
const (
	ZoneIP      Zone = "ip"
	ZoneUser    Zone = "user"
	ZoneSession Zone = "session"
	ZoneGlobal  Zone = "global"
)

// RateLimit is one rule: at most Count requests in each Window to the paths that fit.
type RateLimit struct {
	// Path fits paths below the mount path; see [CompilePath].
	Path *regexp.Regexp
	// Methods that count; none means all.
	Methods *regexp.Regexp
	Count   int
	Window  time.Duration
	Zone    Zone // "" is ip
	// Message is the text of the refusal; "" is "Too many requests."
	Message string
	// IncludeMaster counts requests with the master key; IncludeInternal those from this machine.
	IncludeMaster, IncludeInternal bool
}

// CompilePath turns a route pattern as Parse Server's option requestPath takes it into an expression: ":name" stands for one segment,
// "*name" for one or more, "{…}" for an optional part, and a backslash takes the next character literally.
func CompilePath(pattern string) (*regexp.Regexp, error) {
	var out strings.Builder
	out.WriteString("^")
	depth := 0
	for i := 0; i < len(pattern); {
		c := pattern[i]
		i++
		switch c {
		case ':', '*':
			begin := i
			for i < len(pattern) && (pattern[i] == '_' || pattern[i] >= '0' && pattern[i] <= '9' || pattern[i] >= 'a' && pattern[i] <= 'z' || pattern[i] >= 'A' && pattern[i] <= 'Z') {
				i++
			}
			if begin == i {
				return nil, fmt.Errorf("%q: a parameter without a name at position %d", pattern, begin)
			}
			if c == ':' {
				out.WriteString("[^/]+")
			} else {
				out.WriteString(".+")
			}
		case '{':
			depth++
			out.WriteString("(?:")
		case '}':
			depth--
			out.WriteString(")?")
		case '\\':
			if i == len(pattern) {
				return nil, fmt.Errorf("%q: ends with a backslash", pattern)
			}
			out.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
			i++
		case '(', ')', '[', ']', '+', '?', '!':
			return nil, fmt.Errorf("%q: %q must be written with a backslash before it", pattern, c)
		default:
			out.WriteString(regexp.QuoteMeta(pattern[i-1 : i])) // a byte of a longer character is no operator
		}
		if depth < 0 {
			return nil, fmt.Errorf("%q: } without {", pattern)
		}
	}
	if depth != 0 {
		return nil, fmt.Errorf("%q: { without }", pattern)
	}
	out.WriteString("/?$")
	return regexp.Compile("(?i)" + out.String())
}

// limiter counts the requests of one rule in fixed windows, each key's beginning with its first request. Keys are spread over
// shards so that requests seldom wait for each other.
type limiter struct {
	RateLimit
	now    func() time.Time
	seed   maphash.Seed
	shards [16]shard
}

type shard struct {
	mu      sync.Mutex
	windows map[string]window
	sweepAt time.Time
}

type window struct {
	ends  time.Time
	count int
}

func newLimiter(rule RateLimit, now func() time.Time) *limiter {
	return &limiter{RateLimit: rule, now: now, seed: maphash.MakeSeed()}
}

// take counts one request. It returns how many are left in the window (-1 when this one is too many) and when the window ends.
func (l *limiter) take(key string) (left int, ends time.Time) {
	now := l.now()
	s := &l.shards[maphash.String(l.seed, key)%uint64(len(l.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.windows == nil {
		s.windows = make(map[string]window)
	}
	if now.After(s.sweepAt) { // forget ended windows once per window, so that memory follows the present clients
		for k, w := range s.windows {
			if !now.Before(w.ends) {
				delete(s.windows, k)
			}
		}
		s.sweepAt = now.Add(l.Window)
	}
	w, ok := s.windows[key]
	if !ok || !now.Before(w.ends) {
		w = window{ends: now.Add(l.Window)}
	}
	w.count++
	s.windows[key] = w
	return max(l.Count-w.count, -1), w.ends
}

// rateLimited is the refusal of a request that is one too many.
type rateLimited struct {
	message string
	after   time.Duration
}

func (e *rateLimited) Error() string { return e.message }

// Error100 is the refusal as a Parse error, as a batch tells it.
func (e *rateLimited) Error100() *parse.Error {
	return &parse.Error{Code: parse.ConnectionFailed, Message: e.message}
}

// SetRateLimits replaces the rules that are added to Config.RateLimits: those of cloud code, which may change. A rule that was there
// before goes on counting.
func (s *Server) SetRateLimits(rules []RateLimit) {
	var known []*limiter
	if before := s.more.Load(); before != nil {
		known = *before
	}
	now := make([]*limiter, 0, len(rules))
	for _, rule := range rules {
		i := slices.IndexFunc(known, func(l *limiter) bool { return l.RateLimit.same(rule) })
		if i < 0 {
			now = append(now, newLimiter(rule, s.cfg.Now))
			continue
		}
		now = append(now, known[i])
		known = slices.Delete(slices.Clone(known), i, i+1) // of two equal rules each counts for itself
	}
	s.more.Store(&now)
}

// same tells whether two rules say the same.
func (a RateLimit) same(b RateLimit) bool {
	text := func(re *regexp.Regexp) string {
		if re == nil {
			return ""
		}
		return re.String()
	}
	if text(a.Path) != text(b.Path) || text(a.Methods) != text(b.Methods) {
		return false
	}
	a.Path, a.Methods, b.Path, b.Methods = nil, nil, nil, nil
	return a == b
}

// limit applies the rate limits to a request, and tells the client what is left of the last one that fits.
func (x *exchange) limit(r *request) error {
	if err := x.limitBy(r, x.server.limits); err != nil {
		return err
	}
	return x.limitBy(r, *x.server.more.Load())
}

func (x *exchange) limitBy(r *request, limits []*limiter) error {
	for _, l := range limits {
		if (l.Zone == ZoneUser || l.Zone == ZoneSession) && r.caller.User == nil && l.Path.MatchString(r.path) {
			_ = x.server.resolveUser(x.r.Context(), r) // whoever is nobody is told so later; here its address counts
		}
		left, ends, err := l.apply(r)
		if left < -1 {
			continue
		}
		h := x.w.Header()
		h.Set("X-RateLimit-Limit", strconv.Itoa(l.Count))
		h.Set("X-RateLimit-Remaining", strconv.Itoa(max(left, 0)))
		h.Set("X-RateLimit-Reset", strconv.FormatInt(int64(math.Ceil(float64(ends.UnixMilli())/1000)), 10))
		if err != nil {
			return err
		}
	}
	return nil
}

// apply counts the request when the rule fits it; left is -2 when it does not.
func (l *limiter) apply(r *request) (left int, ends time.Time, err error) {
	c := r.caller
	switch {
	case !l.Path.MatchString(r.path),
		l.Methods != nil && !l.Methods.MatchString(r.method),
		c.Master && !l.IncludeMaster,
		c.IP.IsLoopback() && !l.IncludeInternal:
		return -2, time.Time{}, nil
	}
	key := c.IP.String()
	switch {
	case l.Zone == ZoneGlobal:
		key = "*"
	case l.Zone == ZoneSession && c.UserID() != "": // a token that was made up counts as none
		key = "s" + c.SessionToken
	case l.Zone == ZoneUser && c.UserID() != "":
		key = "u" + c.UserID()
	}
	left, ends = l.take(key)
	if left >= 0 {
		return left, ends, nil
	}
	message := l.Message
	if message == "" {
		message = "Too many requests."
	}
	return left, ends, &rateLimited{message: message, after: max(ends.Sub(l.now()), time.Second)}
}

// MethodsOf compiles a list of methods; nil, which is every method, of an empty one.
func MethodsOf(methods []string) *regexp.Regexp {
	if len(methods) == 0 {
		return nil
	}
	quoted := slices.Clone(methods)
	for i := range quoted {
		quoted[i] = regexp.QuoteMeta(strings.ToUpper(quoted[i]))
	}
	return regexp.MustCompile("^(?:" + strings.Join(quoted, "|") + ")$")
}

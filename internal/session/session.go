// Package session knows whose a session token is, makes and revokes sessions, and holds the rules of the class _Session
// (contract parse-api.md, 4.8).
//
// session.go tokens to users, with the cache; create.go new sessions and their end; behavior.go the rules of the class;
// services.go what the routes below /sessions and /upgradeToRevocableSession answer; stored.go a stored user as its callers know it.
package session

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/parley-backend/parley/internal/cache"
	"github.com/parley-backend/parley/internal/object"
	"github.com/parley-backend/parley/internal/role"
	"github.com/parley-backend/parley/internal/schemas"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

// Config is what the sessions need, and their options. The zero value of an option is the default of Parse Server.
type Config struct {
	Store   storage.Store
	Schemas *schemas.Schemas
	Roles   *role.Roles
	// Log gets what went wrong beside a request; nil discards it.
	Log *slog.Logger

	// Length is how long a session lives (option sessionLength); 0 is one year.
	Length time.Duration
	// NeverExpire makes sessions without an end: the inverse of option expireInactiveSessions.
	NeverExpire bool
	// ExtendOnUse gives a session its full length again when it is used after half of it (option extendSessionOnUse).
	ExtendOnUse bool
	// Cache of tokens and users (options cacheTTL, cacheMaxSize).
	Cache cache.Options
}

const defaultLength = 365 * 24 * time.Hour

// Sessions resolves tokens, and is the Behavior of the class _Session. It is safe for concurrent use.
type Sessions struct {
	object.Plain
	cfg Config
	// tokens and users: an entry of tokens counts only as long as the user it points to is the one in users, so that
	// dropping a user drops all its sessions at once.
	tokens *cache.Cache[*live]
	users  *cache.Cache[*user]
}

// live is a session that was found valid.
type live struct {
	id      string
	user    *user
	expires parse.Date // 0: never
	updated parse.Date
	// extending is set by whoever extends it: once in the life of the entry.
	extending atomic.Bool
}

type user struct{ object *parse.Object }

// New returns the sessions of an application.
func New(cfg Config) *Sessions {
	if cfg.Length <= 0 {
		cfg.Length = defaultLength
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Sessions{cfg: cfg, tokens: cache.New[*live](cfg.Cache), users: cache.New[*user](cfg.Cache)}
}

var (
	errUnknown = &parse.Error{Code: parse.InvalidSessionToken, Message: "Invalid session token"}
	errExpired = &parse.Error{Code: parse.InvalidSessionToken, Message: "Session token is expired."}
	// errOrphan: the session is there and its user is not.
	errOrphan = parse.Denied(parse.InvalidSessionToken, "Invalid session token")
)

// Resolve returns the user that a session token stands for and its roles ("role:Name", sorted), or an *parse.Error
// InvalidSessionToken. Neither result may be changed: requests share them. A refusal is never cached.
func (s *Sessions) Resolve(ctx context.Context, token string) (*parse.Object, []string, error) {
	found, err := s.lookUp(ctx, token)
	if err != nil {
		return nil, nil, err
	}
	if s.cfg.ExtendOnUse {
		s.extend(ctx, token, found)
	}
	roles, err := s.Roles(ctx, found.user.object.ID())
	if err != nil {
		return nil, nil, err
	}
	return found.user.object, roles, nil
}

// Roles returns the roles of a user as Resolve does.
func (s *Sessions) Roles(ctx context.Context, userID string) ([]string, error) {
	return s.cfg.Roles.Of(ctx, userID)
}

func (s *Sessions) lookUp(ctx context.Context, token string) (*live, error) {
	if token == "" {
		return nil, errUnknown
	}
	found, ok := s.tokens.Get(token)
	if ok {
		current, known := s.users.Get(found.user.object.ID())
		ok = known && current == found.user
	}
	if !ok {
		var err error
		if found, err = s.load(ctx, token); err != nil {
			return nil, err
		}
	}
	if found.expires != 0 && found.expires < now() {
		s.tokens.Drop(token)
		return nil, errExpired
	}
	return found, nil
}

// load reads a session and, unless another session of it brought it here already, its user.
func (s *Sessions) load(ctx context.Context, token string) (*live, error) {
	sinceToken, sinceUser := s.tokens.Begin(), s.users.Begin()
	session, err := first(ctx, s.cfg.Store, s.class(), &query.Constraint{Key: "sessionToken", Op: query.Eq, Arg: token})
	if err != nil {
		return nil, err
	}
	if session == nil {
		return nil, errUnknown
	}
	pointer, ok := session.Get("user").(parse.Pointer)
	if !ok {
		return nil, errUnknown
	}
	// An id of this form would count as a role in every ACL.
	if strings.HasPrefix(pointer.ObjectID, "role:") {
		return nil, parse.Errorf(parse.InternalServerError, "Invalid object ID.")
	}
	owner, ok := s.users.Get(pointer.ObjectID)
	if !ok {
		stored, err := first(ctx, s.cfg.Store, s.userClass(), byID(pointer.ObjectID))
		if err != nil {
			return nil, err
		}
		if stored == nil {
			return nil, errOrphan
		}
		owner = &user{User(stored)}
		s.users.Put(sinceUser, pointer.ObjectID, owner)
	}
	found := &live{id: session.ID(), user: owner}
	found.expires, _ = session.Get("expiresAt").(parse.Date)
	found.updated, _ = session.Get("updatedAt").(parse.Date)
	s.tokens.Put(sinceToken, token, found)
	return found, nil
}

// extend gives a session its full length again once half of it has passed since it was last written. It never fails the
// request that used the session.
func (s *Sessions) extend(ctx context.Context, token string, found *live) {
	due := now() - parse.Date(s.cfg.Length.Milliseconds()/2)
	if s.cfg.NeverExpire || found.updated > due || !found.extending.CompareAndSwap(false, true) {
		return
	}
	// The condition makes the extension happen once, however many requests and nodes see that it is due.
	where := query.And{byID(found.id), &query.Constraint{Key: "updatedAt", Op: query.Lte, Arg: due}}
	changes := parse.NewMap("expiresAt", s.expiry(), "updatedAt", now())
	if _, err := s.cfg.Store.Update(ctx, s.class(), where, changes, 1); err != nil {
		s.cfg.Log.WarnContext(ctx, "session was not extended", "session", found.id, "error", err)
		return
	}
	s.tokens.Drop(token)
}

// ForgetUser makes the next use of any session of a user read the database: after the user changed or went.
func (s *Sessions) ForgetUser(id string) { s.users.Drop(id) }

// ForgetAll does so for everybody.
func (s *Sessions) ForgetAll() { s.users.Clear() }

// expiry is the end of a session that begins now.
func (s *Sessions) expiry() parse.Date { return now() + parse.Date(s.cfg.Length.Milliseconds()) }

func (s *Sessions) class() *schema.Class { return s.classOf(schema.SessionClass) }

func (s *Sessions) userClass() *schema.Class { return s.classOf(schema.UserClass) }

func (s *Sessions) classOf(name string) *schema.Class {
	if class, ok := s.cfg.Schemas.Class(name); ok {
		return class
	}
	return schema.New(name)
}

func now() parse.Date { return parse.DateOf(time.Now()) }

func byID(id string) query.Node {
	return &query.Constraint{Key: "objectId", Op: query.Eq, Arg: id}
}

// first returns the first object that matches, nil when there is none.
func first(ctx context.Context, store storage.Store, class *schema.Class, where query.Node) (*parse.Object, error) {
	for o, err := range store.Find(ctx, class, &query.Find{ClassName: class.Name, Where: where, Limit: 1}) {
		return o, err
	}
	return nil, nil
}

// Package role knows which roles a user has, and what the class _Role demands (contract parse-api.md, 4.9).
package role

import (
	"cmp"
	"context"
	"slices"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/internal/cache"
	"github.com/parley-backend/parley/internal/object"
	"github.com/parley-backend/parley/internal/schemas"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

// Config is what the roles need.
type Config struct {
	Store   storage.Store
	Schemas *schemas.Schemas
	// Cache of the roles of a user.
	Cache cache.Options
}

// Roles answers which roles a user has, and is the Behavior of the class _Role. It is safe for concurrent use.
type Roles struct {
	object.Plain
	cfg    Config
	byUser *cache.Cache[[]string]
}

// New returns the roles of an application.
func New(cfg Config) *Roles {
	return &Roles{cfg: cfg, byUser: cache.New[[]string](cfg.Cache)}
}

// Of returns the roles of a user as "role:Name", sorted: those it is a direct member of, and those which have one of
// them among their own roles, however far up. The caller must not change the slice.
func (r *Roles) Of(ctx context.Context, userID string) ([]string, error) {
	if userID == "" {
		return nil, nil
	}
	if names, ok := r.byUser.Get(userID); ok {
		return names, nil
	}
	since := r.byUser.Begin()
	names, err := r.load(ctx, userID)
	if err != nil {
		return nil, err
	}
	r.byUser.Put(since, userID, names)
	return names, nil
}

// Clear forgets all cached roles: on any write of a role, since each may give and take roles to and from anybody.
func (r *Roles) Clear() { r.byUser.Clear() }

// load asks once for the direct roles, once for each level above them, and once for the names.
func (r *Roles) load(ctx context.Context, userID string) ([]string, error) {
	level, err := r.owners(ctx, "users", []any{userID})
	if err != nil {
		return nil, err
	}
	seen := make(map[any]bool) // ids of roles: what was seen is not followed again, which cuts cycles
	var all []any
	for len(level) > 0 {
		for _, id := range level {
			seen[id] = true
		}
		all = append(all, level...)
		above, err := r.owners(ctx, "roles", level)
		if err != nil {
			return nil, err
		}
		level = slices.DeleteFunc(above, func(id any) bool { return seen[id] })
	}
	return r.names(ctx, all)
}

// owners returns the ids of the roles that have one of the members in a relation, each once.
func (r *Roles) owners(ctx context.Context, relation string, members []any) ([]any, error) {
	q := &query.Find{Where: &query.Constraint{Key: "relatedId", Op: query.In, Arg: members}, Limit: -1}
	var ids []any
	for row, err := range r.cfg.Store.Find(ctx, schema.JoinClass(schema.RoleClass, relation), q) {
		if err != nil {
			return nil, err
		}
		ids = append(ids, row.Get("owningId"))
	}
	slices.SortFunc(ids, func(a, b any) int {
		x, _ := a.(string)
		y, _ := b.(string)
		return cmp.Compare(x, y)
	})
	return slices.Compact(ids), nil
}

func (r *Roles) names(ctx context.Context, ids []any) ([]string, error) {
	class, ok := r.cfg.Schemas.Class(schema.RoleClass)
	if len(ids) == 0 || !ok {
		return nil, nil
	}
	q := &query.Find{
		ClassName: schema.RoleClass,
		Where:     &query.Constraint{Key: "objectId", Op: query.In, Arg: ids},
		Keys:      []string{"name"},
		Limit:     -1,
	}
	var names []string
	for role, err := range r.cfg.Store.Find(ctx, class, q) {
		if err != nil {
			return nil, err
		}
		if name := role.String("name"); name != "" {
			names = append(names, "role:"+name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Written clears the cache.
func (r *Roles) Written(_ context.Context, s *object.Save, _ *parse.Object) error {
	s.Objects.AfterCommit(r.Clear)
	return nil
}

// Deleted clears the cache.
func (r *Roles) Deleted(*auth.Caller, *parse.Object) { r.Clear() }

// Purged clears the cache.
func (r *Roles) Purged(context.Context) { r.Clear() }

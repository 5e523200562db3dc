package rest

import (
	"context"
	"errors"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

// The application has one config: the object "1" of _GlobalConfig.
const configID = "1"

// getConfig answers the parameters that the caller may read: all of them, or those that are not for the master key only.
func getConfig(ctx context.Context, s *Server, r *request) (*reply, error) {
	class, _ := s.cfg.Schemas.Class("_GlobalConfig")
	row, err := theOnly(ctx, s.cfg.Store, class)
	if err != nil {
		return nil, err
	}
	body := parse.NewMap("params", &parse.Map{})
	if row == nil {
		return &reply{body: body}, nil
	}
	params, secret := mapOf(row.Get("params")), mapOf(row.Get("masterKeyOnly"))
	if !r.caller.Master {
		params, secret = params.Clone(), secret.Clone()
		for _, name := range secret.Keys() {
			if secret.Get(name) == true {
				params.Delete(name)
				secret.Delete(name)
			}
		}
	}
	body.Set("params", params)
	if row.Has("masterKeyOnly") {
		body.Set("masterKeyOnly", secret)
	}
	return &reply{body: body}, nil
}

// putConfig merges parameters into the config. A parameter that is set without being named in masterKeyOnly becomes public.
func putConfig(ctx context.Context, s *Server, r *request) (*reply, error) {
	if _, ok := r.body.Get("params").(*parse.Map); !ok && r.body.Get("params") != nil {
		return nil, parse.Errorf(parse.InvalidJSON, "params must be an object")
	}
	params, only := mapOf(r.body.Get("params")), mapOf(r.body.Get("masterKeyOnly"))
	if !r.objects.WatchesConfig() {
		if _, err := s.writeConfig(ctx, params, only); err != nil {
			return nil, err
		}
		return &reply{body: parse.NewMap("result", true)}, nil
	}
	class, _ := s.cfg.Schemas.Class("_GlobalConfig")
	row, err := theOnly(ctx, s.cfg.Store, class)
	if err != nil {
		return nil, err
	}
	var original *parse.Map
	if row != nil {
		original = mapOf(row.Get("params"))
	}
	params, shared, err := r.objects.SavingConfig(ctx, r.caller, params, original)
	if err != nil {
		return nil, err
	}
	now, err := s.writeConfig(ctx, params, only)
	if err == nil {
		err = r.objects.SavedConfig(ctx, r.caller, now, original, shared)
	}
	if err != nil {
		return nil, err
	}
	return &reply{body: parse.NewMap("result", true)}, nil
}

// writeConfig merges parameters into the stored ones and returns all of them.
func (s *Server) writeConfig(ctx context.Context, params, only *parse.Map) (now *parse.Map, err error) {
	err = s.mergeTheOnly(ctx, "_GlobalConfig", func(row *parse.Object) error {
		stored, secret := mapOf(row.Get("params")), mapOf(row.Get("masterKeyOnly"))
		for name, value := range params.All() {
			secret.Set(name, only.Get(name) == true)
			if op, ok := value.(parse.Op); ok {
				next, err := op.Apply(stored.Get(name))
				if err != nil {
					return err
				}
				value = next
			}
			if _, gone := value.(parse.Absent); gone {
				stored.Delete(name)
				continue
			}
			stored.Set(name, value)
		}
		row.Set("params", stored)
		row.Set("masterKeyOnly", secret)
		now = stored
		return nil
	})
	return now, err
}

// mergeTheOnly changes the single object of a class in a transaction, and makes it when it does not exist.
func (s *Server) mergeTheOnly(ctx context.Context, name string, change func(row *parse.Object) error) error {
	class, err := s.cfg.Schemas.Evolve(ctx, name, &parse.Map{}, nil)
	if err != nil {
		return err
	}
	write := func() error {
		return s.cfg.Store.Transact(ctx, func(ctx context.Context, tx storage.Store) error {
			row, err := theOnly(ctx, tx, class)
			if err != nil {
				return err
			}
			isNew := row == nil
			now := parse.DateOf(s.cfg.Now())
			if isNew {
				row = parse.NewObject(name, "objectId", configID, "createdAt", now)
			}
			row.Set("updatedAt", now)
			if err := change(row); err != nil {
				return err
			}
			if isNew {
				return tx.Create(ctx, class, row)
			}
			changes := row.Map.Clone()
			changes.Delete("objectId")
			changes.Delete("createdAt")
			_, err = tx.Update(ctx, class, byID(configID), changes, 1)
			return err
		})
	}
	err = write()
	if errors.Is(err, storage.Duplicate) || errors.Is(err, storage.Transient) { // another node was faster
		err = write()
	}
	return err
}

func theOnly(ctx context.Context, store storage.Store, class *schema.Class) (*parse.Object, error) {
	for row, err := range store.Find(ctx, class, &query.Find{ClassName: class.Name, Where: byID(configID), Limit: 1}) {
		return row, err
	}
	return nil, nil
}

func byID(id string) query.Node { return &query.Constraint{Key: "objectId", Op: query.Eq, Arg: id} }

// mapOf returns a value that is an object, or an empty one.
func mapOf(v any) *parse.Map {
	if m, ok := v.(*parse.Map); ok {
		return m
	}
	return &parse.Map{}
}

package object

import (
	"context"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/internal/access"
	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// Delete removes an object. Of a class that does not exist it removes nothing and is no error, as Parse Server has it.
//
// The Deleting of a behavior gets an object with nothing but its objectId when there is none that this caller may delete: the answer is
// ObjectNotFound unless Deleting has a better one.
func (o *Objects) Delete(ctx context.Context, caller *auth.Caller, class, id string) error {
	return refused(o.behavior(class), caller, id, o.remove(ctx, caller, class, id))
}

func (o *Objects) remove(ctx context.Context, caller *auth.Caller, className, id string) error {
	if err := access.Class(caller, className, schema.OpDelete); err != nil {
		return err
	}
	class, exists := o.cfg.Schemas.Class(className)
	if !exists {
		return nil
	}
	behavior := o.behavior(className)
	permitted, err := access.Operation(caller, class, schema.OpDelete)
	if err != nil {
		return err
	}
	where := query.AndOf(ofID(id), access.Writable(caller), permitted)
	var original *parse.Object
	watched := o.cfg.Cloud.Has(cloud.BeforeDelete, className) || o.cfg.Cloud.Has(cloud.AfterDelete, className)
	if o.behaves(className) || o.cfg.Notify != nil || watched {
		if original, err = o.first(ctx, class, where); err != nil {
			return err
		}
		doomed := original
		if original == nil {
			doomed = parse.NewObject(className, "objectId", id)
		} else {
			expose(original)
		}
		if err := behavior.Deleting(ctx, caller, doomed); err != nil {
			return err
		}
		if original == nil {
			if watched && !o.behaves(className) {
				return parse.Errorf(parse.ObjectNotFound, "Object not found for delete.")
			}
			return notFound()
		}
	}
	var values *parse.Map // the context of the triggers
	if watched {
		if values, err = o.beforeDelete(ctx, caller, original, shared(caller)); err != nil {
			return err
		}
	}
	if err := o.removeObject(ctx, class, id, where); err != nil {
		return err
	}
	if original == nil {
		return nil
	}
	if owner, ok := behavior.(Owner); ok {
		if err := owner.RemoveOwned(ctx, o, original); err != nil {
			return err
		}
	}
	o.AfterCommit(func() { behavior.Deleted(caller, original) })
	if o.cfg.Notify != nil {
		o.notify(Change{Caller: caller, Class: class, Original: original})
	}
	if watched {
		return o.afterDelete(ctx, caller, original, values)
	}
	return nil
}

// removeObject deletes the object and the members of its relations. The condition holds at the moment of the deed.
func (o *Objects) removeObject(ctx context.Context, class *schema.Class, id string, where query.Node) error {
	del := func(ctx context.Context, o *Objects) error {
		n, err := o.store.Delete(ctx, class, where, 1)
		if err == nil && n == 0 {
			err = notFound()
		}
		return err
	}
	if len(o.plan(class).relations) == 0 {
		return del(ctx, o)
	}
	return o.Transact(ctx, func(ctx context.Context, tx *Objects) error {
		if err := del(ctx, tx); err != nil {
			return err
		}
		return tx.clearRelations(ctx, class, id)
	})
}

// Purge removes all objects of a class and the members of their relations; master key only. A class that does not exist is no error.
func (o *Objects) Purge(ctx context.Context, caller *auth.Caller, className string) error {
	if !caller.Master {
		return parse.Denied(parse.OperationForbidden, "unauthorized: master key is required")
	}
	if err := access.Change(caller, "purge a schema"); err != nil {
		return err
	}
	class, exists := o.class(className)
	if !exists {
		return nil
	}
	err := o.Transact(ctx, func(ctx context.Context, tx *Objects) error {
		if _, err := tx.store.Delete(ctx, class, nil, -1); err != nil {
			return err
		}
		return tx.clearRelations(ctx, class, "")
	})
	if err != nil {
		return clientError(err)
	}
	if b, ok := o.behavior(className).(Purged); ok {
		o.AfterCommit(func() { b.Purged(ctx) })
	}
	return nil
}

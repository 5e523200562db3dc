package object

import (
	"context"
	"slices"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/internal/access"
	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// HasCloud tells whether there is cloud code: then a caller needs its headers.
func (o *Objects) HasCloud() bool { return o.cfg.Cloud.Any() }

// request is what cloud code learns of a caller. Its clients work where this service does: in its transaction, if there is one.
func (o *Objects) request(caller *auth.Caller, shared *parse.Map) cloud.Request {
	r := cloud.Request{
		Roles:  slices.Clone(caller.Roles),
		Master: caller.Master, ReadOnly: caller.ReadOnly,
		InstallationID: caller.InstallationID,
		IP:             caller.IP,
		Headers:        caller.Headers.Clone(),
		Context:        shared,
	}
	if caller.User != nil {
		r.User = shownTo(caller.User)
		r.SessionToken = credential.NewSecret(caller.SessionToken)
	}
	r.Bind(&acting{objects: o, caller: caller}, o.tx != nil)
	return r
}

// shared is the context of the triggers of one deed: what the client handed over.
func shared(caller *auth.Caller) *parse.Map {
	if caller.Context == nil {
		return &parse.Map{}
	}
	return caller.Context.Clone()
}

// shownTo is a copy of a stored object as cloud code sees it: all fields, but no password, no session token and nothing internal.
func shownTo(stored *parse.Object) *parse.Object {
	if stored == nil {
		return nil
	}
	shown := stored.Clone()
	shown.Delete("sessionToken")
	access.Strip(auth.System, shown)
	return shown
}

// outside is the service that is not bound to the transaction of this one.
func (o *Objects) outside() *Objects { return &Objects{core: o.core, store: o.cfg.Store} }

// triggered tells whether the save of an object of the class runs a trigger.
func (o *Objects) triggered(class string) bool {
	return o.cfg.Cloud.Has(cloud.BeforeSave, class) || o.cfg.Cloud.Has(cloud.AfterSave, class)
}

// beforeSave lets the trigger see what the save makes of the object, and takes over what it changes. It sees permitted saves only.
func (o *Objects) beforeSave(ctx context.Context, s *Save) error {
	if !o.cfg.Cloud.Has(cloud.BeforeSave, s.ClassName) {
		return nil
	}
	if err := o.mayChange(ctx, s); err != nil {
		return err
	}
	original := shownTo(s.Original)
	o.complement(s, original)
	object, err := o.intended(s, original)
	if err != nil {
		return err
	}
	before := object.Clone()
	req := &cloud.SaveRequest{Request: o.request(s.Caller, s.context()), Object: object, Original: original, Given: given(s.Data), Writes: written(s.Data)}
	if err := o.cfg.Cloud.Run(ctx, cloud.BeforeSave, s.ClassName, req); err != nil {
		return err
	}
	s.shared = req.Context
	changes, err := changed(before, req.Object)
	if err != nil {
		return err
	}
	return o.adopt(s, o.replaced(s, req, changes))
}

// replaced takes out of a save what its trigger writes otherwise, and adds that to the changes. A field that keeps its stored value against
// the wish of the client is told to it.
func (o *Objects) replaced(s *Save, req *cloud.SaveRequest, changes *parse.Map) *parse.Map {
	writes, withdrawn := req.Replaced()
	for name, v := range writes.All() {
		if o.withdraw(s, name) || s.Original == nil || !parse.Equal(s.Original.Get(name), v) {
			changes.Set(name, v)
		}
	}
	for _, name := range withdrawn {
		changes.Delete(name)
		if o.withdraw(s, name) && s.Original != nil && s.Original.Has(name) && !slices.Contains(untold, name) {
			told(s.Response, name, s.Original.Get(name))
		}
	}
	return changes
}

// withdraw takes a field out of what is written, and tells whether it was there.
func (o *Objects) withdraw(s *Save, name string) (written bool) {
	if fixedName(name) {
		return false
	}
	for _, key := range s.Data.Keys() {
		if key == name || query.Root(key) == name {
			s.Data.Delete(key)
			written = true
		}
	}
	return written
}

// mayChange asks the pointer permissions of an update, which otherwise are part of the write.
func (o *Objects) mayChange(ctx context.Context, s *Save) error {
	if s.IsCreate() || !s.pointed {
		return nil
	}
	found, err := o.first(ctx, s.Class, query.AndOf(ofID(s.ID), s.may))
	if err == nil && found == nil {
		err = notFound()
	}
	return err
}

// context is what the triggers of this save share.
func (s *Save) context() *parse.Map {
	if s.shared == nil {
		s.shared = shared(s.Caller)
	}
	return s.shared
}

// complement gives a stored object what is not stored in it: its relations, and the URLs of its files.
func (o *Objects) complement(s *Save, object *parse.Object) {
	if object == nil || s.Class == nil {
		return
	}
	for _, name := range o.plan(s.Class).relations {
		object.Set(name, parse.Relation{ClassName: s.Class.Fields[name].TargetClass})
	}
	o.addURLs(&object.Map)
}

// intended is the object as the save will leave it, as far as is known before: operators applied to what is stored now.
func (o *Objects) intended(s *Save, original *parse.Object) (*parse.Object, error) {
	object := original.Clone()
	if object == nil {
		object = &parse.Object{ClassName: s.ClassName}
	}
	changes := &parse.Map{}
	for key, v := range s.Data.All() {
		switch v := v.(type) {
		case parse.AddRelation, parse.RemoveRelation, parse.Batch:
			continue
		default:
			if !fixedName(key) && key[0] != '_' {
				changes.Set(key, parse.Clone(v))
			}
		}
	}
	if err := parse.ApplyChanges(&object.Map, changes); err != nil {
		return nil, err
	}
	o.addURLs(&object.Map)
	return object, nil
}

// fixedName tells whether a field is not for triggers to change.
func fixedName(name string) bool {
	return name == "objectId" || name == "createdAt" || name == "updatedAt" || name == "className"
}

// given are the fields that a body writes, each once.
func given(data *parse.Map) []string {
	var names []string
	for key := range data.All() {
		if root := query.Root(key); !fixedName(root) && root[0] != '_' && !slices.Contains(names, root) {
			names = append(names, root)
		}
	}
	return names
}

// written is what a body writes, without anything internal.
func written(data *parse.Map) *parse.Map {
	writes := data.Clone()
	for _, key := range writes.Keys() {
		if key[0] == '_' {
			writes.Delete(key)
		}
	}
	return writes
}

// changed returns the fields in which two states of an object differ: the new value, or parse.Delete.
func changed(before, after *parse.Object) (*parse.Map, error) {
	changes := &parse.Map{}
	if after == nil {
		return changes, nil
	}
	for name, v := range after.All() {
		was, had := before.Lookup(name)
		if fixedName(name) || had && parse.Equal(was, v) {
			continue
		}
		value, err := cloud.FieldValue(v)
		if err != nil {
			return nil, parse.Errorf(parse.ScriptFailed, "The field %s cannot be stored: %v", name, err)
		}
		if !had || !parse.Equal(was, value) {
			changes.Set(name, value)
		}
	}
	for name := range before.All() {
		if !fixedName(name) && !after.Has(name) {
			changes.Set(name, parse.Delete{})
		}
	}
	return changes, nil
}

// untold are fields that an answer does not repeat, whoever changed them.
var untold = []string{"password", "authData", "sessionToken"}

// adopt makes the changes of a trigger part of the save, as if the client had asked for them, and part of the answer.
func (o *Objects) adopt(s *Save, changes *parse.Map) error {
	for name, v := range changes.All() {
		if err := o.denied(name, v); err != nil {
			return err
		}
		if err := checkKey(s, name); err != nil {
			return err
		}
		v = plain(v)
		if name == "ACL" {
			acl, given, err := aclOf(v)
			if err != nil {
				return err
			}
			if !given {
				continue
			}
			v = acl
		}
		if earlier, ok := s.Data.Lookup(name); ok {
			merged, err := parse.Merge(earlier, v)
			if err != nil {
				return err
			}
			v = merged
		}
		for _, key := range s.Data.Keys() {
			if key != name && query.Root(key) == name {
				s.Data.Delete(key) // the field as a whole says all
			}
		}
		s.Data.Set(name, v)
		if !slices.Contains(untold, name) {
			told(s.Response, name, v)
		}
	}
	return nil
}

// told puts a change into an answer. The results of operators are there already, see respond.
func told(response *parse.Map, name string, v any) {
	switch v.(type) {
	case parse.Delete:
		response.Set(name, v)
	case parse.Op:
	default:
		response.Set(name, parse.Clone(v))
	}
}

// afterSave runs the trigger once the save is visible to everybody: inside a transaction after its commit. Its errors are logged.
func (o *Objects) afterSave(ctx context.Context, s *Save) error {
	if !o.cfg.Cloud.Has(cloud.AfterSave, s.ClassName) {
		return nil
	}
	if o.tx != nil {
		o.tx.afterwards(func(ctx context.Context) { o.outside().runAfterSave(ctx, s) })
		return nil
	}
	o.runAfterSave(ctx, s)
	return nil
}

func (o *Objects) runAfterSave(ctx context.Context, s *Save) {
	object, original := shownTo(s.stored), shownTo(s.Original)
	o.complement(s, object)
	o.complement(s, original)
	before := object.Clone()
	req := &cloud.SaveRequest{Request: o.request(s.Caller, s.context()), Object: object, Original: original, Given: given(s.Data)}
	err := o.cfg.Cloud.Run(ctx, cloud.AfterSave, s.ClassName, req)
	if err == nil && req.Answer != nil {
		*s.Response = *req.Answer
		return
	}
	if err == nil {
		var changes *parse.Map
		if changes, err = changed(before, req.Object); err == nil {
			for name, v := range changes.All() {
				if !slices.Contains(untold, name) {
					told(s.Response, name, v)
				}
			}
			return
		}
	}
	o.cfg.Cloud.Log().Warn("afterSave failed; the object is stored", "class", s.ClassName, "id", s.ID, "error", err.Error())
}

// beforeDelete asks the trigger about an object that the caller may delete.
func (o *Objects) beforeDelete(ctx context.Context, caller *auth.Caller, object *parse.Object, shared *parse.Map) (*parse.Map, error) {
	if !o.cfg.Cloud.Has(cloud.BeforeDelete, object.ClassName) {
		return shared, nil
	}
	req := &cloud.DeleteRequest{Request: o.request(caller, shared), Object: shownTo(object)}
	if err := o.cfg.Cloud.Run(ctx, cloud.BeforeDelete, object.ClassName, req); err != nil {
		return nil, err
	}
	return req.Context, nil
}

// afterDelete runs the trigger once the object is gone for everybody. Its error is the answer, except after a transaction.
func (o *Objects) afterDelete(ctx context.Context, caller *auth.Caller, object *parse.Object, shared *parse.Map) error {
	if !o.cfg.Cloud.Has(cloud.AfterDelete, object.ClassName) {
		return nil
	}
	run := func(ctx context.Context, o *Objects) error {
		req := &cloud.DeleteRequest{Request: o.request(caller, shared), Object: shownTo(object)}
		return o.cfg.Cloud.Run(ctx, cloud.AfterDelete, object.ClassName, req)
	}
	if o.tx == nil {
		return run(ctx, o)
	}
	o.tx.afterwards(func(ctx context.Context) {
		if err := run(ctx, o.outside()); err != nil {
			o.cfg.Cloud.Log().Warn("afterDelete failed; the object is gone", "class", object.ClassName, "id", object.ID(), "error", err.Error())
		}
	})
	return nil
}

// beforeFind lets the trigger change the query. done tells that it gave the objects itself; they are in found.
func (r *reading) beforeFind(ctx context.Context, found *Found) (done bool, err error) {
	if !r.cfg.Cloud.Has(cloud.BeforeFind, r.q.ClassName) {
		return false, nil
	}
	// What the client asks may not depend on protected fields; what the trigger adds may.
	if class, ok := r.Objects.class(r.q.ClassName); ok {
		if err := r.cfg.Rules.CheckQuery(r.caller, class, &r.q); err != nil {
			return false, err
		}
	}
	asked := r.q
	mine := asked
	mine.Keys, mine.ExcludeKeys, mine.Order, mine.Include = slices.Clone(asked.Keys), slices.Clone(asked.ExcludeKeys), slices.Clone(asked.Order), slices.Clone(asked.Include)
	req := &cloud.FindRequest{Request: r.request(r.caller, r.context()), Query: &mine, Get: r.op == schema.OpGet, Count: asked.Count}
	if err := r.cfg.Cloud.Run(ctx, cloud.BeforeFind, asked.ClassName, req); err != nil {
		return false, err
	}
	r.shared = req.Context
	if req.Query != nil {
		r.q = *req.Query
		r.q.ClassName, r.q.Count, r.q.Explain, r.q.RedirectClassNameForKey = asked.ClassName, asked.Count, asked.Explain, asked.RedirectClassNameForKey
		r.changed = true
	}
	if req.Objects == nil {
		return false, nil
	}
	found.Objects, err = r.admitted(ctx, req.Objects)
	found.Count = int64(len(found.Objects))
	return true, err
}

// admitted are the objects of a beforeFind that the caller may see: what is stored is read again with the rights of the caller.
func (r *reading) admitted(ctx context.Context, objects []*parse.Object) ([]*parse.Object, error) {
	readable := map[string]*parse.Object{}
	if !r.caller.Privileged() {
		var ids []any
		for _, object := range objects {
			if object != nil && object.ID() != "" {
				ids = append(ids, object.ID())
			}
		}
		q := r.q
		q.Where, q.Limit, q.Skip, q.Order, q.Count = &query.Constraint{Key: "objectId", Op: query.In, Arg: ids}, -1, 0, nil, false
		if len(ids) > 0 {
			again := &reading{Objects: r.Objects, caller: r.caller, q: q, op: r.op, changed: true}
			answer := &Found{}
			if err := again.answer(ctx, answer); err != nil {
				return nil, err
			}
			for _, object := range answer.Objects {
				readable[object.ID()] = object
			}
		}
	}
	shown := []*parse.Object{}
	for _, object := range objects {
		switch {
		case object == nil:
		case object.ID() == "" || r.caller.Privileged():
			shown = append(shown, shownTo(object))
		case readable[object.ID()] != nil:
			shown = append(shown, readable[object.ID()])
		}
	}
	return shown, nil
}

// afterFind lets the trigger change what is shown.
func (r *reading) afterFind(ctx context.Context, class string, found *Found) error {
	if !r.cfg.Cloud.Has(cloud.AfterFind, class) || r.q.Explain {
		return nil
	}
	objects := make([]*parse.Object, len(found.Objects))
	for i, object := range found.Objects {
		objects[i] = object.Clone()
	}
	q := r.q
	req := &cloud.FoundRequest{Request: r.request(r.caller, r.context()), Query: &q, Get: r.op == schema.OpGet, Objects: objects}
	if err := r.cfg.Cloud.Run(ctx, cloud.AfterFind, class, req); err != nil {
		return err
	}
	found.Objects = make([]*parse.Object, 0, len(req.Objects))
	for _, object := range req.Objects {
		if object == nil {
			continue
		}
		value, err := cloud.Value(object)
		if err != nil {
			return parse.Errorf(parse.ScriptFailed, "An object cannot be shown: %v", err)
		}
		found.Objects = append(found.Objects, value.(*parse.Object))
	}
	found.made = true
	return nil
}

// context is what the triggers of this read share.
func (r *reading) context() *parse.Map {
	if r.shared == nil {
		r.shared = shared(r.caller)
	}
	return r.shared
}

// named gives objects that a trigger made the member className, as Parse Server does.
func (f *Found) named() {
	if !f.made {
		return
	}
	for _, object := range f.Objects {
		object.Set("className", object.ClassName)
	}
}

// LoggingIn runs beforeLogin for a user that has proven who it is.
func (o *Objects) LoggingIn(ctx context.Context, caller *auth.Caller, user *parse.Object) error {
	if !o.cfg.Cloud.Has(cloud.BeforeLogin, schema.UserClass) {
		return nil
	}
	return o.cfg.Cloud.Run(ctx, cloud.BeforeLogin, schema.UserClass, &cloud.LoginRequest{Request: o.request(caller, shared(caller)), Object: shownTo(user)})
}

// LoggedIn runs afterLogin for a user that has a session now, with this token.
func (o *Objects) LoggedIn(ctx context.Context, caller *auth.Caller, user *parse.Object, token string) error {
	if !o.cfg.Cloud.Has(cloud.AfterLogin, schema.UserClass) {
		return nil
	}
	who := *caller
	who.User, who.SessionToken = user, token
	return o.cfg.Cloud.Run(ctx, cloud.AfterLogin, schema.UserClass, &cloud.LoginRequest{Request: o.request(&who, shared(caller)), Object: shownTo(user)})
}

// WatchesLogout tells whether a logout has to read the session that it ends.
func (o *Objects) WatchesLogout() bool {
	return o.cfg.Cloud.Has(cloud.AfterLogout, schema.SessionClass)
}

// LoggedOut runs afterLogout for a session that has ended.
func (o *Objects) LoggedOut(ctx context.Context, caller *auth.Caller, session *parse.Object) error {
	return o.cfg.Cloud.Run(ctx, cloud.AfterLogout, schema.SessionClass, &cloud.LogoutRequest{Request: o.request(caller, shared(caller)), Object: shownTo(session)})
}

package object

import (
	"slices"
	"strings"

	"github.com/parley-backend/parley/internal/access"
	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// view is what one caller sees of the stored objects of one class.
type view struct {
	objects  *Objects
	caller   *auth.Caller
	class    *schema.Class
	behavior Behavior
	mask     *access.Mask
	// relations are the Relation fields of the class: they are shown whatever the query wants, as in Parse Server.
	relations []string
	// keys, when not nil, are the only fields that the query wants, without the fixed ones.
	keys []string
	// drop are the fields that the query does not want.
	drop []string
}

func (r *reading) newView() view {
	v := view{objects: r.Objects, caller: r.caller, class: r.class, behavior: r.behavior(r.class.Name), relations: r.plan(r.class).relations}
	v.mask = r.cfg.Rules.Mask(r.caller, r.class)
	if r.q.Keys == nil {
		for _, key := range r.q.ExcludeKeys {
			if !fixed(key) {
				v.drop = append(v.drop, key)
			}
		}
		return v
	}
	v.keys = make([]string, 0, len(r.q.Keys))
	for _, key := range r.q.Keys {
		if slices.Contains(r.q.ExcludeKeys, key) {
			continue
		}
		if root := query.Root(key); !fixed(root) && !slices.Contains(v.keys, root) {
			v.keys = append(v.keys, root)
		}
	}
	return v
}

// fixed tells whether a field is always there, whatever keys and excludeKeys say.
func fixed(name string) bool { return parse.ReservedField(name) }

// stored returns the fields that have to be read for this view, nil for all.
func (v *view) stored() []string {
	if v.keys == nil || v.class.Name == schema.UserClass && slices.Contains(v.keys, "authData") {
		return nil // authData is stored under names that only the objects know
	}
	needs := v.mask.Needs()
	if len(needs) == 0 {
		return v.keys
	}
	return append(slices.Clone(v.keys), needs...)
}

// show turns a stored object into what the caller sees, in place.
func (v *view) show(object *parse.Object) {
	expose(object)
	access.Strip(v.caller, object)
	hidden := v.mask.Hides(object)
	for _, name := range hidden {
		object.Delete(name)
	}
	v.reduce(object)
	for _, name := range v.relations {
		if !slices.Contains(hidden, name) {
			object.Set(name, parse.Relation{ClassName: v.class.Fields[name].TargetClass})
		}
	}
	v.behavior.Shape(v.caller, object)
	v.objects.addURLs(&object.Map)
}

// reduce leaves the fields that the query wants.
func (v *view) reduce(object *parse.Object) {
	if v.keys == nil {
		for _, name := range v.drop {
			object.Delete(name)
		}
		return
	}
	var unwanted []string
	for name := range object.All() {
		if !fixed(name) && !slices.Contains(v.keys, name) {
			unwanted = append(unwanted, name)
		}
	}
	for _, name := range unwanted {
		object.Delete(name)
	}
}

// expose turns the stored form of an object into the client's, in place: an ACL for _rperm and _wperm, and for a user one
// authData for what is stored of each provider.
func expose(object *parse.Object) {
	exposeACL(object)
	if object.ClassName != schema.UserClass {
		return
	}
	var authData *parse.Map
	for name, v := range object.All() {
		if provider, ok := strings.CutPrefix(name, schema.AuthDataPrefix); ok && v != nil {
			if authData == nil {
				authData = &parse.Map{}
			}
			authData.Set(provider, v)
		}
	}
	if authData != nil {
		object.Set("authData", authData)
	}
}

// addURLs gives the files among fields the URL under which they are read; what a client sent as URL counts for nothing. A file
// inside of another value stays as it was sent, as in Parse Server.
func (o *Objects) addURLs(fields *parse.Map) {
	if o.cfg.FileURL == nil {
		return
	}
	for name, v := range fields.All() {
		if f, ok := v.(parse.File); ok {
			f.URL = o.cfg.FileURL(f.Name)
			fields.Set(name, f)
		}
	}
}

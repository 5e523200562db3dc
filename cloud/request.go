package cloud

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
)

// Request is what every function and every trigger knows about who asks. Whatever it holds belongs to the function: it may be
// changed, and nobody else sees that unless a comment says so.
type Request struct {
	// User is who is logged in, nil for nobody. Roles are its roles as "role:Name", inherited ones included.
	User  *parse.Object
	Roles []string
	// Master: the request has the master key, or the read-only one; then ReadOnly is true too.
	Master, ReadOnly bool
	// InstallationID of the client, "" when it named none. The calls of a [Client] have the one "cloud".
	InstallationID string
	// IP is the address of the client, with trusted proxies taken into account.
	IP netip.Addr
	// Headers of the HTTP request, without any that holds a key, a session token or a cookie. Nil for what a [Client] asks.
	Headers http.Header
	// SessionToken that the request came with, for code that runs elsewhere and asks the server on its own; a [Client] needs none.
	SessionToken credential.Secret
	// Context is what the client handed over (X-Parse-Cloud-Context, or what [Client.WithContext] was given). The triggers of one save,
	// one delete or one read share it: what a before-trigger sets, the after-trigger finds. It is never nil.
	Context *parse.Map
	// Log gets what the function has to say; each record names the function or the trigger.
	Log *slog.Logger

	server Server
	scope  *scope
}

// Bind gives the request the server that its clients speak to. A server does it for every request; a test of cloud code may give
// a stand-in. With exclusive, which a transaction needs, clients work one after the other and end with the function.
func (r *Request) Bind(server Server, exclusive bool) {
	r.server = server
	r.scope = &scope{exclusive: exclusive}
}

// AsCaller returns a client that may do what whoever asks may do.
func (r *Request) AsCaller() *Client { return &Client{server: r.server, scope: r.scope} }

// AsMaster returns a client with the rights of the master key, whoever asks.
func (r *Request) AsMaster() *Client { return &Client{server: r.server.AsMaster(), scope: r.scope} }

// AsUser returns a client with the rights of a user, whoever asks: of its id and its roles. It is ObjectNotFound when there is none.
func (r *Request) AsUser(ctx context.Context, userID string) (*Client, error) {
	ctx, leave, err := r.scope.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	server, err := r.server.AsUser(ctx, userID)
	if err != nil {
		return nil, err
	}
	return &Client{server: server, scope: r.scope}, nil
}

// SaveRequest is what beforeSave and afterSave get.
type SaveRequest struct {
	Request
	// Object is the object as it is about to be stored (beforeSave) or as it was stored (afterSave): what was there, with what the
	// client writes applied to it. It has no objectId when beforeSave sees a create.
	//
	// beforeSave changes fields with Set and Delete. A value may be an operator, such as parse.Increment, which is then added to
	// what the client asked for and done by the database.
	Object *parse.Object
	// Original is the object before an update, nil for a create.
	Original *parse.Object
	// Given are the fields that the client writes.
	Given []string
	// Writes is what the client asked for: values and operators by field, dotted keys among them. It is there to be read.
	Writes *parse.Map
	// Answer, when an afterSave sets it, is what the client reads in place of the answer to its save.
	Answer *parse.Map

	replaced  *parse.Map
	withdrawn []string
}

// IsNew tells whether the save creates the object.
func (r *SaveRequest) IsNew() bool { return r.Original == nil }

// Dirty tells whether the save writes a field: the client does, or beforeSave has changed it.
func (r *SaveRequest) Dirty(field string) bool {
	if slices.Contains(r.Given, field) {
		return true
	}
	now, has := r.Object.Lookup(field)
	if r.Original == nil {
		return has
	}
	before, had := r.Original.Lookup(field)
	return has != had || !parse.Equal(now, before)
}

// DirtyKeys returns the fields that are [SaveRequest.Dirty]: first those that the client writes.
func (r *SaveRequest) DirtyKeys() []string {
	keys := slices.Clone(r.Given)
	add := func(o *parse.Object) {
		if o == nil {
			return
		}
		for name := range o.All() {
			if name != "objectId" && name != "createdAt" && name != "updatedAt" && !slices.Contains(keys, name) && r.Dirty(name) {
				keys = append(keys, name)
			}
		}
	}
	add(r.Object)
	add(r.Original)
	return keys
}

// DeleteRequest is what beforeDelete and afterDelete get.
type DeleteRequest struct {
	Request
	// Object that is to be deleted, or was.
	Object *parse.Object
}

// FindRequest is what beforeFind gets.
type FindRequest struct {
	Request
	// Query may be changed, all but its class: conditions are added with [query.AndOf].
	Query *query.Find
	// Get tells whether one object was asked for by its id, Count whether the number of matches was.
	Get, Count bool
	// Objects, when it is not nil, is the answer in place of what the query finds. What has an objectId is read again with the
	// rights of the caller, and left out when these do not suffice; what has none is shown as it is.
	Objects []*parse.Object
}

// FoundRequest is what afterFind gets.
type FoundRequest struct {
	Request
	// Query as it was run.
	Query *query.Find
	// Get tells whether one object was asked for by its id.
	Get bool
	// Objects as the caller would see them: fields that are protected from the caller are not there.
	Objects []*parse.Object
}

// LoginRequest is what beforeLogin and afterLogin get.
type LoginRequest struct {
	Request
	// Object is the user, without its session token. It is a copy: to change the user, save it.
	Object *parse.Object
}

// LogoutRequest is what afterLogout gets.
type LogoutRequest struct {
	Request
	// Object is the session that has ended, without its token.
	Object *parse.Object
}

// FunctionRequest is what a function gets.
type FunctionRequest struct {
	Request
	// Function is the name it was called by.
	Function string
	// Params are the members of the body and the parameters of the URL, decoded: parse.Date, parse.Pointer, parse.File and so on.
	Params *parse.Map
	// Status of the answer, 0 for 200; Header is sent with it. Both count when the function succeeds.
	Status int
	Header http.Header
}

// requests are the types of this file, as the dispatcher sees them.
type requests interface {
	base() *Request
	// subject is what a validator looks at.
	subject() (params *parse.Map, object, original *parse.Object)
}

func (r *Request) base() *Request { return r }

func (r *SaveRequest) subject() (*parse.Map, *parse.Object, *parse.Object) {
	return nil, r.Object, r.Original
}
func (r *DeleteRequest) subject() (*parse.Map, *parse.Object, *parse.Object) {
	return nil, r.Object, nil
}
func (r *FindRequest) subject() (*parse.Map, *parse.Object, *parse.Object)  { return nil, nil, nil }
func (r *FoundRequest) subject() (*parse.Map, *parse.Object, *parse.Object) { return nil, nil, nil }
func (r *LoginRequest) subject() (*parse.Map, *parse.Object, *parse.Object) {
	return nil, r.Object, nil
}
func (r *LogoutRequest) subject() (*parse.Map, *parse.Object, *parse.Object) {
	return nil, r.Object, nil
}
func (r *FunctionRequest) subject() (*parse.Map, *parse.Object, *parse.Object) {
	return r.Params, nil, nil
}

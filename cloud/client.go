package cloud

import (
	"context"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
)

// Client asks the server from inside of cloud code, in process and under the same rules as a request over HTTP: class-level permissions, ACLs,
// protected fields, triggers. Whose rights it has says the method that made it. Errors are *parse.Error.
//
// A client of a trigger that runs in a transaction (a batch with "transaction") is part of that transaction, and of no use once
// the trigger has returned. Any other may be used for as long as the server runs.
type Client struct {
	server Server
	scope  *scope
}

// NewClient returns a client of a server.
func NewClient(server Server) *Client { return &Client{server: server} }

// Server is what a [Client] speaks to: a server with the rights of one caller. Answers are those of the REST API.
type Server interface {
	Get(ctx context.Context, class, id string, q *query.Find) (*parse.Object, error)
	Find(ctx context.Context, q *query.Find) ([]*parse.Object, error)
	Count(ctx context.Context, q *query.Find) (int64, error)
	// Create and Update return the body of the answer; id is that of the new object.
	Create(ctx context.Context, class string, data *parse.Map) (body *parse.Map, err error)
	Update(ctx context.Context, class, id string, data *parse.Map) (body *parse.Map, err error)
	Delete(ctx context.Context, class, id string) error
	Call(ctx context.Context, function string, params *parse.Map) (any, error)

	// AsMaster, AsUser and WithContext return the server for somebody else.
	AsMaster() Server
	AsUser(ctx context.Context, userID string) (Server, error)
	WithContext(context *parse.Map) Server
}

// WithContext returns a client that hands values to the triggers of what it asks for: their [Request.Context].
func (c *Client) WithContext(values *parse.Map) *Client {
	return &Client{server: c.server.WithContext(values), scope: c.scope}
}

// Get returns one object, ObjectNotFound when there is none that may be read.
func (c *Client) Get(ctx context.Context, class, id string) (*parse.Object, error) {
	ctx, leave, err := c.scope.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	return c.server.Get(ctx, class, id, nil)
}

// Find runs a query; a Limit of 0 is 100, a negative one no limit. Conditions are written as package query has them, or read from
// their JSON with [query.ParseWhere].
func (c *Client) Find(ctx context.Context, q *query.Find) ([]*parse.Object, error) {
	ctx, leave, err := c.scope.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	asked := *q
	if asked.Limit == 0 {
		asked.Limit = defaultLimit
	}
	return c.server.Find(ctx, &asked)
}

const defaultLimit = 100

// First returns the first object that a query finds, ObjectNotFound when it finds none.
func (c *Client) First(ctx context.Context, q *query.Find) (*parse.Object, error) {
	one := *q
	one.Limit = 1
	found, err := c.Find(ctx, &one)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, parse.Errorf(parse.ObjectNotFound, "Object not found.")
	}
	return found[0], nil
}

// Count returns how many objects a query matches, whatever its limit.
func (c *Client) Count(ctx context.Context, q *query.Find) (int64, error) {
	ctx, leave, err := c.scope.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	asked := *q
	asked.Limit, asked.Skip, asked.Count = 0, 0, true
	return c.server.Count(ctx, &asked)
}

// Save creates an object that has no objectId, and updates one that has: all of its fields are written. To write some of them, save an
// object that has only those. Fields may hold operators (parse.Increment, parse.AddUnique, …) and whatever [Value] takes.
//
// Afterwards the object has its objectId, its dates, the results of its operators, and what triggers changed.
func (c *Client) Save(ctx context.Context, object *parse.Object) error {
	ctx, leave, err := c.scope.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	data := &parse.Map{}
	for name, v := range object.All() {
		_, relation := v.(parse.Relation)
		if relation || name == "objectId" || name == "createdAt" || name == "updatedAt" {
			continue
		}
		value, err := fieldValue(v)
		if err != nil {
			return parse.Errorf(parse.InvalidJSON, "field %s: %v", name, err)
		}
		data.Set(name, value)
	}
	var body *parse.Map
	if id := object.ID(); id == "" {
		body, err = c.server.Create(ctx, object.ClassName, data)
	} else {
		body, err = c.server.Update(ctx, object.ClassName, id, data)
	}
	if err != nil {
		return err
	}
	learn(object, data, body)
	return nil
}

// learn brings an object up to the answer to its save.
func learn(object *parse.Object, data, body *parse.Map) {
	for name, v := range data.All() {
		if _, op := v.(parse.Op); op {
			object.Delete(name) // the result, if there is one, is in the answer
		}
	}
	for name, v := range body.All() {
		if _, gone := v.(parse.Delete); gone {
			object.Delete(name)
			continue
		}
		if text, ok := v.(string); ok && (name == "createdAt" || name == "updatedAt") {
			if date, ok := parse.ParseDate(text); ok {
				v = date
			}
		}
		object.Set(name, v)
	}
	if created, ok := body.Lookup("createdAt"); ok && !body.Has("updatedAt") && created != nil {
		object.Set("updatedAt", object.Get("createdAt"))
	}
}

// Delete removes an object.
func (c *Client) Delete(ctx context.Context, class, id string) error {
	ctx, leave, err := c.scope.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return c.server.Delete(ctx, class, id)
}

// Call runs a function, with its validators. params, which may be nil, are not changed. The result is what a client reads, as a value
// of package parse, nil for none.
func (c *Client) Call(ctx context.Context, function string, params *parse.Map) (any, error) {
	ctx, leave, err := c.scope.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	return c.server.Call(ctx, function, params)
}

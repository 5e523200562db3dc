package cloud

import (
	"context"
	"net/http"

	"github.com/parley-backend/parley/parse"
)

// Ask is a request of the REST API that cloud code makes in process: what an SDK inside of it asks of its server. It has the rights
// that it names and no others, whoever asked the code.
type Ask struct {
	Method string
	// Path below the mount path, as /classes/Thing; it may have a query string.
	Path string
	// Body holds the members of the body, or of a GET its parameters.
	Body *parse.Map
	// Master asks with the master key, else SessionToken, when it is not "", says who asks.
	Master       bool
	SessionToken string
	// InstallationID is "cloud" when it is "".
	InstallationID string
	// Context goes to the triggers of what is asked for; may be nil.
	Context *parse.Map
}

// Answer is the answer to an [Ask]. From status 400 on its body holds an error.
type Answer struct {
	Status int
	Header http.Header
	// Body is a value of package parse, nil for none.
	Body any
}

// asker is a [Server] that answers whatever the REST API answers.
type asker interface {
	Ask(ctx context.Context, ask Ask) (*Answer, error)
}

// Ask asks whatever the REST API answers. An error is one of the client itself: its transaction has ended, or its server has no such
// API; what the API refuses is an [Answer].
func (c *Client) Ask(ctx context.Context, ask Ask) (*Answer, error) {
	server, ok := c.server.(asker)
	if !ok {
		return nil, parse.Errorf(parse.ScriptFailed, "This server has no REST API in process.")
	}
	ctx, leave, err := c.scope.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	return server.Ask(ctx, ask)
}

// Replace makes the save write v to a field, a value or an operator, in place of whatever the client asked for. Unlike an operator that is
// set in Object it is not added to that of the client. It counts in a beforeSave; what Object holds of the field then does not.
func (r *SaveRequest) Replace(field string, v any) {
	if r.replaced == nil {
		r.replaced = &parse.Map{}
	}
	r.replaced.Set(field, v)
}

// Withdraw makes the save leave a field alone, whatever the client asked for.
func (r *SaveRequest) Withdraw(field string) { r.withdrawn = append(r.withdrawn, field) }

// Replaced returns what Replace and Withdraw were told; the map may be nil.
func (r *SaveRequest) Replaced() (writes *parse.Map, withdrawn []string) {
	return r.replaced, r.withdrawn
}

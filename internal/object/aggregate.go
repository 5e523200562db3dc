package object

import (
	"context"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
)

// Aggregate runs a pipeline, or a distinct; master key only.
func (o *Objects) Aggregate(ctx context.Context, caller *auth.Caller, class string, p *query.Pipeline) ([]any, error) {
	if !caller.Master {
		return nil, parse.Denied(parse.OperationForbidden, "unauthorized: master key is required")
	}
	return nil, parse.Errorf(parse.InvalidQuery, "not there yet")
}

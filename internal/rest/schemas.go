package rest

import (
	"context"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/schema"
)

func listSchemas(_ context.Context, s *Server, _ *request) (*reply, error) {
	all := s.cfg.Schemas.All()
	items := make([]any, len(all))
	for i, class := range all {
		items[i] = schema.ToJSON(class)
	}
	return results(items), nil
}

func getSchema(_ context.Context, s *Server, r *request) (*reply, error) {
	class, err := s.cfg.Schemas.Describe(r.params.get("class"))
	if err != nil {
		return nil, err
	}
	return &reply{body: schema.ToJSON(class)}, nil
}

func createSchema(ctx context.Context, s *Server, r *request) (*reply, error) {
	name, err := schemaName(r)
	if err != nil {
		return nil, err
	}
	if name == "" {
		return nil, parse.Errorf(parse.MissingRequiredField, "POST %s needs a class name.", r.path)
	}
	class, err := s.cfg.Schemas.Create(ctx, name, r.body)
	if err != nil {
		return nil, err
	}
	return &reply{body: schema.CreatedJSON(class)}, nil
}

func modifySchema(ctx context.Context, s *Server, r *request) (*reply, error) {
	name, err := schemaName(r)
	if err != nil {
		return nil, err
	}
	class, err := s.cfg.Schemas.Modify(ctx, name, r.body)
	if err != nil {
		return nil, err
	}
	return &reply{body: schema.ToJSON(s.cfg.Rules.Shown(class))}, nil
}

func dropSchema(ctx context.Context, s *Server, r *request) (*reply, error) {
	if err := s.cfg.Schemas.Drop(ctx, r.params.get("class")); err != nil {
		return nil, err
	}
	return empty(), nil
}

// schemaName is the class that the path or the body names; they must not name different ones.
func schemaName(r *request) (string, error) {
	inPath, inBody := r.params.get("class"), r.body.String("className")
	switch {
	case inPath == "":
		return inBody, nil
	case inBody != "" && inBody != inPath:
		return "", parse.Errorf(parse.InvalidClassName, "Class name mismatch between %s and %s.", inBody, inPath)
	}
	return inPath, nil
}

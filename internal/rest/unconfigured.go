package rest

import (
	"context"
	"net/http"
	"strings"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
)

// unconfigured are the routes of features that this server does not have (yet). They answer as Parse Server does where the
// feature is not configured, so that a client can tell "not here" from "no such route".
var unconfigured = []route{
	{http.MethodPost, "/push", masterWrite, noPush, false},
	{http.MethodGet, "/scriptlog", masterKey, noLogs, false},
	{http.MethodGet, "/graphql-config", masterKey, emptyObject, false},
	{http.MethodPut, "/graphql-config", masterWrite, noGraphQL, false},

	{http.MethodPost, "/validate_purchase", anyone, noPurchase, false},

	{http.MethodPost, "/files", anyone, noFileName, false},
	{http.MethodPost, "/files/*name", anyone, noUpload, false},
	{http.MethodDelete, "/files/*name", masterKey, noFileToDelete, false},
	{http.MethodGet, "/files/:app/*name", nothing, noFile, false},
}

func emptyObject(context.Context, *Server, *request) (*reply, error) { return empty(), nil }

func noPush(_ context.Context, _ *Server, r *request) (*reply, error) {
	where, channels := r.body.Has("where"), r.body.Has("channels")
	switch {
	case where && channels:
		return nil, parse.Errorf(parse.PushMisconfigured, "Channels and query can not be set at the same time.")
	case !where && !channels:
		return nil, parse.Errorf(parse.PushMisconfigured, `Sending a push requires either "channels" or a "where" query.`)
	}
	return nil, parse.Errorf(parse.PushMisconfigured, "Missing push configuration")
}

func noLogs(context.Context, *Server, *request) (*reply, error) {
	return nil, parse.Errorf(parse.PushMisconfigured, "Logger adapter is not available")
}

func noGraphQL(context.Context, *Server, *request) (*reply, error) {
	return nil, parse.Errorf(parse.CommandUnavailable, "GraphQL is not available on this server")
}

func noPurchase(_ context.Context, _ *Server, r *request) (*reply, error) {
	if !r.body.Has("receipt") || !r.body.Has("productIdentifier") {
		return nil, parse.Errorf(parse.InvalidJSON, "missing receipt or productIdentifier")
	}
	return nil, parse.Errorf(parse.CommandUnavailable, "Purchases cannot be validated by this server")
}

func noFileName(context.Context, *Server, *request) (*reply, error) {
	return nil, parse.Errorf(parse.InvalidFileName, "Filename not provided.")
}

// noUpload answers in the order of a server that could store files: who may upload comes before whether it works.
func noUpload(_ context.Context, _ *Server, r *request) (*reply, error) {
	c := r.caller
	switch {
	case c.ReadOnly:
		return nil, readOnlyFile("create")
	case c.User == nil && !c.Privileged():
		return nil, parse.Errorf(parse.FileSaveError, "File upload by public is disabled.")
	case c.User != nil && mapOf(c.User.Get("authData")).Has("anonymous"):
		return nil, parse.Errorf(parse.FileSaveError, "File upload by anonymous user is disabled.")
	}
	return nil, parse.Errorf(parse.FileSaveError, "File storage is not configured.")
}

// readOnlyFile refuses the read-only key where files are written: unlike elsewhere, without a code.
func readOnlyFile(deed string) *auth.Refusal {
	return &auth.Refusal{Status: http.StatusForbidden, Message: "Permission denied", Reason: "read-only masterKey isn't allowed to " + deed + " a file."}
}

func noFileToDelete(_ context.Context, _ *Server, r *request) (*reply, error) {
	if r.caller.ReadOnly {
		return nil, readOnlyFile("delete")
	}
	return nil, parse.Errorf(parse.FileDeleteError, "File storage is not configured.")
}

func noFile(_ context.Context, s *Server, r *request) (*reply, error) {
	app, name, _ := strings.Cut(strings.TrimPrefix(r.path, "/files/"), "/")
	if app != s.cfg.AppID {
		return nil, &auth.Refusal{Status: http.StatusForbidden, Message: "Permission denied", Reason: "Invalid application ID."}
	}
	if strings.HasPrefix(name, "metadata/") {
		return empty(), nil
	}
	return &reply{status: http.StatusNotFound, text: "File not found.", contentType: "text/plain; charset=utf-8"}, nil
}

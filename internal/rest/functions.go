package rest

import (
	"context"
	"maps"
	"net/http"
	"slices"

	"github.com/parley-backend/parley/parse"
)

// callFunction answers POST /functions/name: a function of the cloud code with the members of the body and the parameters of the
// URL, which are text.
func callFunction(ctx context.Context, _ *Server, r *request) (*reply, error) {
	params := withQuery(r)
	answer, err := r.objects.Call(ctx, r.caller, r.params.get("name"), params)
	if err != nil {
		return nil, err
	}
	body := &parse.Map{}
	if answer.Given {
		body.Set("result", answer.Result)
	}
	done := &reply{status: answer.Status, body: body}
	for name, values := range answer.Header {
		if done.headers == nil {
			done.headers = map[string]string{}
		}
		done.headers[name] = values[len(values)-1]
	}
	return done, nil
}

// withQuery are the members of the body and the parameters of the URL, which are text.
func withQuery(r *request) *parse.Map {
	params := r.body
	if len(r.query) > 0 {
		params = r.body.Clone()
		for _, name := range slices.Sorted(maps.Keys(r.query)) {
			values := r.query[name]
			if len(values) == 1 {
				params.Set(name, values[0])
				continue
			}
			list := make([]any, len(values))
			for i := range values {
				list[i] = values[i]
			}
			params.Set(name, list)
		}
	}
	return params
}

// secret are the headers that cloud code does not see: who has one of them could act as the client, or as the application.
var secret = []string{
	"X-Parse-Master-Key", "X-Parse-Maintenance-Key", "X-Parse-Session-Token", "X-Parse-Client-Key", "X-Parse-Javascript-Key", "X-Parse-Windows-Key",
	"X-Parse-Rest-Api-Key", "Authorization", "Proxy-Authorization", "Cookie",
}

// harmless returns the headers that cloud code sees.
func harmless(h http.Header) http.Header {
	shown := h.Clone()
	for _, name := range secret {
		shown.Del(name)
	}
	return shown
}

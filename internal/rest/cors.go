package rest

import (
	"net/http"
	"slices"
	"strings"
)

// allowedHeaders is what a browser may send by default (contract parse-api.md, 1.2). What the SDK of a browser needs besides is added with the option allowHeaders.
const allowedHeaders = "X-Parse-Master-Key, X-Parse-REST-API-Key, X-Parse-Javascript-Key, X-Parse-Application-Id, X-Parse-Client-Version, X-Parse-Session-Token, X-Requested-With, X-Parse-Revocable-Session, X-Parse-Request-Id, Content-Type, Pragma, Cache-Control"

// cors writes the headers that let a page of another origin use the API: the origin is echoed when the list holds it,
// else the first of the list is named, else every origin may.
func (s *Server) cors(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	origin := "*"
	if list := s.cfg.AllowOrigin; len(list) > 0 {
		origin = list[0]
		if o := r.Header.Get("Origin"); slices.Contains(list, o) {
			origin = o
		}
		if len(list) > 1 {
			h.Add("Vary", "Origin")
		}
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h["Access-Control-Allow-Methods"] = corsMethods
	h["Access-Control-Expose-Headers"] = corsExposed
	if len(s.cfg.AllowHeaders) > 0 {
		h.Set("Access-Control-Allow-Headers", allowedHeaders+", "+strings.Join(s.cfg.AllowHeaders, ", "))
	} else {
		h["Access-Control-Allow-Headers"] = corsHeaders
	}
}

// The values that never change, made once: every answer carries them.
var (
	corsMethods = []string{"GET,PUT,POST,DELETE,OPTIONS"}
	corsExposed = []string{"X-Parse-Job-Status-Id, X-Parse-Push-Status-Id"}
	corsHeaders = []string{allowedHeaders}
)

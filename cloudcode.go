package parley

import (
	"regexp"
	"strings"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/internal/rest"
)

// Client returns a client that asks this server in process with the rights of the master key: for what an application does beside
// requests. Cloud code has clients of its own, see [cloud.Request].
func (s *Server) Client() *cloud.Client { return cloud.NewClient(s.objects.Acting(auth.System)) }

// limitCloud makes the rate limits of the cloud code of this moment those of the REST API.
func (s *Server) limitCloud() {
	var limits []RateLimit
	for _, l := range s.cloud.Limits() {
		paths := make([]string, 0, len(l.Paths))
		for _, path := range l.Paths {
			compiled, err := CompilePath(path)
			if err != nil { // names are checked when they are registered
				s.log.Error("the rate limit of cloud code does not count", "path", path, "error", err.Error())
				continue
			}
			paths = append(paths, compiled.String())
		}
		if len(paths) == 0 {
			continue
		}
		limits = append(limits, RateLimit{
			Path: regexp.MustCompile(strings.Join(paths, "|")), Methods: rest.MethodsOf(l.Methods), Count: l.Count, Window: l.Window, Zone: Zone(l.Zone),
			Message: l.Message, IncludeMaster: l.IncludeMaster, IncludeInternal: l.IncludeInternal,
		})
	}
	s.rest.SetRateLimits(limits)
}

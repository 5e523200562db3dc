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

// cloudLimits are the rate limits of cloud code as the REST API counts them.
func cloudLimits(hooks *cloud.Hooks) ([]RateLimit, error) {
	var limits []RateLimit
	for _, l := range hooks.Limits() {
		paths := make([]string, len(l.Paths))
		for i, path := range l.Paths {
			compiled, err := CompilePath(path)
			if err != nil {
				return nil, err
			}
			paths[i] = compiled.String()
		}
		path, err := regexp.Compile(strings.Join(paths, "|"))
		if err != nil {
			return nil, err
		}
		limits = append(limits, RateLimit{
			Path: path, Methods: rest.MethodsOf(l.Methods), Count: l.Count, Window: l.Window, Zone: Zone(l.Zone),
			Message: l.Message, IncludeMaster: l.IncludeMaster, IncludeInternal: l.IncludeInternal,
		})
	}
	return limits, nil
}

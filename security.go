package parley

import (
	"context"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/internal/rest"
)

// check makes one row of the security report.
func check(good bool, title, warning, solution string) rest.SecurityCheck {
	state := rest.CheckSuccess
	if !good {
		state = rest.CheckFail
	}
	return rest.SecurityCheck{Title: title, State: state, Warning: warning, Solution: solution}
}

// securityReport looks for settings that are weaker than they need be.
func (s *Server) securityReport(context.Context) rest.SecurityReport {
	c, keys := &s.cfg, s.keys.Now()
	l := c.Query.Limits
	unlimited := l.QueryDepth < 1 || l.SubqueryDepth < 1 || l.SubqueryLimit < 1 || l.IncludeDepth < 1 || l.IncludeCount < 1 || c.BatchLimit < 1
	report := rest.SecurityReport{Groups: []rest.SecurityGroup{{
		Name: "Parse Server Configuration",
		Checks: []rest.SecurityCheck{
			check(!s.weak.any(), "Secure master key",
				"A key is short enough to be guessed.",
				"Rotate it to a random value of at least 32 characters."),
			check(!c.SecurityCheckLog, "Security log disabled",
				"The report of this check is written to the log, where others may read it.",
				"Set 'security.enableCheckLog' to false."),
			check(!c.AllowClientClassCreation, "Client class creation disabled",
				"Everybody may create classes and fill the database.",
				"Set 'allowClientClassCreation' to false."),
			check(!c.Users.PublicUsers, "Users are created without public access",
				"New users can be read by everybody.",
				"Set 'enforcePrivateUsers' to true."),
			check(!c.Query.PublicExplain, "Public database explain disabled",
				"Everybody may ask for the plan of a query, which shows how the database is built.",
				"Set 'databaseOptions.allowPublicExplain' to false."),
			check(keys.ReadOnly.Verifier == nil || !keys.ReadOnly.IPs.All(), "Read-only master key IP range restricted",
				"The read-only master key may be used from every address.",
				"Set 'readOnlyMasterKeyIps' to the addresses that need it."),
			check(!keys.Master.IPs.All() && (keys.Maintenance.Verifier == nil || !keys.Maintenance.IPs.All()), "Master key IP range restricted",
				"The master or the maintenance key may be used from every address.",
				"Set 'masterKeyIps' and 'maintenanceKeyIps' to the addresses that need them."),
			check(!unlimited, "Request complexity limits enabled",
				"At least one limit of request complexity is off: a deeply nested or very broad query can keep the server busy.",
				"Set every member of 'requestComplexity' to a positive number."),
		},
	}}}
	report.Groups = append(report.Groups, s.rotationChecks()...)
	return report
}

// rotationChecks are a group for each kind of key, with a check for each key: is it older than it should become? Nothing is enforced.
func (s *Server) rotationChecks() []rest.SecurityGroup {
	var groups []rest.SecurityGroup
	for _, kind := range []struct {
		credential.Kind
		name string
	}{{credential.Master, "Rotation of privileged keys"}, {credential.API, "Rotation of client keys"}, {credential.Webhook, "Rotation of webhook keys"}} {
		group := rest.SecurityGroup{Name: kind.name}
		for _, c := range s.set.All() {
			if key := c.Status(); key.Kind == kind.Kind && !key.Withdrawn {
				group.Checks = append(group.Checks, check(!key.Overdue, key.Name+" rotated in time",
					"The key is in use for longer than it should be: its rotation was due on "+key.RotationDue.UTC().Format(time.DateOnly)+".",
					"Run 'parley keys rotate "+key.Name+"', or replace the value where it is kept; the one before stays accepted for the overlap."))
			}
		}
		if len(group.Checks) > 0 {
			groups = append(groups, group)
		}
	}
	return groups
}

func (s *Server) logSecurity(ctx context.Context) {
	for _, g := range s.securityReport(ctx).Groups {
		for _, c := range g.Checks {
			if c.State == rest.CheckFail {
				s.log.Warn("security check failed", "check", c.Title, "warning", c.Warning, "solution", c.Solution)
			}
		}
	}
}

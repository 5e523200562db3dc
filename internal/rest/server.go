package rest

import (
	"context"
	"net/http"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
)

func health(_ context.Context, s *Server, _ *request) (*reply, error) {
	state := s.cfg.State()
	answer := &reply{body: parse.NewMap("status", string(state))}
	if state != OK {
		answer.status = http.StatusServiceUnavailable
	}
	if state == Starting {
		answer.headers = map[string]string{"Retry-After": "1"}
	}
	return answer, nil
}

// serverInfo tells SDKs and dashboards what this server can do.
func serverInfo(_ context.Context, s *Server, _ *request) (*reply, error) {
	all := func(names ...string) *parse.Map {
		m := &parse.Map{}
		for _, name := range names {
			m.Set(name, true)
		}
		return m
	}
	schemas := all("addField", "removeField", "addClass", "removeClass", "clearAllDataFromClass")
	schemas.Set("exportClass", false)
	schemas.Set("editClassLevelPermissions", true)
	schemas.Set("editPointerPermissions", true)
	none := func(names ...string) *parse.Map {
		m := &parse.Map{}
		for _, name := range names {
			m.Set(name, false)
		}
		return m
	}
	push := none("immediatePush", "scheduledPush", "storedPushData")
	push.Set("pushAudiences", true)
	push.Set("localization", true)
	return &reply{body: parse.NewMap(
		"features", parse.NewMap(
			"globalConfig", all("create", "read", "update", "delete"),
			"hooks", none("create", "read", "update", "delete"),
			"cloudCode", none("jobs"),
			"logs", none("level", "size", "order", "until", "from"),
			"push", push,
			"schemas", schemas,
			"settings", parse.NewMap("securityCheck", s.cfg.Security != nil),
		),
		"parseServerVersion", s.cfg.Version,
	)}, nil
}

// CheckState is the outcome of a security check.
type CheckState string

// The outcomes.
const (
	CheckSuccess CheckState = "success"
	CheckFail    CheckState = "fail"
)

// SecurityReport is the answer of /security.
type SecurityReport struct {
	Groups []SecurityGroup
}

// SecurityGroup are checks that belong together.
type SecurityGroup struct {
	Name   string
	Checks []SecurityCheck
}

// SecurityCheck is one check. Warning and Solution are told when it fails.
type SecurityCheck struct {
	Title             string
	State             CheckState
	Warning, Solution string
}

func security(ctx context.Context, s *Server, _ *request) (*reply, error) {
	if s.cfg.Security == nil {
		return nil, &auth.Refusal{Status: http.StatusConflict, Message: "Enable Parse Server option `security.enableCheck` to run security check."}
	}
	report := s.cfg.Security(ctx)
	groups := make([]any, len(report.Groups))
	overall := CheckSuccess
	for i, g := range report.Groups {
		state := CheckSuccess
		checks := make([]any, len(g.Checks))
		for j, c := range g.Checks {
			m := parse.NewMap("title", c.Title, "state", string(c.State))
			if c.State == CheckFail {
				state, overall = CheckFail, CheckFail
				m.Set("warning", c.Warning)
				m.Set("solution", c.Solution)
			}
			checks[j] = m
		}
		groups[i] = parse.NewMap("name", g.Name, "state", string(state), "checks", checks)
	}
	return &reply{body: parse.NewMap("report", parse.NewMap("version", "1.0.0", "state", string(overall), "groups", groups))}, nil
}

// event accepts an analytics event. Nothing listens to it yet.
func event(context.Context, *Server, *request) (*reply, error) { return empty(), nil }

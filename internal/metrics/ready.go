package metrics

import (
	"encoding/json"
	"net/http"

	"github.com/parley-backend/parley/credential"
)

// readiness is the answer of /ready.
type readiness struct {
	// Ready: every credential that is required can be used.
	Ready bool `json:"ready"`
	// Degraded: it is so, but some credential is stale, fails, is supplied by a fallback, or is not required and cannot be used; or not all
	// workers of cloud code are ready. A call waits for its worker, and code that crashes on one server crashes on all: that they are all
	// taken out of service would help nobody.
	Degraded    bool              `json:"degraded"`
	Credentials []credentialReady `json:"credentials"`
	CloudCode   *cloudReady       `json:"cloudCode,omitempty"`
}

// cloudReady is the state of cloud code in JavaScript: how many workers there are to be, and how many are ready for calls.
type cloudReady struct {
	Workers int `json:"workers"`
	Ready   int `json:"ready"`
}

// credentialReady is what a probe may know of a credential: nothing of its versions, and of an error its class.
type credentialReady struct {
	Name      string               `json:"name"`
	Condition credential.Condition `json:"condition"`
	Required  bool                 `json:"required"`
	Ready     bool                 `json:"ready"`
	Degraded  bool                 `json:"degraded"`
	Error     credential.Class     `json:"error"` // of the latest attempt, "none" when it was good
	Overdue   bool                 `json:"overdue"`
}

// Ready serves whether the server can do its work, for each credential: 200, or 503 when one that is required cannot be used.
func (m *Metrics) Ready() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		all := m.readiness()
		status := http.StatusOK
		if !all.Ready {
			status = http.StatusServiceUnavailable
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(all) // who asked may have gone
	})
}

func (m *Metrics) readiness() readiness {
	all := readiness{Ready: true, Credentials: []credentialReady{}}
	for _, set := range m.sets {
		for _, c := range set.All() {
			s := c.Status()
			if s.Withdrawn {
				continue
			}
			all.Credentials = append(all.Credentials, credentialReady{
				Name: s.Name, Condition: s.Condition, Required: s.Required, Ready: s.Ready, Degraded: s.Degraded, Error: s.Class, Overdue: s.Overdue,
			})
			all.Ready = all.Ready && (s.Ready || !s.Required)
			all.Degraded = all.Degraded || s.Degraded || !s.Ready
		}
	}
	if m.code != nil {
		if s, ok := m.code(); ok {
			all.CloudCode = &cloudReady{s.Workers, s.Ready}
			all.Degraded = all.Degraded || s.Ready < s.Workers
		}
	}
	return all
}

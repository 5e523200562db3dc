package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-backend/parley/wasmcloud/secrets"
)

// Secrets shows the requests to a secrets backend, and returns what counts them. It is called once.
func (m *Metrics) Secrets() func(secrets.Observation) {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "parley_wasmcloud_secrets_requests_total", Help: "Requests for secrets by key, empty for one that is not configured, and outcome: served, or the error's name.",
	}, []string{"key", "outcome"})
	seconds := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "parley_wasmcloud_secrets_request_seconds", Help: "Time to answer a request for a secret.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .05, .1, .5, 1, 5},
	})
	m.registry.MustRegister(requests, seconds)
	return func(o secrets.Observation) {
		requests.WithLabelValues(o.Key, o.Outcome).Inc()
		seconds.Observe(o.Duration.Seconds())
	}
}

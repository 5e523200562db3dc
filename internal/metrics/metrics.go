// Package metrics counts requests and shows the state of the credentials to Prometheus. No label ever holds a value, a path
// or anything else that a client chose.
package metrics

import (
	"net/http"
	"slices"
	"strconv"
	"sync"

	"github.com/parley-backend/parley/cloud/node"
	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/internal/rest"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are the metrics of one server.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	reloads  *prometheus.CounterVec
	sets     []*credential.Set
	code     func() (node.Status, bool) // nil for none
	// known are the metrics of what was observed before, by kind: finding them by their labels costs more than counting.
	known sync.Map
}

// kind is what requests have in common that share their metrics. There are few: routes, methods and statuses are bounded.
type kind struct {
	route, method string
	status        int
}

type series struct {
	requests prometheus.Counter
	seconds  prometheus.Observer
}

// New returns the metrics of a server that has not begun.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parley_http_requests_total", Help: "Finished requests by route, method and status.",
		}, []string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "parley_http_request_seconds", Help: "Time from the first byte of a request to the last of its answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"route", "method"}),
	}
	m.reloads = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "parley_config_reloads_total", Help: "Times that the configuration was read again, by what came of it: done or refused.",
	}, []string{"outcome"})
	for _, outcome := range reloadOutcomes {
		m.reloads.WithLabelValues(outcome) // shown from the beginning, as 0
	}
	m.registry.MustRegister(m.requests, m.seconds, m.reloads, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Observe counts one request.
func (m *Metrics) Observe(o rest.Observation) {
	route := o.Route
	if route == "" {
		route = "none"
	}
	k := kind{route, o.Method, o.Status}
	found, ok := m.known.Load(k)
	if !ok {
		found, _ = m.known.LoadOrStore(k, &series{
			requests: m.requests.WithLabelValues(k.route, k.method, strconv.Itoa(k.status)),
			seconds:  m.seconds.WithLabelValues(k.route, k.method),
		})
	}
	s := found.(*series)
	s.requests.Inc()
	s.seconds.Observe(o.Duration.Seconds())
}

var reloadOutcomes = map[bool]string{true: "done", false: "refused"}

// Reloaded counts one reading of the configuration.
func (m *Metrics) Reloaded(done bool) { m.reloads.WithLabelValues(reloadOutcomes[done]).Inc() }

// Credentials shows the credentials of some sets, of which those that are nil are none. It is called once, before anything is served.
func (m *Metrics) Credentials(sets ...*credential.Set) {
	m.sets = slices.DeleteFunc(slices.Clone(sets), func(s *credential.Set) bool { return s == nil })
	m.registry.MustRegister(credentials{m.sets})
}

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// credentials reads the status of each credential when Prometheus asks.
type credentials struct{ sets []*credential.Set }

var (
	ready = prometheus.NewDesc("parley_credential_ready", "1 when the credential can be used.", []string{"credential"}, nil)
	age   = prometheus.NewDesc("parley_credential_age_seconds", "Time since the last good reading of the source.", []string{"credential"}, nil)
	fails = prometheus.NewDesc("parley_credential_consecutive_failures", "Attempts to read the source that failed in a row.", []string{"credential"}, nil)
	reads = prometheus.NewDesc("parley_credential_fetches_total", "Attempts to read the source.", []string{"credential"}, nil)
	made  = prometheus.NewDesc("parley_credential_decisions_total", "Verifications by their outcome.", []string{"credential", "reason"}, nil)
	live  = prometheus.NewDesc("parley_credential_versions", "Versions by state.", []string{"credential", "state"}, nil)
	late  = prometheus.NewDesc("parley_credential_rotation_overdue", "1 when the credential is older than it should become.", []string{"credential"}, nil)
	used  = prometheus.NewDesc("parley_credential_previous_uses_total", "Verifications that a replaced version passed: who still uses the old key.", []string{"credential"}, nil)
)

func (c credentials) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{ready, age, fails, reads, made, live, late, used} {
		out <- d
	}
}

func (c credentials) Collect(out chan<- prometheus.Metric) {
	var all []*credential.Credential
	for _, set := range c.sets {
		all = append(all, set.All()...)
	}
	for _, k := range all {
		s := k.Status()
		gauge := func(d *prometheus.Desc, v float64, labels ...string) {
			out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{s.Name}, labels...)...)
		}
		count := func(d *prometheus.Desc, v uint64, labels ...string) {
			out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), append([]string{s.Name}, labels...)...)
		}
		yes := map[bool]float64{true: 1}
		gauge(ready, yes[s.Ready])
		gauge(late, yes[s.Overdue])
		gauge(age, s.Age.Seconds())
		gauge(fails, float64(s.Failures))
		count(reads, s.Counters.Fetches)
		count(used, s.Counters.AcceptedPrevious)
		for reason, n := range s.Counters.Decisions {
			count(made, n, reason.String())
		}
		states := map[string]float64{}
		for _, v := range s.Versions {
			states[v.State.String()]++
		}
		for state, n := range states {
			gauge(live, n, state)
		}
	}
}

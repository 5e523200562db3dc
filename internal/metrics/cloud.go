package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-backend/parley/cloud/node"
)

// Cloud shows the state of cloud code in JavaScript; ok is false when there is none, and then it is all zeros.
func (m *Metrics) Cloud(state func() (status node.Status, ok bool)) {
	m.code = state
	read := func(value func(node.Status) float64) func() float64 {
		return func() float64 {
			status, _ := state()
			return value(status)
		}
	}
	gauge := func(name, help string, value func(node.Status) float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read(value)))
	}
	counter := func(name, help string, value func(node.Status) float64) {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, read(value)))
	}
	gauge("parley_cloud_workers", "Processes of Node.js that run cloud code, as many as there are to be.", func(s node.Status) float64 { return float64(s.Workers) })
	gauge("parley_cloud_workers_ready", "Those of them that are ready for calls.", func(s node.Status) float64 { return float64(s.Ready) })
	gauge("parley_cloud_calls", "Calls of cloud code in JavaScript that are under way.", func(s node.Status) float64 { return float64(s.Calls) })
	counter("parley_cloud_restarts_total", "Processes that ended by themselves, or had to be ended, and were started anew.", func(s node.Status) float64 { return float64(s.Restarts) })
	counter("parley_cloud_reloads_total", "Times that changed cloud code was loaded.", func(s node.Status) float64 { return float64(s.Reloads) })
}

package messaging_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/parley-backend/parley/wasmcloud"
	"github.com/parley-backend/parley/wasmcloud/messaging"
)

// meters and meter keep what is exported, without the SDK.
type meters struct {
	noop.MeterProvider
	m *meter
}

func (p meters) Meter(string, ...metric.MeterOption) metric.Meter { return p.m }

type meter struct {
	noop.Meter
	noop.Observer
	call metric.Callback
	got  map[string]int64
}

func (m *meter) Int64ObservableCounter(name string, _ ...metric.Int64ObservableCounterOption) (metric.Int64ObservableCounter, error) {
	return &observedCounter{name: name}, nil
}

func (m *meter) Int64ObservableGauge(name string, _ ...metric.Int64ObservableGaugeOption) (metric.Int64ObservableGauge, error) {
	return &observedGauge{name: name}, nil
}

type observedCounter struct {
	noop.Int64ObservableCounter
	name string
}

type observedGauge struct {
	noop.Int64ObservableGauge
	name string
}

func (m *meter) RegisterCallback(call metric.Callback, _ ...metric.Observable) (metric.Registration, error) {
	m.call = call
	return registration{m: m}, nil
}

type registration struct {
	noop.Registration
	m *meter
}

func (r registration) Unregister() error {
	r.m.call = nil
	return nil
}

func (m *meter) ObserveInt64(on metric.Int64Observable, value int64, opts ...metric.ObserveOption) {
	var name string
	switch o := on.(type) {
	case *observedCounter:
		name = o.name
	case *observedGauge:
		name = o.name
	}
	about := metric.NewObserveConfig(opts).Attributes()
	if kind, is := about.Value("kind"); is {
		name += " " + kind.AsString()
	}
	m.got[name] = value
}

func (m *meter) collect(t *testing.T) map[string]int64 {
	clear(m.got)
	if m.call != nil {
		if err := m.call(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	return m.got
}

// The numbers are exported for each link, the failures by kind, and no longer than the provider lives.
func TestMetrics(t *testing.T) {
	s := run(t, &server.Options{})
	exported := &meter{got: map[string]int64{}}
	f := start(t, wasmcloud.Settings{}, messaging.Options{Metrics: meters{m: exported}})
	f.put(handler("echo", "default", config("cluster_uris", s.ClientURL(), "subscriptions", "in"), nil))
	_ = connect(t, s).Publish("in", nil)
	eventually(t, "the message is counted", func() bool { return f.Stats()[0].Failed["not_running"] == 1 })
	want := map[string]int64{
		"wasmcloud.messaging.received": 1, "wasmcloud.messaging.handled": 0, "wasmcloud.messaging.retried": 0, "wasmcloud.messaging.dropped": 0,
		"wasmcloud.messaging.in_flight": 0, "wasmcloud.messaging.pending": 0, "wasmcloud.messaging.published": 0, "wasmcloud.messaging.publish_errors": 0,
		"wasmcloud.messaging.requested": 0, "wasmcloud.messaging.request_errors": 0, "wasmcloud.messaging.connected": 1,
		"wasmcloud.messaging.failed error": 0, "wasmcloud.messaging.failed not_running": 1, "wasmcloud.messaging.failed timeout": 0, "wasmcloud.messaging.failed failed": 0,
	}
	eventually(t, "nothing is in flight", func() bool { return f.Stats()[0].InFlight == 0 })
	if diff := cmp.Diff(want, exported.collect(t)); diff != "" {
		t.Errorf("exported (-want +got):\n%s", diff)
	}
	if err := f.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := exported.collect(t); len(got) != 0 {
		t.Errorf("exported after Drain: %v, want nothing", got)
	}
}

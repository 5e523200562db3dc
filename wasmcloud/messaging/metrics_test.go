package messaging_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"go.opentelemetry.io/otel/attribute"
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
	return noop.Registration{}, nil
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
	m.got[name+" "+about.Encoded(attribute.DefaultEncoder())] = value
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

// The numbers are exported for each link, the failures by kind; after Drain they are the last.
func TestMetrics(t *testing.T) {
	s := run(t, &server.Options{})
	exported := &meter{got: map[string]int64{}}
	f := start(t, wasmcloud.Settings{}, messaging.Options{Metrics: meters{m: exported}})
	f.put(handler("echo", "default", config("cluster_uris", s.ClientURL(), "subscriptions", "in"), nil))
	_ = connect(t, s).Publish("in", nil)
	eventually(t, "the message is counted", func() bool { return f.Stats()[0].Failed["not_running"] == 1 })
	const of = "component=echo,link=default,role=source"
	want := map[string]int64{}
	for _, name := range []string{"retried", "dropped", "in_flight", "pending", "published", "publish_errors", "requested", "request_errors", "handled"} {
		want["wasmcloud.messaging."+name+" "+of] = 0
	}
	for _, kind := range []string{"error", "timeout", "failed"} {
		want["wasmcloud.messaging.failed component=echo,kind="+kind+",link=default,role=source"] = 0
	}
	want["wasmcloud.messaging.received "+of], want["wasmcloud.messaging.connected "+of] = 1, 1
	want["wasmcloud.messaging.failed component=echo,kind=not_running,link=default,role=source"] = 1
	eventually(t, "nothing is in flight", func() bool { return f.Stats()[0].InFlight == 0 })
	if diff := cmp.Diff(want, exported.collect(t)); diff != "" {
		t.Errorf("exported (-want +got):\n%s", diff)
	}
	if err := f.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	want["wasmcloud.messaging.connected "+of] = 0
	if diff := cmp.Diff(want, exported.collect(t)); diff != "" {
		t.Errorf("exported after Drain (-want +got):\n%s", diff)
	}
}

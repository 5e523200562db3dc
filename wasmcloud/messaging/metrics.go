package messaging

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

const scope = "github.com/parley-backend/parley/wasmcloud/messaging"

// numbers are what is exported of LinkStats, one value for each link.
var numbers = []struct {
	name, doc string
	gauge     bool // goes up and down
	read      func(LinkStats) int64
}{
	{"wasmcloud.messaging.received", "Messages from NATS.", false, func(s LinkStats) int64 { return int64(s.Received) }},
	{"wasmcloud.messaging.handled", "Messages that the component has handled.", false, func(s LinkStats) int64 { return int64(s.Handled) }},
	{"wasmcloud.messaging.retried", "Calls of the component that were made again.", false, func(s LinkStats) int64 { return int64(s.Retried) }},
	{"wasmcloud.messaging.dropped", "Messages that were dropped because too many waited.", false, func(s LinkStats) int64 { return int64(s.Dropped) }},
	{"wasmcloud.messaging.in_flight", "Messages with the component.", true, func(s LinkStats) int64 { return int64(s.InFlight) }},
	{"wasmcloud.messaging.pending", "Messages that wait.", true, func(s LinkStats) int64 { return int64(s.Pending) }},
	{"wasmcloud.messaging.published", "Messages of the component.", false, func(s LinkStats) int64 { return int64(s.Published) }},
	{"wasmcloud.messaging.publish_errors", "Messages of the component that could not be sent.", false, func(s LinkStats) int64 { return int64(s.PublishErrors) }},
	{"wasmcloud.messaging.requested", "Requests of the component that were answered.", false, func(s LinkStats) int64 { return int64(s.Requested) }},
	{"wasmcloud.messaging.request_errors", "Requests of the component that were not.", false, func(s LinkStats) int64 { return int64(s.RequestErrors) }},
	{"wasmcloud.messaging.connected", "1 while the link is connected.", true, func(s LinkStats) int64 {
		if s.Connected {
			return 1
		}
		return 0
	}},
}

// failures is the one number that is told apart by kind.
const failures = "wasmcloud.messaging.failed"

// observe exports the numbers of all links until the provider of meters is shut down: the last ones are those after Drain.
func (p *Provider) observe(provider metric.MeterProvider) (err error) {
	meter := provider.Meter(scope)
	instruments := make([]metric.Int64Observable, len(numbers), len(numbers)+1)
	for i, n := range numbers {
		if n.gauge {
			instruments[i], err = meter.Int64ObservableGauge(n.name, metric.WithDescription(n.doc))
		} else {
			instruments[i], err = meter.Int64ObservableCounter(n.name, metric.WithDescription(n.doc))
		}
		if err != nil {
			return fmt.Errorf("messaging: %w", err)
		}
	}
	failed, err := meter.Int64ObservableCounter(failures, metric.WithDescription("Messages that the component has not handled, by kind."))
	if err != nil {
		return fmt.Errorf("messaging: %w", err)
	}
	all := make([]metric.Observable, 0, len(instruments)+1)
	for _, one := range instruments {
		all = append(all, one)
	}
	_, err = meter.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		for _, s := range p.Stats() {
			about := []attribute.KeyValue{attribute.String("role", s.Role.String()), attribute.String("component", s.Component), attribute.String("link", s.Name)}
			for i, n := range numbers {
				to.ObserveInt64(instruments[i], n.read(s), metric.WithAttributes(about...))
			}
			for kind, count := range s.Failed {
				to.ObserveInt64(failed, int64(count), metric.WithAttributes(append(about, attribute.String("kind", kind))...))
			}
		}
		return nil
	}, append(all, failed)...)
	if err != nil {
		return fmt.Errorf("messaging: %w", err)
	}
	return nil
}

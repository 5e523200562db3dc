package main

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/parley-backend/parley/wasmcloud/messaging"
)

// counts are the numbers of a link that only grow.
var counts = []struct {
	name, about string
	of          func(*messaging.LinkStats) uint64
}{
	{"wasmcloud.messaging.received", "Messages from NATS.", func(s *messaging.LinkStats) uint64 { return s.Received }},
	{"wasmcloud.messaging.handled", "Messages that the component has handled.", func(s *messaging.LinkStats) uint64 { return s.Handled }},
	{"wasmcloud.messaging.retried", "Calls of the component that were made again.", func(s *messaging.LinkStats) uint64 { return s.Retried }},
	{"wasmcloud.messaging.dropped", "Messages that came while too many waited.", func(s *messaging.LinkStats) uint64 { return s.Dropped }},
	{"wasmcloud.messaging.published", "Messages that the component published.", func(s *messaging.LinkStats) uint64 { return s.Published }},
	{"wasmcloud.messaging.publish_errors", "Messages that the component could not publish.", func(s *messaging.LinkStats) uint64 { return s.PublishErrors }},
	{"wasmcloud.messaging.requested", "Requests of the component.", func(s *messaging.LinkStats) uint64 { return s.Requested }},
	{"wasmcloud.messaging.request_errors", "Requests of the component that had no answer.", func(s *messaging.LinkStats) uint64 { return s.RequestErrors }},
}

// gauges are those that come and go.
var gauges = []struct {
	name, about string
	of          func(*messaging.LinkStats) int64
}{
	{"wasmcloud.messaging.in_flight", "Messages that are with the component.", func(s *messaging.LinkStats) int64 { return int64(s.InFlight) }},
	{"wasmcloud.messaging.pending", "Messages that wait for the component.", func(s *messaging.LinkStats) int64 { return int64(s.Pending) }},
	{"wasmcloud.messaging.connected", "1 while the link is connected.", func(s *messaging.LinkStats) int64 {
		if s.Connected {
			return 1
		}
		return 0
	}},
}

// observe has the numbers of all links sent. A nil provider of meters is none.
func observe(meters metric.MeterProvider, stats func() []messaging.LinkStats) error {
	if meters == nil {
		return nil
	}
	meter := meters.Meter("github.com/parley-backend/parley/wasmcloud/messaging")
	var all []metric.Observable
	counters := make([]metric.Int64ObservableCounter, len(counts))
	for i, c := range counts {
		made, err := meter.Int64ObservableCounter(c.name, metric.WithDescription(c.about))
		if err != nil {
			return err
		}
		counters[i], all = made, append(all, made)
	}
	levels := make([]metric.Int64ObservableGauge, len(gauges))
	for i, g := range gauges {
		made, err := meter.Int64ObservableGauge(g.name, metric.WithDescription(g.about))
		if err != nil {
			return err
		}
		levels[i], all = made, append(all, made)
	}
	failed, err := meter.Int64ObservableCounter("wasmcloud.messaging.failed", metric.WithDescription("Messages that the component has not handled, by kind."))
	if err != nil {
		return err
	}
	_, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, s := range stats() {
			of := []attribute.KeyValue{attribute.String("component", s.Component), attribute.String("link", s.Name), attribute.String("role", s.Role.String())}
			for i, c := range counts {
				o.ObserveInt64(counters[i], int64(c.of(&s)), metric.WithAttributes(of...))
			}
			for i, g := range gauges {
				o.ObserveInt64(levels[i], g.of(&s), metric.WithAttributes(of...))
			}
			for kind, n := range s.Failed {
				o.ObserveInt64(failed, int64(n), metric.WithAttributes(append(of[:len(of):len(of)], attribute.String("kind", kind))...))
			}
		}
		return nil
	}, append(all, failed)...)
	return err
}

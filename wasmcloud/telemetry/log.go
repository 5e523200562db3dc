package telemetry

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
)

// handler hands lines of a log on to OpenTelemetry. Secrets say REDACTED here as everywhere, because values are resolved by slog.
type handler struct {
	to    log.Logger
	group string
	attrs []attribute.KeyValue
}

func newHandler(to log.Logger) slog.Handler { return &handler{to: to} }

func (h *handler) Enabled(context.Context, slog.Level) bool { return true }

func (h *handler) Handle(ctx context.Context, line slog.Record) error {
	var r log.Record
	r.SetTimestamp(line.Time)
	r.SetObservedTimestamp(time.Now())
	r.SetSeverity(log.Severity(min(max(int(line.Level)+9, 1), 24))) // slog counts from Info = 0 as OpenTelemetry does from 9
	r.SetSeverityText(line.Level.String())
	r.SetBody(attribute.StringValue(line.Message))
	r.AddAttributes(h.attrs...)
	line.Attrs(func(a slog.Attr) bool {
		r.AddAttributes(attributes(h.group, a)...)
		return true
	})
	h.to.Emit(ctx, r)
	return nil
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	own := *h
	own.attrs = slices.Clone(h.attrs)
	for _, a := range attrs {
		own.attrs = append(own.attrs, attributes(h.group, a)...)
	}
	return &own
}

func (h *handler) WithGroup(name string) slog.Handler {
	own := *h
	own.group += name + "."
	return &own
}

func attributes(group string, a slog.Attr) []attribute.KeyValue {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		var all []attribute.KeyValue
		for _, inner := range v.Group() {
			all = append(all, attributes(group+a.Key+".", inner)...)
		}
		return all
	}
	return []attribute.KeyValue{attribute.String(group+a.Key, v.String())}
}

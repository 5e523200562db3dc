package wasmcloud

import (
	"context"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/propagation"
)

// w3c is how traces are carried: headers traceparent and tracestate, of wRPC calls and of messages alike.
var w3c = propagation.TraceContext{}

// InjectTrace adds the trace of ctx, if there is one, to the headers of a call or message. header must not be nil.
func InjectTrace(ctx context.Context, header nats.Header) { w3c.Inject(ctx, carrier(header)) }

// ExtractTrace returns ctx with the trace that the headers of a call or message carry. Headers without one change nothing.
func ExtractTrace(ctx context.Context, header nats.Header) context.Context {
	return w3c.Extract(ctx, carrier(header))
}

// carrier are the headers of NATS, which are told apart by case: net/http would write Traceparent, and wasmCloud would not find it.
type carrier nats.Header

func (c carrier) Get(key string) string { return nats.Header(c).Get(key) }

func (c carrier) Set(key, value string) { c[key] = []string{value} }

func (c carrier) Keys() []string {
	keys := make([]string, 0, len(c))
	for key := range c {
		keys = append(keys, key)
	}
	return keys
}

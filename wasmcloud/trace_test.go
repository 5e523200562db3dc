package wasmcloud_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/wasmcloud"
)

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestTraceGoesThroughHeaders(t *testing.T) {
	for _, test := range []struct{ in, want nats.Header }{
		{nats.Header{"traceparent": {traceparent}, "other": {"x"}}, nats.Header{"traceparent": {traceparent}}},
		{nats.Header{"traceparent": {traceparent}, "tracestate": {"vendor=1"}}, nats.Header{"traceparent": {traceparent}, "tracestate": {"vendor=1"}}},
		{nats.Header{"traceparent": {"not one"}}, nats.Header{}},
		{nats.Header{}, nats.Header{}},
		{nil, nats.Header{}},
	} {
		got := nats.Header{}
		wasmcloud.InjectTrace(wasmcloud.ExtractTrace(t.Context(), test.in), got)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("headers of a trace from %v (-want +got):\n%s", test.in, diff)
		}
	}
}

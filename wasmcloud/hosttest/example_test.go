package hosttest_test

import (
	"testing"
	"time"

	"github.com/parley-backend/parley/wasmcloud/hosttest"
)

// A message goes from NATS through a provider to a component. In a test this is the body of a function TestMyProvider.
func Example() {
	_ = func(t *testing.T) {
		nats := hosttest.NewServer(t, hosttest.ServerOptions{JWT: true})
		host := hosttest.NewHost(t, hosttest.HostOptions{Server: nats})
		provider := host.Start(hosttest.ProviderOptions{
			Launch: hosttest.Executable{Path: "bin/my-provider"}.Launch,
			Links:  []hosttest.Link{hosttest.Handler("echo", "cluster_uris", nats.URL(), "subscriptions", "orders").WithLogin(nats.User(time.Hour))},
		}).Await()
		echo := host.Component("echo", hosttest.Ok)

		hosttest.Eventually(t, "the subscription", func() bool { return nats.Subscriptions("orders") == 1 })
		if err := nats.Connect().Publish("orders", []byte("one")); err != nil {
			t.Fatal(err)
		}
		hosttest.Eventually(t, "the message", func() bool { return echo.Count() == 1 })
		if took, err := provider.Shutdown(); err != nil {
			t.Errorf("no answer to the shutdown after %v: %v", took, err)
		}
	}
}

// The whole list of features on an executable. In a test this is the body of a function TestConformance.
func ExampleTestProvider() {
	_ = func(t *testing.T) {
		hosttest.TestProvider(t, hosttest.Executable{Path: "bin/my-provider"}.Launch, hosttest.TestOptions{
			Skip: map[string]string{"jetstream": "the provider has no JetStream"},
		})
	}
}

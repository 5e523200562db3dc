// Package hosttest stands in for a wasmCloud 1.x host, so that a capability provider can be tested without one: any executable that
// reads host data from its standard input, or a function of the same process.
//
//	func TestEcho(t *testing.T) {
//		nats := hosttest.NewServer(t, hosttest.ServerOptions{JWT: true})
//		host := hosttest.NewHost(t, hosttest.HostOptions{Server: nats})
//		provider := host.Start(hosttest.ProviderOptions{
//			Launch: hosttest.Executable{Path: "bin/my-provider"}.Launch,
//			Links:  []hosttest.Link{hosttest.Handler("echo", "cluster_uris", nats.URL(), "subscriptions", "orders").WithLogin(nats.User(0))},
//		}).Await()
//		echo := host.Component("echo", hosttest.Ok)
//		…
//	}
//
// Everything that is made with a testing.TB ends with its test. A provider is killed then, and its log is searched for the secrets that
// it was given.
//
// # The host
//
// A [Host] starts a provider as a real one does: the environment is cleared, one line of host data is on its standard input, and nothing
// waits for it to be ready. It seals the secrets of links, publishes links, deletions and config, asks for health, and ends a provider
// with a request that has 300 ms and a kill that follows in any case. A [Component] answers handle-message as it is told to: at once, slowly,
// with an error, or never; it remembers what it was called with, and calls publish and request.
//
// # The network
//
// A [Server] is a NATS server of the same process, which lets anybody in or wants JWTs that it makes itself, for as long as wanted, and
// revokes. A [Proxy] delays, cuts, refuses and swallows. A [Tap] records everything that goes over a server, and [Canonical] makes what two
// providers did comparable.
//
// # Conformance
//
// [TestProvider] checks a provider of wasmcloud:messaging@0.2.0 over NATS against a list of features, testdata/features.tsv, and prints
// which lines of it are covered. Settings that only Parley's provider knows (credentials, lattice_credentials, max_in_flight, ordered,
// handler_timeout, certificates of clients) are a part of the list: another provider fails those rows, or skips them with a reason.
//
// # A tour
//
//	host.go, provider.go, link.go   the host, the providers on it, and their links
//	launch.go                       how a provider is run
//	component.go                    components
//	server.go, proxy.go, tap.go     NATS, and what goes wrong with it
//	conformance.go, rows.go         TestProvider, and the table of what it checks
//	rows_*.go                       the checks
package hosttest

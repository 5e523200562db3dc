// Package messaging is the provider of wasmcloud:messaging@0.2.0 over NATS.
//
//	provider := messaging.New(host, messaging.Options{Sources: sources})
//	err := wasmcloud.Run(ctx, …, provider)
//
// A link of the handler (role Source) has a component called for each message of its
// subscriptions and JetStream consumers. A link of the consumer (role Target) has a
// component publish and request. Each link has a connection to NATS of its own, whose
// login rotates while it is in use; see package natsconn.
//
// # A link
//
//	PutLink -> merge (settings.go) -> reconcile (wire.go) -> in use
//	               ^                      ^
//	 Configure ----+                      +-- again, backing off, until it works
//
// merge makes settings of the config and the secrets of the link and of the provider.
// reconcile makes what is in use be like them: a new login is handed over, subscriptions
// come and go on the connection that there is, and other servers or another TLS get a
// second connection before the first one is drained. DeleteLink waits for the grace, so that a
// PutLink that follows it finds everything in place.
//
// # A message
//
//	natsconn.Subscription -> gate (dispatch.go) -> deliver.go -> wasmcloud.Host.Invoke
//
// The gate lets max_in_flight messages of a link through at a time. What comes beyond
// waits in the Subscription, up to its limits; what is over those is dropped, counted and told by
// Health.
//
// # A tour
//
//	provider.go   New, and the methods of wasmcloud.Provider
//	keys.go       the table of config keys
//	settings.go   what a link's settings are, and how they are merged
//	compat.go     the same in the way of strict_compat
//	login.go      which login a link uses, and where it comes from
//	keep.go       logins while they are in use
//	tls.go        TLS
//	link.go       the life of a link
//	wire.go       a connection with its subscriptions
//	dispatch.go   how many messages are handled at a time
//	deliver.go    a message to a component
//	stream.go     JetStream
//	serve.go      publish and request
//	health.go     what does not work
//	stats.go      numbers, and metrics.go their export
package messaging

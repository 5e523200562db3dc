// Package natsconn is a connection to NATS whose login changes while it is in use, and
// nothing is lost.
//
//	presenter, err := credential.NewPresenter(login, natsconn.Decode)
//	conn, err := natsconn.Open(ctx, natsconn.Config{Servers: servers, Credential: presenter})
//	sub, err := conn.Subscribe("orders.>", func(m *nats.Msg) { … conn.Respond(m, answer) })
//	err = conn.Publish("orders.new", data)
//	answer, err := conn.Request(ctx, "stock.query", question)
//	err = conn.Drain(ctx)
//
// # What it does
//
// A NATS server takes a login once, when a connection begins, and ends the connection
// when the login ends. So a Conn makes another connection before that, and has it take
// over:
//
//  1. A new generation of the credential is stored, or the JWT in use is about to end: a
//     fifth of its life before, but at least 30 s and at most half of it, at a random
//     moment within the earlier half of that.
//  2. A second connection logs in, to the same server if it can.
//  3. Every subscription is made on it, and the server has answered a PING and refused
//     none of them.
//  4. Publishers wait for one round trip while the first connection is flushed; then they
//     use the second one.
//  5. A tenth of a second later, when the server has given away what it had in hand, the
//     subscriptions on the first end. What was on its way arrives.
//  6. The first connection is closed when the requests and the handlers that began on it
//     have ended, or a second before its login does.
//
// Between 3 and 5 both are subscribed, as members of one queue group, so that the server
// gives each message to one of them. A plain subscription has a queue group of its own
// for this, which no one else is in: it still gets every message.
//
// # What is guaranteed
//
// In a hand-over, with one server, or several when the second connection reaches the one
// of the first: no message of a Subscription is lost or comes twice, no Request fails, no
// message that Publish took is lost, and those of one publisher stay in order. A message
// of a durable JetStream consumer (Consume) that is acknowledged in the handler comes
// once. JWT and seed that are shown together are of one generation. The Conn is never
// closed but by Close and Drain, however long there is no login, no store and no server.
//
// When the new login is refused, or may not subscribe to what the one before could, that
// one stays in use and Health says why. The new one is tried again after 1 s, later
// every 30 s. When the server ends the connection because the login was revoked or has
// ended, the source is asked, and a newer login is shown at once.
//
// A Subscription that the server refuses later, because the permissions changed or only
// such a login is left, is tried again after 1 s, later every 30 s, and on the connection
// with the next login; Health names it until it is there again.
//
// # What is not
//
//   - Order within a subscription while both connections are subscribed, about 100 ms and
//     two round trips: a message may be overtaken by those that come a moment after it.
//   - NATS itself delivers at most once. When the network or a revocation breaks a
//     connection, what was on its way is lost. Flush tells (ErrUnconfirmed); JetStream
//     sends again.
//   - Between servers of a cluster, when the server of the first connection is gone, the
//     others hear of subscriptions a moment later; 300 ms are left to them.
//   - m.Respond and m.Ack use the connection on which m came. In a handler they work; later
//     on use Conn.Respond, which always does.
//
// # Where there can be no second connection
//
// The login takes effect by a reconnect of the one connection: where the account allows
// no further connection; where the server refuses the queue group of a plain subscription
// (unless AllowDuplicates says that a message may come twice instead); and with InPlace,
// for code that keeps the *nats.Conn of NATS, as natsbus does, whose subscribers hear of
// a gap then. What is published waits in the buffer. What others publish meanwhile is
// missed. Requests that still wait fail with nats.ErrDisconnected, after up to 2 s in
// which the reconnect waits for a moment without any.
//
// # The code
//
//	conn.go       the connection: Open, Publish, Request, Flush, Drain, Close
//	subscribe.go  subscriptions and the queue of each
//	refused.go    subscriptions that the server refuses after it had accepted them
//	consume.go    durable consumers of JetStream
//	link.go       one connection below: what it shows the server, what it hears from it
//	renew.go      when another login is taken into use
//	handover.go   how
//	login.go      what a login may look like
package natsconn

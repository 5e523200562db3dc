// Package pubsub carries messages between the parts of one process and between the
// nodes of one installation. It imports the standard library only.
//
//	pubsub.go   what a Bus promises
//	local.go    the bus of one process, on which every other bus stands
//
// Package natsbus is the bus over NATS, with a server of its own if wanted; package
// pubsubtest is the suite that every bus passes.
package pubsub

import (
	"context"
	"errors"
)

// A Bus delivers each message to every subscriber of its subject, on this node and on
// the others, at most once. Nothing is stored: who is not subscribed or not connected
// misses it, and hears by Gaps that it may have. Its methods may be called by any
// goroutine at any time.
//
// Order: two messages that one goroutine publishes to one subject arrive at every
// subscriber in that order, if both arrive. Nothing else is ordered.
type Bus interface {
	// Publish hands a message over and does not wait for anybody to take it. data
	// belongs to the bus from then on: nobody may write to it.
	//
	// nil means that every subscriber of this node has the message in its queue (or a
	// gap) and that the network has it in its buffer; it does not say that another node
	// received it. Offline means that this node's subscribers got it and the other nodes
	// will not. The context ends nothing but a wait, and no bus waits today.
	Publish(ctx context.Context, subject string, data []byte) error

	// Subscribe calls handler for every message to the subject from now on, one call at
	// a time, on a goroutine that is not the publisher's. It returns when messages of
	// this node arrive; those of other nodes may take until the network has carried the
	// interest. A handler that is too slow for its bounded queue misses what is published
	// while the queue is full: a gap, never a publisher that waits. What a handler
	// panics with is not caught.
	Subscribe(subject string, handler func(Message)) (Subscription, error)

	// Gaps calls missed whenever messages may have been missed: after the connection to
	// other nodes was lost and came back, when another node appears or returns, and when
	// the queue of a subscriber of this bus was full. Whoever relies on messages reads
	// anew what they would have told. Calls come one at a time, several causes may share
	// one call, and each call comes after the cause; end ends them, waiting for one that
	// runs, so missed must not call it.
	Gaps(missed func()) (end func())

	// Close stops all subscriptions, waiting for handlers that run, and what the bus
	// itself started. Whoever made the bus closes it, and closes last what it was made
	// on (a connection, a server). A second Close does nothing.
	Close() error
}

// Message is one delivery.
type Message struct {
	Subject string
	Data    []byte // shared with other subscribers: not to be written to
	// Node is the name of the node that published it, "" if it has none. It is what the
	// publisher says; who must know for sure authenticates Data.
	Node string
	// Local: it was published on this very bus.
	Local bool
}

// A Subscription ends with Stop.
type Subscription interface {
	// Gaps returns how often this subscription may have missed messages.
	Gaps() uint64
	// Stop ends the deliveries and returns when the handler that runs has returned; what
	// is queued is dropped. A handler must not stop its own subscription. A second Stop
	// does nothing but wait.
	Stop()
}

// The errors of a Bus.
var (
	ErrClosed  = errors.New("pubsub: the bus is closed")
	ErrSubject = errors.New("pubsub: a subject is one or more tokens of letters, digits, '-' and '_', separated by dots")
	// ErrOffline: the message stayed on this node.
	ErrOffline = errors.New("pubsub: other nodes cannot be reached at present")
)

// CheckSubject returns ErrSubject unless subject can be used on every Bus: tokens of
// ASCII letters, digits, '-' and '_', separated by single dots, at most 255 bytes.
func CheckSubject(subject string) error {
	if len(subject) > 255 {
		return ErrSubject
	}
	token := 0
	for i := range len(subject) {
		switch c := subject[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
			token++
		case c == '.' && token > 0:
			token = 0
		default:
			return ErrSubject
		}
	}
	if token == 0 {
		return ErrSubject
	}
	return nil
}

// Package wrpc is wRPC 0.0.1 over NATS: the calls that a wasmCloud 1.x host and its
// providers make to each other. It encodes and decodes the values, invokes functions and
// serves them.
//
//	conn, err := wrpc.New(nc, wrpc.Options{})
//	served, err := wrpc.Serve(conn, wrpc.Export[wrpc.BrokerMessage]{Function: publish, Decode: wrpc.DecodeMessage, Handle: handle})
//	done, err := wrpc.Invoke(ctx, conn, handleMessage, header, wrpc.AppendMessage(nil, m), wrpc.DecodeDone)
//	err = conn.Drain(ctx)
//
// # A call
//
// The client C sends to {prefix}.wrpc.0.0.1.{instance}.{function}, which the server S
// has subscribed to in a queue group. {C} and {S} are subjects in the inboxes of the two.
//
//	C -> {function}   reply {C}, headers   as much of the parameters as a message holds
//	S -> {C}          reply {S}            nothing: the handshake
//	C -> {S}.params                        the rest of the parameters
//	C -> {S}.params                        nothing: their end
//	S -> {C}.results                       the results
//	S -> {C}.results                       nothing: their end
//
// The server sends the handshake in any case, and begins as soon as the parameters of the
// first message decode; otherwise it waits for their end. What the protocol has no word
// for, such as a handler's error, is an end without results. When nobody serves the
// function, NATS answers in place of the handshake.
//
// There are no sequence numbers and no resend. A message that is lost makes values short,
// which do not decode, or an end that does not come, which is a time-out.
//
// Asynchronous values would come on {S}.params.0 and the like. No function of the
// messaging interface has one, so such messages are passed over.
//
// # Peers that are not ready
//
// A peer may note in one task what it waits for and send in another, as those built with
// wrpc-transport-nats 0.29 do, and so miss what is answered in the same moment: a client the
// handshake and results, a server the parameters behind the first message.
//
// A server of this package takes the end of the parameters as the sign that the client is
// ready. The end of the results, and results that are longer than one message, wait for it.
// A result in one message is sent at once, so that a call takes one round trip. When nothing
// has come 20 ms and 200 ms later, the handshake is sent again with another subject for
// parameters, {S}.again, which a client that has the first passes over; one that answers
// there is sent the result once more. After 500 ms nothing is waited for any longer.
//
// A client of this package sends 24 empty messages to {S}.knock, which nobody subscribes to,
// before parameters that do not fit into the first message.
//
// # Limits
//
// One call and all calls together hold a bounded number of bytes, and a call that is
// over one of them fails alone. Handlers of one function run in a bounded number; what
// comes beyond waits in the order of arrival. A whole call has a time-out, and so has the
// arrival of parameters. Nothing that a peer sends, or does not send, holds up another
// call.
//
// # Values
//
// A value of WIT is appended to a slice by a function, and read from a Decoder by a
// method or function of the same name:
//
//	bool u8 s8 ... f64      AppendU32             (*Decoder).U32
//	char, string            AppendString          (*Decoder).Text
//	list<u8>, handles       AppendBytes           (*Decoder).Bytes
//	list<T>                 AppendList            DecodeList
//	option<T>, result<T,E>  AppendOption, Result  DecodeOption, Result
//	record, tuple           their members one after the other
//	variant, enum, flags    AppendCase, Flags     (*Decoder).Case, Flags
//
// The last argument of the generic ones is the function for the element, so
// AppendOption(b, reply, AppendString) is option<string>. There is no reflection, and
// the encoders allocate only what append does.
//
// # A tour
//
//	encode.go     the encoders
//	decode.go     the decoder, and why bytes do not decode
//	value.go      Option and Result
//	messaging.go  the types and functions of wasmcloud:messaging@0.2.0
//	conn.go       Conn: options, limits, Drain and Close, the errors
//	inbox.go      the one subscription for everything that belongs to a call
//	invoke.go     the client's side of a call
//	serve.go      the server's side
package wrpc

// Package wrpc encodes and decodes the values of wRPC 0.0.1, the calls that a
// wasmCloud 1.x host and its providers make to each other over NATS. It imports only
// the standard library.
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
package wrpc

// Package credential keeps secrets that change. It fetches a credential from a
// Source, checks it, holds its versions in an immutable snapshot, refreshes and
// rotates them in the background, and answers in a few hundred nanoseconds whether
// a presented value is one of them, while the source may be slow, wrong or gone. It
// imports the standard library only.
//
// # The two faces
//
// A server that is shown a key asks a Verifier: Accept, Reject, or Undecided when
// there is nothing that may be trusted. A client that must show a key asks a
// Presenter. Both read the same snapshot of a Credential, and neither sees a Source.
//
//	key, err := credential.New(credential.Config{Name: "masterKey", Source: credential.Func(fetch)})
//	err = key.Start(ctx)
//	d := key.VerifyContext(ctx, header)
//
// # The life of a version
//
//	           time comes            another is current        deadline
//	pending ----------------> current ----------------> previous ------> retired
//	                            ^  |                      |  ^
//	                            |  +--- flapping, back ---+  |
//	            the store       |                            |
//	disabled <-- says so -------+----------------------------+
//	revoked  <-- an operator or the store says so: from anywhere, for good
//
// Current and previous versions are accepted. The deadline of a previous version is
// the moment at which its successor was created, by the source's clock, plus the
// overlap; it does not depend on when a node noticed.
//
// # The life of a credential
//
//	empty --> fresh --(ttl)--> stale --(stale_max)--> expired
//	            ^                |                      |
//	            +---- any good reading ----------------+
//
// Verifying against old material is a risk to security, so it is bounded: when
// expired, everything is Undecided. Presenting old material is a risk to
// availability only, so a Presenter hands it out until it is refused. Age is the
// larger of what the monotonic and the wall clock say.
//
// # A tour
//
//	source.go      what a Source promises; Payload, Version, State; Func and Literal
//	errors.go      the six classes of failure
//	config.go      every option and every default
//	credential.go  the owner: New, Start, Stop, Refresh, Revoke
//	schedule.go    when a key refreshes: single flight, time-out, back-off, push
//	breaker.go     what many credentials ask of one store together
//	state.go       what happens when its store is down
//	lastgood.go    a start while the store is down
//	wrapped.go     the same for what is presented, encrypted
//	reload.go      another configuration, while everything is in use
//	validate.go    what is never installed
//	versions.go    how one set of versions follows another
//	snapshot.go    what readers see
//	verify.go      the answer, in constant time and without allocation
//	miss.go        the fetch for an unknown key, and its limits
//	present.go     the other face
//	rotate.go      a new value, generated and written back
//	set.go         credentials that never share a value
//	observe.go     what is told: events, and a log of them
//	status.go      everything about a credential but its value
//	instant.go     two clocks, neither of which can prolong trust
//	reference.go   scheme:place?options#field
//	decode.go      one value out of a document: #field
//	keyset.go      many keys out of one: format=keyset and lines
//	replace.go     the document with another value in it
//	chain.go       several sources, the one to rely on first
//	registry.go    from the text of a configuration to a Source
//	secret.go      bytes that print as REDACTED
//
// Sources live in the packages below source; credentialtest has the suite that each
// of them passes, a source that fails as told, and a clock that jumps.
package credential

// Package secrets is a backend of the wasmCloud secrets protocol, version v1alpha1, on the credential engine: hosts ask it
// over NATS for what a component or a provider may know, wherever that is kept.
//
//	backend, err := secrets.New(secrets.Config{Conn: conn, Name: "parley", Transit: transit, Issuers: issuers, Keys: keys, Rules: rules})
//	err = backend.Start(ctx)
//	…
//	err = backend.Drain(ctx)
//
// # The protocol
//
// The subjects begin with {topic}.v1alpha1.{name}. To server_xkey the answer is a public curve key; a host asks once, and
// keeps it for as long as it runs. To get it sends a request sealed for that key, with the public part of a key that it made
// for this one request in the header WasmCloud-Host-Xkey; the answer is sealed for that key, by one made for this one answer.
// What is refused is answered in clear, by one of the names in [Codes].
//
// # Who gets what
//
// A request carries the JWT of the component or provider. Anybody can sign a JWT for any subject: it proves something only if
// its issuer is one of Config.Issuers, and those are the accounts whose holders decide what runs. The JWT of the host is
// checked as well, and proves nothing unless Config.HostIssuers or Config.Hosts says whom to believe. Then a [Rule] must allow
// the key. What is not allowed is Unauthorized, whether there is such a key or not.
//
// # Two requests, one generation
//
// A host asks for the JWT and for the seed of one login in two requests. What is stored may rotate between them: so requests
// of one host, for one entity and one key, that follow each other closely are one round, and get the fields of one version;
// see rounds.go. What is minted needs no memory at all: the seed of a minted login follows from Config.MintKey, the host, the
// entity and the key, and every JWT that is minted for them is for that seed, in whatever order, at whichever instance and
// after whichever rotation of the signing key it is asked for.
//
// # The code
//
//	backend.go   the life of a backend, and how many requests it works on
//	get.go       one request, step by step
//	policy.go    who may read what, and what is revoked
//	rounds.go    the fields of one version for requests that belong together
//	value.go     versions, fields, text and bytes
//	mint.go      logins made for the one who asks
//	notify.go    telling of rotations
//	xkey.go      what is sealed
//	protocol.go  what is sent
//	audit.go     who was given what
//	client.go    the other end: a client, and a credential source
package secrets

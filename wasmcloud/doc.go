// Package wasmcloud runs a capability provider on a wasmCloud 1.x host: it reads what the host says when it starts the process, keeps
// the connection to the lattice, and tells the [Provider] of links, config and the end.
package wasmcloud

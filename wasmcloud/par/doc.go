// Package par builds and reads provider archives, the files that a wasmCloud 1.x host starts providers from.
//
// An archive is a tar file, compressed with gzip or not:
//
//	claims.jwt          who made the provider, and the SHA-256 of each file that follows: package claims
//	world.wasm          the interfaces in WIT, if the provider says
//	x86_64-linux.bin    the executable for one target
//	aarch64-macos.bin   and for another
//
// Write makes one, Read verifies one, and a target is added by writing again what Read has found, with one more: see Archive.Targets.
// Neither holds an executable in memory.
package par

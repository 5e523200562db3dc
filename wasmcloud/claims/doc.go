// Package claims reads and writes what wasmCloud 1.x signs: the keys of accounts, components, providers and hosts, and the JWTs, called
// wascap, that tell who made a component or provider, and what belongs to it.
//
//	issuer := claims.Generate(claims.Account)
//	subject := claims.Generate(claims.Provider)
//	token, err := claims.Claims{Subject: subject.Public(), Provider: &claims.ProviderClaims{Name: "messaging"}}.Encode(issuer)
//	c, err := claims.Policy{Issuers: []string{issuer.Public()}, Kinds: []claims.Kind{claims.Provider}}.Verify(token)
//
// A JWT carries its issuer's public key, with which it is signed: that it verifies says that whoever holds that key has signed it, and
// not that the key is one to believe. Policy.Issuers says so.
//
// Keys are nkeys, with two kinds more than github.com/nats-io/nkeys knows: components (M) and providers (V).
package claims

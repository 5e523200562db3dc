package claims_test

import (
	"fmt"

	"github.com/parley-backend/parley/wasmcloud/claims"
)

// An account signs for a provider, and who knows the account accepts it.
func Example() {
	account, provider := claims.Generate(claims.Account), claims.Generate(claims.Provider)
	token, err := claims.Claims{Subject: provider.Public(), Provider: &claims.ProviderClaims{Name: "messaging", Vendor: "example"}}.Encode(account)
	if err != nil {
		fmt.Println(err)
		return
	}
	accepted := claims.Policy{Issuers: []string{account.Public()}, Kinds: []claims.Kind{claims.Provider}}
	c, err := accepted.Verify(token)
	fmt.Println(c.Provider.Name, err)

	forged, _ := c.Encode(claims.Generate(claims.Account))
	_, err = accepted.Verify(forged)
	fmt.Println(err != nil)
	// Output:
	// messaging <nil>
	// true
}

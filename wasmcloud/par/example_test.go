package par_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/parley-backend/parley/wasmcloud/claims"
	"github.com/parley-backend/parley/wasmcloud/par"
)

// An archive is written and verified.
func Example() {
	account, provider := claims.Generate(claims.Account), claims.Generate(claims.Provider)
	executable := par.Target{Name: "x86_64-linux", Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("#!/bin/true\n")), nil }}
	var file bytes.Buffer
	d := par.Description{Subject: provider.Public(), Name: "messaging", Vendor: "example", Version: "1.0.0"}
	if err := par.Write(&file, d, account, executable); err != nil {
		fmt.Println(err)
		return
	}
	a, err := par.Read(&file, par.Options{Policy: claims.Policy{Issuers: []string{account.Public()}}})
	fmt.Println(a.Claims.Provider.Name, a.Targets[0].Name, a.Targets[0].Size, err)
	// Output: messaging x86_64-linux 12 <nil>
}

//go:build unix

package exec_test

import (
	"context"
	"fmt"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/exec"
)

func ExampleOpen() {
	cfg := credential.Config{Name: "masterKey"}
	sources := credential.Registry{"exec": exec.Open}
	if err := sources.Configure(&cfg, "exec:///bin/echo?arg=9f2c41d8e07b5a63c1d4&ttl=15m"); err != nil {
		fmt.Println(err)
		return
	}
	master, err := credential.New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := master.Start(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	defer master.Stop()
	fmt.Println(master.Verify("9f2c41d8e07b5a63c1d4").Verdict)
	// Output: accept
}

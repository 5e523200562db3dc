package static_test

import (
	"context"
	"fmt"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/static"
)

func ExampleOpen() {
	cfg := credential.Config{Name: "masterKey"}
	sources := credential.Registry{"static": static.Open}
	if err := sources.Configure(&cfg, "static:9f2c41d8e07b5a63c1d4"); err != nil {
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
	fmt.Println(cfg.Source.Info().Warnings[0])
	// Output:
	// accept
	// static: is for development, the configuration itself holds the secret
}

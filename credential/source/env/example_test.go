package env_test

import (
	"context"
	"fmt"
	"os"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/env"
)

func ExampleOpen() {
	os.Setenv("MASTER_KEY", "9f2c41d8e07b5a63c1d4") // who starts the process does that
	defer os.Unsetenv("MASTER_KEY")

	cfg := credential.Config{Name: "masterKey"}
	sources := credential.Registry{"env": env.Open}
	if err := sources.Configure(&cfg, "env:MASTER_KEY"); err != nil {
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
	fmt.Println(master.Verify("another key").Verdict)
	// Output:
	// accept
	// reject
}

package awssm_test

import (
	"fmt"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/awssm"
)

// Two keys of one secret: they share a client, and so our own credentials, which the SDK looks for when
// the first of them is read.
func ExampleOpener() {
	sources := credential.Registry{"awssm": awssm.Opener()}
	for _, name := range []string{"masterKey", "maintenanceKey"} {
		cfg := credential.Config{Name: name}
		if err := sources.Configure(&cfg, "awssm://prod/parley?region=eu-west-1&overlap=30m#"+name); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(name, cfg.Source.Info().Location, cfg.Overlap)
	}
	// Output:
	// masterKey prod/parley (eu-west-1) 30m0s
	// maintenanceKey prod/parley (eu-west-1) 30m0s
}

// A parameter that is a SecureString, one that holds a JSON document, and one in another region by its ARN.
func ExampleParameterOpener() {
	sources := credential.Registry{"awsssm": awssm.ParameterOpener()}
	for _, reference := range []string{
		"awsssm:///parley/masterKey",
		"awsssm:///parley/keys#masterKey",
		"awsssm://arn:aws:ssm:us-east-1:123456789012:parameter/parley/masterKey",
	} {
		cfg := credential.Config{Name: "masterKey"}
		if err := sources.Configure(&cfg, reference); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(cfg.Source.Info().Location)
	}
	// Output:
	// /parley/masterKey
	// /parley/keys
	// arn:aws:ssm:us-east-1:123456789012:parameter/parley/masterKey
}

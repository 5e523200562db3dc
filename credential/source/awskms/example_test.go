package awskms_test

import (
	"fmt"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/awskms"
)

// A ciphertext in a file that may lie beside the configuration, made by
//
//	aws kms encrypt --key-id alias/parley --encryption-context app=parley --plaintext fileb://master \
//	  --query CiphertextBlob --output text > /etc/parley/master.enc
func ExampleOpener() {
	sources := credential.Registry{"awskms": awskms.Opener()}
	cfg := credential.Config{Name: "masterKey"}
	err := sources.Configure(&cfg, "awskms:///etc/parley/master.enc?region=eu-west-1&key=alias/parley&context.app=parley&ttl=1h")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(cfg.Source.Info().Location, cfg.TTL)
	// Output:
	// /etc/parley/master.enc (eu-west-1) 1h0m0s
}

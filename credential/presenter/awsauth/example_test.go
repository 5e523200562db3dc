package awsauth_test

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/presenter/awsauth"
)

// Clients made from this configuration sign with the newest keys.
func Example() {
	fetch := func(context.Context) (credential.Payload, error) { // or a reference with format=json, by a credential.Registry
		return credential.Payload{Versions: []credential.Version{{Fields: map[string]credential.Secret{
			"accessKeyId":     credential.NewSecret("AKIAEXAMPLE"),
			"secretAccessKey": credential.NewSecret("a-secret-access-key"),
		}}}}, nil
	}
	bucket, err := credential.New(credential.Config{Name: "bucket", Source: source(fetch), Present: true, Check: awsauth.Check})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	if err := bucket.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer bucket.Stop()
	keys, err := awsauth.Presenter(bucket)
	if err != nil {
		fmt.Println(err)
		return
	}
	config := aws.Config{Region: "eu-central-1"} // or that of config.LoadDefaultConfig
	awsauth.Install(&config, keys)

	signing, err := config.Credentials.Retrieve(ctx)
	fmt.Println(signing.AccessKeyID, err)
	// Output: AKIAEXAMPLE <nil>
}

type source func(context.Context) (credential.Payload, error)

func (s source) Fetch(ctx context.Context) (credential.Payload, error) { return s(ctx) }
func (s source) Info() credential.Info                                 { return credential.Info{Scheme: "example"} }

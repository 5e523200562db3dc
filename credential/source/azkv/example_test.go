package azkv_test

import (
	"context"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azfake "github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	azsecretsfake "github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets/fake"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/azkv"
)

// The key is the version that the secret parley of the vault myvault has now. The options
// lead to a stand-in here; azkv.Opener(azkv.Options{}) reads the real vault, with the login
// that the environment has.
func ExampleOpener() {
	cfg := credential.Config{Name: "masterKey"}
	sources := credential.Registry{"azkv": azkv.Opener(azkv.Options{Credential: standInLogin{}, Transport: standInVault()})}
	if err := sources.Configure(&cfg, "azkv://myvault/parley?ttl=1m#masterKey"); err != nil {
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
	d := master.Verify("9f2c41d8e07b5a63c1d4")
	fmt.Println(d.Verdict, "version", d.VersionID)
	// Output: accept version 4387e9747f2b4ce7b1f0b3b2c5e1a9d0
}

type standInLogin struct{}

func (standInLogin) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "example", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func standInVault() policy.Transporter {
	id := to.Ptr(azsecrets.ID("https://myvault.vault.azure.net/secrets/parley/4387e9747f2b4ce7b1f0b3b2c5e1a9d0"))
	about := &azsecrets.SecretAttributes{Enabled: to.Ptr(true), Created: to.Ptr(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))}
	return azsecretsfake.NewServerTransport(&azsecretsfake.Server{
		GetSecret: func(context.Context, string, string, *azsecrets.GetSecretOptions) (ok azfake.Responder[azsecrets.GetSecretResponse], failed azfake.ErrorResponder) {
			ok.SetResponse(200, azsecrets.GetSecretResponse{Secret: azsecrets.Secret{ID: id, Attributes: about, Value: to.Ptr(`{"masterKey": "9f2c41d8e07b5a63c1d4"}`)}}, nil)
			return ok, failed
		},
		NewListSecretPropertiesVersionsPager: func(string, *azsecrets.ListSecretPropertiesVersionsOptions) (pages azfake.PagerResponder[azsecrets.ListSecretPropertiesVersionsResponse]) {
			pages.AddPage(200, azsecrets.ListSecretPropertiesVersionsResponse{SecretPropertiesListResult: azsecrets.SecretPropertiesListResult{
				Value: []*azsecrets.SecretProperties{{ID: id, Attributes: about}},
			}}, nil)
			return pages
		},
	})
}

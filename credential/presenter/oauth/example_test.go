package oauth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/presenter/oauth"
)

// A client whose requests carry the present token.
func Example() {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer token-of-the-day" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer service.Close()

	api, err := credential.New(credential.Config{
		Name:    "api",
		Source:  credential.Literal("token-of-the-day"), // or a reference, by a credential.Registry
		Present: true,
		Check:   oauth.Check,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	token, err := oauth.Presenter(api)
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: &oauth.Transport{Token: token, Base: service.Client().Transport}}
	response, err := client.Get(service.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	fmt.Println(response.StatusCode)

	t, err := oauth.Source(context.Background(), token).Token() // for libraries that want an oauth2.TokenSource
	fmt.Println(t.Type(), err)
	// Output:
	// 200
	// Bearer <nil>
}

package https_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/https"
)

func ExampleOpen() {
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"parley": {"masterKey": "9f2c41d8e07b5a63c1d4"}}`)
	}))
	defer store.Close()

	cfg := credential.Config{Name: "masterKey"}
	sources := credential.Registry{"http": https.Open, "https": https.Open}
	if err := sources.Configure(&cfg, store.URL+"/keys?ttl=1m#/parley/masterKey"); err != nil {
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

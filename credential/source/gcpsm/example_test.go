package gcpsm_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/gcpsm"
)

// The key is the version that the secret parley/masterKey has now. A web server stands for
// Secret Manager here, which the options endpoint and credentials_file lead to; without
// them it is the real one, with the application default credentials.
func ExampleOpener() {
	service := httptest.NewServer(standIn())
	defer service.Close()
	account, err := serviceAccount(service.URL + "/token")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(filepath.Dir(account))

	cfg := credential.Config{Name: "masterKey"}
	sources := credential.Registry{"gcpsm": gcpsm.Opener()}
	if err := sources.Configure(&cfg, "gcpsm://my-project/parley?ttl=1m&endpoint="+service.URL+"&credentials_file="+account+"#masterKey"); err != nil {
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
	// Output: accept version 1
}

func standIn() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"ya29.example","token_type":"Bearer","expires_in":3600}`)
	})
	mux.HandleFunc("GET /v1/projects/my-project/secrets/parley/versions", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"versions":[{"name":"projects/1/secrets/parley/versions/1","state":"ENABLED","createTime":"2026-01-01T00:00:00Z"}]}`)
	})
	mux.HandleFunc("GET /v1/projects/my-project/secrets/parley/versions/1:access", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"name":"projects/1/secrets/parley/versions/1","payload":{"data":"eyJtYXN0ZXJLZXkiOiAiOWYyYzQxZDhlMDdiNWE2M2MxZDQifQ=="}}`)
	})
	return mux
}

// serviceAccount writes a file such as the console hands out for a service account.
func serviceAccount(tokenURI string) (path string, err error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "parley@my-project.iam.gserviceaccount.com", "private_key_id": "1", "token_uri": tokenURI,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "parley")
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "account.json")
	return path, os.WriteFile(path, text, 0o600)
}

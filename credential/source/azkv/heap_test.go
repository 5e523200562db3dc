package azkv_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/source/azkv"
)

// elsewhere is a vault with one secret, the hidden key.
var elsewhere http.HandlerFunc = func(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Header.Get("Authorization") == "":
		w.Header().Set("WWW-Authenticate", challenge)
		w.WriteHeader(401)
	case strings.HasSuffix(r.URL.Path, "/versions"):
		fmt.Fprintf(w, `{"value":[{"id":"%s/%s","attributes":{"enabled":true,"created":1767225600}}]}`, location, id(1))
	default:
		fmt.Fprintf(w, `{"id":"%s/%s","value":%q,"attributes":{"enabled":true,"created":1767225600}}`, location, id(1), credentialtest.HiddenKey())
	}
}

// I14: the heap of a process that verifies a key of a vault does not hold the key: neither the
// library nor a connection keeps it.
func TestI14HeapHoldsNoPlainKey(t *testing.T) {
	_, address, _ := strings.Cut(credentialtest.ServeElsewhere(t), "//")
	// Every name leads to the other process, whose certificate nobody signed.
	transport := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	credentialtest.TestMemory(t, func() credential.Source {
		return open(t, azkv.Opener(azkv.Options{Credential: startFake(), Transport: transport}), "azkv://myvault/parley")
	})
}

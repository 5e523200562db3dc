package tlscert_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/presenter/tlscert"
)

// A web server whose certificate is kept in a secrets store: a reference such as
// k8s-mount:///run/tls?format=json in place of the literal.
func Example() {
	site, err := credential.New(credential.Config{
		Name:    "certificate",
		Source:  credential.Literal(examplePEM), // the certificate and its key
		Present: true,
		Check:   tlscert.Check,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	certificate, err := tlscert.Presenter(site)
	if err != nil {
		fmt.Println(err)
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	server := &http.Server{TLSConfig: &tls.Config{GetCertificate: tlscert.GetCertificate(certificate)}}
	served := make(chan error)
	go func() { served <- server.ServeTLS(listener, "", "") }()

	client, err := tls.Dial("tcp", listener.Addr().String(), &tls.Config{InsecureSkipVerify: true}) // an example has no authority
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(client.ConnectionState().PeerCertificates[0].Subject.CommonName)
	_ = client.Close()
	_ = server.Close()
	fmt.Println(<-served)
	// Output:
	// parley.example
	// http: Server closed
}

// examplePEM is a certificate that signs itself, made for this example alone.
const examplePEM = `-----BEGIN CERTIFICATE-----
MIIBiTCCAS+gAwIBAgIUGno+T/eAj16W2vf6b/oris1gU4IwCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOcGFybGV5LmV4YW1wbGUwIBcNMjYxMTIyMDgzMjM1WhgPMjEy
NjEwMjkwODMyMzVaMBkxFzAVBgNVBAMMDnBhcmxleS5leGFtcGxlMFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAEiTaiOF6uA4K58w+Oj68qdsHf+IYXgeHLhE1k6a7h
EVTov++zANB95pqrArbfmFZ8K/QGfzOL2bsoc7hLOC+UXKNTMFEwHQYDVR0OBBYE
FF2T0QNIiE7AivKhaYDnMK0IEc6jMB8GA1UdIwQYMBaAFF2T0QNIiE7AivKhaYDn
MK0IEc6jMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIgGN/f2EdL
+0QCE9FFGLlP/ZxpRTTXsWodDOWSKvrL83ACIQCPfVO5J6ceI1DCCi/KedvQK2eo
SbfHW/AhU9/qP2GxdA==
-----END CERTIFICATE-----
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQglTtAZqv+ZhvMcCi4
o3WAnjR9CKVyiclKZoqh/Y+TeyyhRANCAASJNqI4Xq4DgrnzD46Pryp2wd/4hheB
4cuETWTpruERVOi/77MA0H3mmqsCtt+YVnwr9AZ/M4vZuyhzuEs4L5Rc
-----END PRIVATE KEY-----`

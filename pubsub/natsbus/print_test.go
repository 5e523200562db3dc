package natsbus

import (
	"fmt"
	"strings"
	"testing"

	"github.com/parley-backend/parley/credential"
)

// I13: whatever prints a server or its configuration prints no password.
func TestI13PrintsNoPassword(t *testing.T) {
	cfg := ServerConfig{Listen: "127.0.0.1:0", User: "u", Password: credential.NewSecret("password of the clients"),
		Cluster: &ClusterConfig{Listen: "127.0.0.1:0", Routes: []string{"127.0.0.1:1"}, User: "r", Password: credential.NewSecret("password of the routes")}}
	s, err := NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		for _, v := range []any{s, cfg, *cfg.Cluster} {
			text := fmt.Sprintf(verb, v)
			for _, secret := range []string{string(s.password.Reveal()), "password of the clients", "password of the routes"} {
				if strings.Contains(text, secret) {
					t.Errorf("%s of %T prints a password: %s", verb, v, text)
				}
			}
		}
	}
}

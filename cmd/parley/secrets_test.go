package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/natsconn"
	"github.com/parley-backend/parley/wasmcloud/claims"
	"github.com/parley-backend/parley/wasmcloud/secrets"
)

// TestSecretsBackend runs `parley wasmcloud secrets` as its users do: serve, rotate, change the rules, revoke, make a mistake, stop.
func TestSecretsBackend(t *testing.T) {
	t.Parallel()
	const first, second = "canary-secret-one-4Hd8sKq2", "canary-secret-two-Zp7mWv5R"
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	defer s.WaitForShutdown()
	defer s.Shutdown()
	if !s.ReadyForConnections(time.Minute) {
		t.Fatal("the NATS server does not get ready")
	}
	issuer, provider, host := claims.Generate(claims.Account), claims.Generate(claims.Provider), claims.Generate(claims.Host)
	sign := func(c claims.Claims, by *claims.Key) string {
		t.Helper()
		token, err := c.Encode(by)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	conn, err := natsconn.Open(t.Context(), natsconn.Config{Servers: []string{s.ClientURL()}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := &secrets.Client{
		Conn: conn, Name: "test",
		Entity: sign(claims.Claims{Subject: provider.Public(), Provider: &claims.ProviderClaims{Name: "m", TargetHashes: map[string]string{}}}, issuer),
		Host:   sign(claims.Claims{Subject: host.Public(), Host: &claims.HostClaims{Labels: map[string]string{}}}, claims.Generate(claims.Account)),
	}
	account, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	signing, err := account.Seed()
	if err != nil {
		t.Fatal(err)
	}

	dir := t.TempDir()
	file := filepath.Join(dir, "secrets.json")
	write(t, filepath.Join(dir, "value"), first)
	write(t, filepath.Join(dir, "account.nk"), string(signing))
	configure := func(more string) {
		write(t, file+".new", fmt.Sprintf(`{
			// comments are allowed
			"nats": {"servers": [%q]}, "name": "test", "dataDir": %q, "metricsAddress": "127.0.0.1:0", "issuers": [%q],
			"keys": {"db": "file://%s/value", "login": {"mint": {"signingKey": "file://%[4]s/account.nk", "ttl": "10m"}}},
			%s
		}`, s.ClientURL(), filepath.Join(dir, "data"), issuer.Public(), dir, more))
		rename(t, file+".new", file)
	}
	const all = `"rules": [{"keys": ["*"]}]`
	configure(all)
	p := spawn(t, dir, nil, "wasmcloud", "secrets", "--check", file)
	<-p.ended
	if p.err != nil || p.out.String() != "the configuration is valid\n" {
		t.Fatalf("--check = %v\n%s%s", p.err, p.out, p.errs)
	}
	p = spawn(t, dir, nil, "wasmcloud", "secrets", file)
	p.await("the backend to serve", func() bool {
		return strings.Contains(p.out.String(), "Parley serves secrets at wasmcloud.secrets.v1alpha1.test")
	})
	get := func(key, field string) (string, error) {
		a, err := client.Get(t.Context(), key, field, "")
		return string(a.Value.Reveal()), err
	}
	if got, err := get("db", ""); got != first || err != nil {
		t.Errorf("Get(db) = %q, %v; want the first value", got, err)
	}
	token, err1 := get("login", "jwt")
	seed, err2 := get("login", "seed")
	if err1 != nil || err2 != nil || !strings.HasPrefix(seed, "SU") || token == "" {
		t.Errorf("Get(login) = %v, %v; want a login", err1, err2)
	}
	write(t, filepath.Join(dir, "value"), second)
	p.await("the rotated value", func() bool { got, _ := get("db", ""); return got == second })

	reloads := 0
	reload := func(more, says string) {
		t.Helper()
		configure(more)
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		reloads++
		p.await(says, func() bool {
			return strings.Count(p.errs.String(), "the configuration was reloaded")+strings.Count(p.errs.String(), "the configuration was not reloaded") == reloads && strings.Contains(p.errs.String(), says)
		})
	}
	reload(`"rules": [{"keys": ["login"]}]`, "the configuration was reloaded")
	if _, err := get("db", ""); !errors.Is(err, secrets.Unauthorized) {
		t.Errorf("Get(db) without a rule = %v, want Unauthorized", err)
	}
	if _, err := get("login", ""); err != nil {
		t.Errorf("Get(login) = %v", err)
	}
	reload(`"rulse": []`, `unknown field \"rulse\"`)
	if _, err := get("login", ""); err != nil {
		t.Errorf("Get(login) after a mistake = %v", err)
	}
	reload(all+`, "inFlight": 3, "revoked": {"entities": [`+fmt.Sprintf("%q", provider.Public())+`]}`, "needs a restart: inFlight")
	if _, err := get("login", ""); !errors.Is(err, secrets.Unauthorized) {
		t.Errorf("Get(login) by a revoked entity = %v, want Unauthorized", err)
	}

	info, err := os.Stat(filepath.Join(dir, "data", "keys", "transit"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the transit key: %v, %v; want a file with mode 0600", info, err)
	}
	public := serverKey(t, conn)
	p.end()
	if text := p.out.String() + p.errs.String(); len(credentialtest.Leaks(text, first, second, token, seed, string(signing))) > 0 {
		t.Errorf("the backend prints a secret:\n%s", text)
	}
	p = spawn(t, dir, nil, "wasmcloud", "secrets", "--config", file)
	p.await("the backend to serve again", func() bool { return strings.Contains(p.out.String(), "Parley serves secrets") })
	if again := serverKey(t, conn); again != public {
		t.Error("after a restart the transit key is another one")
	}
	p.end()
}

func serverKey(t *testing.T, conn *natsconn.Conn) string {
	t.Helper()
	m, err := conn.Request(context.Background(), "wasmcloud.secrets.v1alpha1.test.server_xkey", nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(m.Data)
}

// Command vault is a Vault server in memory, for the tests of credential/source/vault: key/value engines of both versions,
// dynamic users of PostgreSQL, AppRole, tokens, seal and unseal. It stands in a module of its own, so that Vault's code and its license stay out of Parley's.
//
//	go run . -addr 127.0.0.1:18200 -token root
//
// When it is ready it prints one line: READY, the address, the key that unseals it.
package main

import (
	"context"
	"encoding/hex"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/audit"
	"github.com/hashicorp/vault/builtin/credential/approle"
	"github.com/hashicorp/vault/builtin/credential/userpass"
	"github.com/hashicorp/vault/builtin/logical/database"
	"github.com/hashicorp/vault/helper/namespace"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/plugins/database/postgresql"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:18200", "to listen on")
	tok := flag.String("token", "root", "of the root user")
	flag.Parse()
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr})
	phys, err := inmem.NewInmem(nil, log)
	ck(err)
	cfg := &vault.CoreConfig{
		BuiltinRegistry: reg{},
		Physical:        phys, Logger: log, DisableMlock: true, DevToken: *tok, LogLevel: "warn",
		LogicalBackends: map[string]logical.Factory{
			"kv": kv.Factory, "database": database.Factory,
		},
		CredentialBackends: map[string]logical.Factory{"approle": approle.Factory, "userpass": userpass.Factory},
		AuditBackends:      map[string]audit.Factory{},
		DefaultLeaseTTL:    time.Hour, MaxLeaseTTL: 24 * time.Hour,
	}
	core, err := vault.NewCore(cfg)
	ck(err)
	ctx := namespace.ContextWithNamespace(context.Background(), namespace.RootNamespace)
	init, err := core.Initialize(ctx, &vault.InitParams{BarrierConfig: &vault.SealConfig{SecretShares: 1, SecretThreshold: 1, Name: "shamir"}})
	ck(err)
	ok, err := core.Unseal(append([]byte(nil), init.SecretShares[0]...))
	ck(err)
	if !ok {
		ck(fmt.Errorf("still sealed"))
	}
	_, err = core.HandleRequest(ctx, &logical.Request{ID: "dev", Operation: logical.UpdateOperation, ClientToken: init.RootToken, Path: "auth/token/create",
		Data: map[string]any{"id": *tok, "policies": []string{"root"}, "no_parent": true, "no_default_policy": true}})
	ck(err)
	_, err = core.HandleRequest(ctx, &logical.Request{ID: "dev2", Operation: logical.UpdateOperation, ClientToken: init.RootToken, Path: "sys/mounts/secret",
		Data: map[string]any{"type": "kv", "options": map[string]any{"version": "2"}}})
	ck(err)
	l, err := net.Listen("tcp", *addr)
	ck(err)
	lc := &configutil.Listener{Type: "tcp", Address: *addr}
	_ = lc
	h := vaulthttp.Handler.Handler(&vault.HandlerProperties{Core: core, ListenerConfig: lc})
	fmt.Printf("READY http://%s %s\n", l.Addr(), hex.EncodeToString(init.SecretShares[0]))
	ck(http.Serve(l, h))
}

// reg: the mounts this server knows, all compiled in.
type reg struct{}

func (reg) Contains(n string, t consts.PluginType) bool { _, ok := reg{}.Get(n, t); return ok }
func (reg) Get(n string, t consts.PluginType) (func() (any, error), bool) {
	if n == "postgresql-database-plugin" && t == consts.PluginTypeDatabase {
		return func() (any, error) { return postgresql.New() }, true
	}
	m := map[string]logical.Factory{"kv": kv.Factory, "database": database.Factory}
	if t == consts.PluginTypeCredential {
		m = map[string]logical.Factory{"approle": approle.Factory, "userpass": userpass.Factory}
	}
	f, ok := m[n]
	if !ok {
		return nil, false
	}
	return func() (any, error) { return f, nil }, true
}
func (reg) Keys(consts.PluginType) []string { return nil }
func (reg) DeprecationStatus(string, consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, true
}
func (reg) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }

func ck(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "fatal:", err)
		os.Exit(1)
	}
}

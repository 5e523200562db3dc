// Package vault is the source of the reference vault://mount/path#field: a secret in
// HashiCorp Vault, or in what speaks its HTTP API. It reads version 2 of the key/value
// engine with its versions, deletions and destructions, version 1, and every other
// engine that answers a read (database/creds/role).
//
//	vault.go   the reference and its options
//	read.go    one reading: which versions there are, and in which state
//	plain.go   engines without versions, and leases
//	write.go   a new value in the place of a field
//	client.go  one Vault: its token, renewed ahead of its end; who may ask at a time
//	login.go   where a token comes from
package vault

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/internal/origin"
)

// maxAnswer is the largest answer of Vault that is read: one secret of the engine's
// limit, and what Vault wraps around it.
const maxAnswer = 256 << 10

// Opener returns the opener of vault://mount/path. The sources that it opens share one
// client, and so one token, for each Vault and way to log in. Its options:
//
//	version             read this version of the key/value engine, always
//	kv                  1 or 2: the version of the engine, if Vault shall not be asked
//	addr, namespace     instead of VAULT_ADDR and VAULT_NAMESPACE
//	ca_file             instead of VAULT_CACERT
//	cert_file, key_file our own certificate and its key, instead of VAULT_CLIENT_CERT and VAULT_CLIENT_KEY
//	server_name         instead of VAULT_TLS_SERVER_NAME
//	allow_http          the host that may be reached in the clear
//	auth                token (the default), approle, kubernetes, cert
//	auth_mount          where the login is mounted, if not at its usual place
//	token_file          instead of VAULT_TOKEN
//	role_id_file        instead of VAULT_ROLE_ID
//	secret_id_file      instead of VAULT_SECRET_ID
//	role                of a login by Kubernetes or by certificate
//	jwt_file            the token of the Kubernetes service account
func Opener() credential.Opener {
	p := &pool{clients: make(map[place]*client)}
	return p.open
}

// pool has the clients of one configuration.
type pool struct {
	mu      sync.Mutex
	clients map[place]*client
}

// place is one Vault and one way to log in to it.
type place struct {
	addr, namespace, caFile, allowHTTP string
	certFile, keyFile, serverName      string
	auth, mount, role                  string
	tokenFile, roleIDFile              string
	secretIDFile, jwtFile              string
}

func (p *pool) open(ref credential.Reference) (credential.Source, error) {
	if err := ref.Only("version", "kv", "addr", "namespace", "ca_file", "cert_file", "key_file", "server_name", "allow_http", "auth", "auth_mount",
		"token_file", "role_id_file", "secret_id_file", "role", "jwt_file"); err != nil {
		return nil, err
	}
	s := &source{kv: ref.Options["kv"], mount: ref.Authority, path: strings.Trim(ref.Path, "/"), leasing: make(chan struct{}, 1)}
	switch {
	case s.mount == "" || s.path == "" || ref.Opaque != "":
		return nil, wrong("write vault://mount/path#field")
	case strings.Contains("/"+s.path+"/", "/../") || strings.Contains("/"+s.path+"/", "/./") || strings.Contains(s.path, "//"):
		return nil, wrong("the path has an empty part, or one of dots")
	case ref.Field == "" && ref.Engine.Format != "json" && ref.Engine.Format != "keyset":
		return nil, wrong("name the field after #, or write format=json for all of them")
	case s.kv != "" && s.kv != "1" && s.kv != "2":
		return nil, wrong("option kv is 1 or 2")
	}
	if text, given := ref.Options["version"]; given {
		var err error
		if s.pinned, err = strconv.ParseUint(text, 10, 31); err != nil || s.pinned == 0 || s.kv == "1" {
			return nil, wrong("option version wants a number from 1, and version 2 of the engine")
		}
	}
	var err error
	if s.decoder, err = ref.Decoder(); err != nil {
		return nil, err
	}
	if s.client, err = p.client(ref); err != nil {
		return nil, err
	}
	return s, nil
}

func wrong(format string, args ...any) error {
	return credential.Errorf(credential.Misconfigured, "reference vault: "+format, args...)
}

// client returns the one client of a place.
func (p *pool) client(ref credential.Reference) (*client, error) {
	option := func(name, variable string) string {
		if value, given := ref.Options[name]; given {
			return value
		}
		return os.Getenv(variable)
	}
	at := place{
		addr: strings.TrimSuffix(option("addr", "VAULT_ADDR"), "/"), namespace: strings.Trim(option("namespace", "VAULT_NAMESPACE"), "/"),
		caFile: option("ca_file", "VAULT_CACERT"), allowHTTP: ref.Options["allow_http"],
		certFile: option("cert_file", "VAULT_CLIENT_CERT"), keyFile: option("key_file", "VAULT_CLIENT_KEY"), serverName: option("server_name", "VAULT_TLS_SERVER_NAME"),
		auth: ref.Options["auth"], mount: strings.Trim(ref.Options["auth_mount"], "/"), role: ref.Options["role"],
		tokenFile: ref.Options["token_file"], roleIDFile: ref.Options["role_id_file"],
		secretIDFile: ref.Options["secret_id_file"], jwtFile: ref.Options["jwt_file"],
	}
	if at.auth == "" {
		at.auth = "token"
	}
	way, known := logins[at.auth]
	if !known {
		return nil, wrong("option auth is token, approle, kubernetes or cert")
	}
	if at.mount == "" {
		at.mount = at.auth
	}
	if err := at.check(); err != nil {
		return nil, err
	}
	where, err := url.Parse(at.addr)
	if err != nil || where.Host == "" || where.Path != "" || where.User != nil || where.RawQuery != "" {
		return nil, wrong("the address of Vault is scheme://host:port and no more")
	}
	if where.Scheme == "http" {
		at.caFile, at.certFile, at.keyFile, at.serverName = "", "", "", ""
		if at.auth == "cert" {
			return nil, wrong("auth=cert wants https")
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if c, known := p.clients[at]; known {
		return c, nil
	}
	to, err := origin.New(origin.Config{
		Scheme: where.Scheme, Host: where.Host, AllowHTTP: at.allowHTTP, Limit: maxAnswer,
		CAFile: at.caFile, CertFile: at.certFile, KeyFile: at.keyFile, ServerName: at.serverName,
	})
	if err != nil {
		return nil, err
	}
	c := newClient(at, to, way)
	p.clients[at] = c
	return c, nil
}

// check reports what is missing and what does not go together.
func (at *place) check() error {
	for _, option := range [...]struct{ name, value, auths string }{
		{"token_file", at.tokenFile, "token"}, {"role_id_file", at.roleIDFile, "approle"}, {"secret_id_file", at.secretIDFile, "approle"},
		{"jwt_file", at.jwtFile, "kubernetes"}, {"role", at.role, "kubernetes cert"},
	} {
		switch {
		case option.value != "" && !slices.Contains(strings.Fields(option.auths), at.auth):
			return wrong("option %s is for auth=%s", option.name, strings.ReplaceAll(option.auths, " ", " and auth="))
		case option.value != "" && option.name != "role" && !filepath.IsAbs(option.value):
			return wrong("option %s wants a path that begins with a slash", option.name)
		}
	}
	switch {
	case at.addr == "":
		return wrong("the address is missing: set VAULT_ADDR, or the option addr")
	case at.auth == "kubernetes" && at.role == "":
		return wrong("auth=kubernetes wants the option role")
	case at.auth == "cert" && at.certFile == "":
		return wrong("auth=cert wants the options cert_file and key_file")
	}
	return nil
}

package parley_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/parley-backend/parley"

// layers are the packages of this module from the bottom up: a package imports only what stands in a layer below its own.
// A new package gets a place here before it gets a file.
var layers = [][]string{
	{"parse", "credential", "pubsub", "internal/pgtest", "wasmcloud/wrpc"},
	{
		"schema", "credential/source/static", "credential/source/env", "credential/source/file", "credential/source/exec", "credential/source/internal/origin", "credential/source/internal/pattern", "credential/source/internal/awsapi", "credential/source/internal/awstest", "credential/disk",
		"credential/broadcast", "credential/presenter/postgres", "credential/presenter/awsauth", "credential/presenter/oauth", "credential/presenter/tlscert", "credential/presenter/smtpauth",
		"pubsub/pubsubtest", "natsconn", "wasmcloud/claims",
	},
	{
		"query", "credential/source/https", "credential/source/vault", "credential/source/mount", "credential/credentialtest",
		"credential/source/natskv", "credential/source/awssm", "credential/source/awskms", "credential/source/gcpsm", "credential/source/azkv", "pubsub/natsbus",
	},
	{"query/querytest", "storage", "cloud", "wasmcloud", "wasmcloud/secrets", "credential/source"},
	{"wasmcloud/par", "wasmcloud/telemetry", "wasmcloud/messaging"},
	{"cloud/node", "storage/memory", "storage/sqlgen", "internal/auth", "internal/cache"},
	{"wasmcloud/hosttest"},
	{"storage/storagetest", "storage/sqlite", "storage/postgres", "internal/access", "internal/schemas", "internal/keysapi"},
	{"internal/object", "internal/webhook", "internal/job"},
	{"internal/role", "internal/installation"},
	{"internal/session"},
	{"internal/user"},
	{"internal/rest"},
	{"internal/metrics"},
	{""},
	{"internal/migrate"},
	{"config"},
	{"cmd/parley", "cmd/parley-messaging", "conformance", "interop/jssdk", "interop/rust"},
	{"interop/oracle"},
}

// only lists what a package may import from outside the module besides the standard library, where that is restricted.
var only = map[string][]string{
	"parse":      {},
	"credential": {},
	"cloud":      {},
	"cloud/node": {},
	"query":      {"github.com/dlclark/regexp2", "golang.org/x/text"},
	"schema":     {},
	"storage":    {},
	"pubsub":     {},

	"wasmcloud/wrpc": {"github.com/nats-io/nats.go"},
}

// drivers are what the root package must not link, however indirectly.
var drivers = []string{"zombiezen.com/go/sqlite", "modernc.org/sqlite", "github.com/jackc/pgx", "github.com/nats-io/nats-server", "github.com/aws", "github.com/Azure"}

type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func TestPackagesImportDownwards(t *testing.T) {
	level := map[string]int{}
	for i, layer := range layers {
		for _, name := range layer {
			level[strings.TrimSuffix(module+"/"+name, "/")] = i
		}
	}
	for _, p := range list(t, module+"/...") {
		mine, known := level[p.ImportPath]
		if !known {
			t.Errorf("%s has no place in the table of layers", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			if imported != module && !strings.HasPrefix(imported, module+"/") {
				continue
			}
			theirs, known := level[imported]
			if !known || theirs >= mine {
				t.Errorf("%s (layer %d) imports %s (layer %d)", p.ImportPath, mine, imported, theirs)
			}
		}
		allowed, restricted := only[strings.TrimPrefix(p.ImportPath, module+"/")]
		for _, imported := range p.Imports {
			first, _, _ := strings.Cut(imported, "/")
			outside := strings.Contains(first, ".") && !strings.HasPrefix(imported, module)
			if restricted && outside && !slices.ContainsFunc(allowed, func(a string) bool { return strings.HasPrefix(imported, a) }) {
				t.Errorf("%s imports %s", p.ImportPath, imported)
			}
		}
	}
}

func TestRootLinksNoDriver(t *testing.T) {
	for _, p := range list(t, module) {
		for _, dep := range p.Deps {
			if slices.ContainsFunc(drivers, func(d string) bool { return strings.HasPrefix(dep, d) }) {
				t.Errorf("the root package links %s", dep)
			}
		}
	}
}

func list(t *testing.T, pattern string) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", pattern).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

package config

import (
	"os"
	"slices"
	"strings"
	"time"

	"github.com/parley-backend/parley"
	"github.com/parley-backend/parley/cloud/node"
	"github.com/parley-backend/parley/credential"
)

// cloud reads the options of cloud code in JavaScript.
func (b *builder) cloud(c *parley.Config) {
	v := b.v
	for _, name := range []string{"cloudWorkers", "cloudTimeout"} {
		if v.Int(name) < 1 {
			b.problem(name, "must be greater than 0")
		}
	}
	if n := v.Int("cloudMaxMemory"); n != 0 && n < 64 {
		b.problem("cloudMaxMemory", "must be 64 or more, or 0 for the limit of Node.js")
	}
	c.JavaScript = javaScript(v)
	c.CloudLog = b.cloudLevels()
}

// javaScript are the options of cloud code, nil when there is none.
func javaScript(v *Values) *node.Options {
	if v.String("cloud") == "" {
		return nil
	}
	return &node.Options{
		Main: v.String("cloud"), Node: v.String("cloudNode"), Workers: v.Int("cloudWorkers"), MaxMemory: v.Int("cloudMaxMemory"),
		Timeout: time.Duration(v.Int("cloudTimeout")) * time.Second, Watch: v.Bool("watchCloud"), Env: v.harmless(os.Environ()),
	}
}

// JavaScript are the options of cloud code in JavaScript, nil when there is none: for who wants to look at the code without a server.
func (v *Values) JavaScript() *node.Options { return javaScript(v) }

// harmless is the environment without the variables that hold credentials of this server, those among them that an option refers to
// (env:NAME, bearer_env=NAME, or the login of Vault): cloud code asks for the rights that it needs, and needs no key for them.
func (v *Values) harmless(environ []string) []string {
	secret := []string{"PARSE_SERVER_DATABASE_URI", "DATABASE_URI"}
	for _, o := range Options() {
		if o.Kind == Secret {
			secret = append(secret, o.Env)
		}
	}
	for _, value := range v.set {
		secret = append(secret, named(value)...)
	}
	var rest []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if !slices.Contains(secret, name) {
			rest = append(rest, entry)
		}
	}
	return rest
}

// loginsOfVault are what a reference to Vault logs in with, unless it names something else.
var loginsOfVault = []string{"VAULT_TOKEN", "VAULT_SECRET_ID"}

// named are the variables that the references in a value name, however deep they stand in it.
func named(value any) (variables []string) {
	switch value := value.(type) {
	case string:
		if !credential.IsReference(value) {
			return nil
		}
		ref, err := credential.ParseReference(value)
		if err != nil { // told elsewhere
			return nil
		}
		if name := ref.Options["bearer_env"]; name != "" {
			variables = append(variables, name)
		}
		switch ref.Scheme {
		case "env":
			variables = append(variables, ref.Opaque)
		case "vault":
			variables = append(variables, loginsOfVault...)
		}
	case []string:
		for _, text := range value {
			variables = append(variables, named(text)...)
		}
	case []any:
		for _, item := range value {
			variables = append(variables, named(item)...)
		}
	case map[string]any:
		for _, item := range value {
			variables = append(variables, named(item)...)
		}
	}
	return variables
}

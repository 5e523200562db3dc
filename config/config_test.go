package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTable looks for rows that could not be what they say.
func TestTable(t *testing.T) {
	names, envs := map[string]bool{}, map[string]string{}
	groups := map[string]bool{}
	for _, o := range Options() {
		if o.Kind == Group {
			groups[o.Name] = true
		}
	}
	for _, o := range Options() {
		if names[o.Name] {
			t.Errorf("%s stands in the table twice", o.Name)
		}
		names[o.Name] = true
		if o.Env == "" || strings.ToUpper(o.Env) != o.Env {
			t.Errorf("%s: environment variable %q", o.Name, o.Env)
		}
		if other, ok := envs[o.Env]; ok {
			t.Errorf("%s and %s share the variable %s", o.Name, other, o.Env)
		}
		envs[o.Env] = o.Name
		if o.Doc == "" || strings.HasSuffix(o.Doc, ".") {
			t.Errorf("%s: documentation %q, want a text without a full stop", o.Name, o.Doc)
		}
		if (o.Effect == Works) != (o.Note == "") {
			t.Errorf("%s: effect %d with the note %q", o.Name, o.Effect, o.Note)
		}
		if group, _, ok := strings.Cut(o.Name, "."); ok && !groups[group] {
			t.Errorf("%s: there is no group %s", o.Name, group)
		}
		if o.Kind == Group && o.Default != "" {
			t.Errorf("%s: a group with a default", o.Name)
		}
		if o.Kind == Secret && o.Default != "" {
			t.Errorf("%s: a secret with a default", o.Name)
		}
		if o.Default == "" {
			continue
		}
		v, err := Read(Input{Flags: map[string]string{o.Name: o.Default}})
		if err != nil {
			t.Errorf("%s: its default %q: %v", o.Name, o.Default, err)
			continue
		}
		if got := v.set[o.Name]; !cmp.Equal(got, defaults[o.Name]) {
			t.Errorf("%s: its default %q is read as %v", o.Name, o.Default, got)
		}
	}
}

// TestEveryOptionOfParseServer wants the options of contract parse-api.md, 5.13, that a deployment is most likely to have.
func TestEveryOptionOfParseServer(t *testing.T) {
	byEnv := map[string]string{}
	for _, o := range Options() {
		byEnv[o.Env] = o.Name
	}
	for env, name := range map[string]string{
		"PARSE_SERVER_APPLICATION_ID": "appId", "PARSE_SERVER_MASTER_KEY": "masterKey", "PARSE_SERVER_DATABASE_URI": "databaseURI", "PORT": "port",
		"PARSE_SERVER_URL": "serverURL", "PARSE_PUBLIC_SERVER_URL": "publicServerURL", "PARSE_SERVER_MOUNT_PATH": "mountPath",
		"PARSE_SERVER_REST_API_KEY": "restAPIKey", "PARSE_SERVER_JAVASCRIPT_KEY": "javascriptKey", "PARSE_SERVER_CLIENT_KEY": "clientKey",
		"PARSE_SERVER_DOT_NET_KEY": "dotNetKey", "PARSE_SERVER_MASTER_KEY_IPS": "masterKeyIps", "PARSE_SERVER_MASTER_KEY_TTL": "masterKeyTtl",
		"PARSE_SERVER_MAINTENANCE_KEY": "maintenanceKey", "PARSE_SERVER_READ_ONLY_MASTER_KEY": "readOnlyMasterKey",
		"PARSE_SERVER_MAX_UPLOAD_SIZE": "maxUploadSize", "PARSE_SERVER_TRUST_PROXY": "trustProxy", "PARSE_SERVER_ALLOW_ORIGIN": "allowOrigin",
		"PARSE_SERVER_CLOUD": "cloud", "PARSE_SERVER_LIVE_QUERY": "liveQuery", "PARSE_SERVER_PUSH": "push", "JSON_LOGS": "jsonLogs", "VERBOSE": "verbose",
	} {
		if byEnv[env] != name {
			t.Errorf("%s sets %q, want %s", env, byEnv[env], name)
		}
	}
}

// TestKinds reads an option of each kind from each of the three places.
func TestKinds(t *testing.T) {
	type read struct {
		option, env string
		json        string // in the file
		text        string // in the environment and on the command line
		want        any
	}
	for _, c := range []read{
		{"appId", "PARSE_SERVER_APPLICATION_ID", `"a"`, "a", "a"},
		{"masterKey", "PARSE_SERVER_MASTER_KEY", `"m"`, "m", "m"},
		{"allowClientClassCreation", "PARSE_SERVER_ALLOW_CLIENT_CLASS_CREATION", `true`, "true", true},
		{"allowClientClassCreation", "PARSE_SERVER_ALLOW_CLIENT_CLASS_CREATION", `"false"`, "0", false},
		{"enforcePrivateUsers", "PARSE_SERVER_ENFORCE_PRIVATE_USERS", `"1"`, "1", true},
		{"port", "PORT", `1234`, "1234", 1234},
		{"port", "PORT", `"1234"`, "1234", 1234},
		{"masterKeyIps", "PARSE_SERVER_MASTER_KEY_IPS", `["10.0.0.1","10.0.0.2"]`, "10.0.0.1, 10.0.0.2", []string{"10.0.0.1", "10.0.0.2"}},
		{"masterKeyIps", "PARSE_SERVER_MASTER_KEY_IPS", `"10.0.0.1"`, `["10.0.0.1"]`, []string{"10.0.0.1"}},
		{"allowOrigin", "PARSE_SERVER_ALLOW_ORIGIN", `"https://a.example"`, "https://a.example", []string{"https://a.example"}},
		{"protectedFields", "PARSE_SERVER_PROTECTED_FIELDS", `{"A":{"*":["f"]}}`, `{"A":{"*":["f"]}}`, map[string]any{"A": map[string]any{"*": []any{"f"}}}},
		{"trustProxy", "PARSE_SERVER_TRUST_PROXY", `2`, "2", 2.0},
		{"trustProxy", "PARSE_SERVER_TRUST_PROXY", `"loopback"`, "loopback", "loopback"},
		{"maxUploadSize", "PARSE_SERVER_MAX_UPLOAD_SIZE", `1000`, "1000", "1000"},
		{"accountLockout.threshold", "PARSE_SERVER_ACCOUNT_LOCKOUT_THRESHOLD", `3`, "3", 3},
	} {
		for place, in := range map[string]Input{
			"file":        {File: fileWith(t, c.option, c.json)},
			"environment": {Environ: []string{"HOME=/", c.env + "=" + c.text}},
			"flag":        {Flags: map[string]string{c.option: c.text}},
		} {
			v, err := Read(in)
			if err != nil {
				t.Errorf("%s from the %s: %v", c.option, place, err)
				continue
			}
			if got := v.set[c.option]; !cmp.Equal(got, c.want) || v.from[c.option] != place {
				t.Errorf("%s from the %s = %#v of the %s, want %#v", c.option, place, got, v.from[c.option], c.want)
			}
		}
	}
	v, err := Read(Input{Flags: map[string]string{"accountLockout": `{"threshold":3,"duration":5}`}})
	if err != nil || v.Int("accountLockout.threshold") != 3 || v.Int("accountLockout.duration") != 5 {
		t.Errorf("a group as JSON on the command line = %v, %v", v.set, err)
	}
}

// fileWith writes a configuration file with one option, nested when it is the member of a group.
func fileWith(t *testing.T, option, value string) string {
	t.Helper()
	text := fmt.Sprintf(`{%q: %s}`, option, value)
	if group, member, ok := strings.Cut(option, "."); ok {
		text = fmt.Sprintf(`{%q: {%q: %s}}`, group, member, value)
	}
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestWrongKinds gives options what they cannot hold. No message repeats the value, which may be a key in the wrong place.
func TestWrongKinds(t *testing.T) {
	const canary = "canary"
	for _, c := range []struct{ option, json, want string }{
		{"appId", `{"canary":1}`, "appId: must be a string"},
		{"appId", `["canary"]`, "appId: must be a string"},
		{"masterKey", `5`, "masterKey: must be a string"},
		{"port", `"canary"`, "port: must be a whole number"},
		{"port", `1.5`, "port: must be a whole number"},
		{"port", `true`, "port: must be a whole number"},
		{"port", `["canary"]`, "port: must be a whole number"},
		{"allowClientClassCreation", `"canary"`, "allowClientClassCreation: must be true or false"},
		{"allowClientClassCreation", `1`, "allowClientClassCreation: must be true or false"},
		{"masterKeyIps", `{"canary":1}`, "masterKeyIps: must be a list of strings"},
		{"masterKeyIps", `["canary", 5]`, "masterKeyIps: must be a list of strings"},
		{"passwordPolicy", `"canary"`, "passwordPolicy: must be JSON"},
		{"passwordPolicy", `["canary"]`, "passwordPolicy: must be an object"},
		{"cloud", `["canary"]`, "cloud: must be a string"},
	} {
		_, err := Read(Input{File: fileWith(t, c.option, c.json)})
		if c.option == "passwordPolicy" && err != nil { // a text is no object either way
			c.want = "passwordPolicy: must be an object"
		}
		if err == nil || err.Error() != c.want || strings.Contains(err.Error(), canary) {
			t.Errorf("Read of %s: %s = %v, want %s", c.option, c.json, err, c.want)
		}
		var p Problem
		if err != nil && !errors.As(err, &p) {
			t.Errorf("Read of %s: %s is a %T, want a Problem", c.option, c.json, err)
		}
	}
	if _, err := Read(Input{Environ: []string{"PARSE_SERVER_MASTER_KEY_IPS=[canary"}}); err == nil || err.Error() != "masterKeyIps: must be a JSON array of strings, or names separated by commas" {
		t.Errorf("half a list = %v", err)
	}
}

// TestNullIsNotSet keeps null meaning what it means to Parse Server.
func TestNullIsNotSet(t *testing.T) {
	v, err := Read(Input{File: fileWith(t, "cloud", "null")})
	if err != nil || v.Has("cloud") {
		t.Errorf("null = %v, %v, want no option and no problem", v.set, err)
	}
}

func TestClosest(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"masterkey", "masterKey"}, {"mastrKey", "masterKey"}, {"materKey", "masterKey"}, {"maserKeyIps", "masterKeyIps"},
		{"databaseURL", "databaseURI"}, {"appid", "appId"}, {"pasword Policy", "passwordPolicy"}, {"prot", "port"},
		{"qqqqqqqqqqqqqqqqqqq", ""}, {"", ""},
	} {
		if got := Closest(c.name, Options()); got != c.want {
			t.Errorf("Closest(%q) = %q, want %q", c.name, got, c.want)
		}
	}
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"ab", "ba", 1}, {"abc", "acb", 1}, {"kitten", "sitting", 3}, {"same", "same", 0}} {
		if got := distance(c.a, c.b); got != c.want || distance(c.b, c.a) != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d both ways", c.a, c.b, got, c.want)
		}
	}
}

func TestWarnings(t *testing.T) {
	v, err := Read(Input{Flags: map[string]string{"appName": "x", "cluster": "4", "port": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"option appName has no effect: it is part of pages and mails, which this version does not have",
		"option cluster has no effect: one process uses all processors",
	}
	if diff := cmp.Diff(want, v.Warnings()); diff != "" {
		t.Errorf("Warnings (-want +got):\n%s", diff)
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"20mb": 20 << 20, "1kb": 1024, "1.5 KB": 1536, "7": 7, "7b": 7, "1GB": 1 << 30, "0.5mb": 1 << 19} {
		if got, err := parseSize(text); got != want || err != nil {
			t.Errorf("parseSize(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "mb", "-1", "0", "1tb", "NaN", "Inf", "1e30", "2000gb", "0.1", "0.0001kb"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("parseSize(%q) = %d, want an error", text, got)
		}
	}
}

// FuzzRead feeds files: whatever they hold, problems name options and nothing panics, and what is read can be built or refused.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		`{"appId":"a","masterKey":"m"}`, `{"apps":[{"appId":"a"}]}`, `{"apps":[]}`, `// c` + "\n{}", `{"port":"x","rateLimit":[{}],}`, `[]`, `null`, `{`,
		`{"passwordPolicy":{"validatorPattern":"/(/"},"trustProxy":[1],"protectedFields":{"A":{"*":["x"]}},"maxUploadSize":1e99}`,
		`{"masterKey":"file://","databaseURI":"sqlite:"}`, "{\"appId\":\"\xff\"}", `{"cacheTTL":-9007199254740993,"sessionLength":1e300}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "config.json")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		v, err := Read(Input{File: path})
		if err != nil {
			var p Problem
			if !errors.As(err, &p) {
				t.Fatalf("Read = a %T", err)
			}
			return
		}
		v.Warnings()
		if b, err := v.Build(nil); err == nil && (b.Config.AppID == "" || b.Config.MasterKey == nil) {
			t.Fatalf("Build accepts a server without an id or a master key: %s", data)
		}
	})
}

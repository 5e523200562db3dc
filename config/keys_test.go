package config

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func build(t *testing.T, flags map[string]string) *Built {
	t.Helper()
	v, err := Read(Input{Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	built, err := v.Build(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return built
}

// The install key and the revocations are there also when all keys are configured, and every credential gets them.
func TestOpenKeys(t *testing.T) {
	dir := t.TempDir()
	flags := map[string]string{"appId": "app", "masterKey": "a master key of the tests", "restAPIKey": "a rest key of the tests", "dataDir": dir, "databaseURI": "memory:"}
	built := build(t, flags)
	if err := built.OpenKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	key := bytes.TrimSpace([]byte(readFile(t, filepath.Join(dir, "keys", "installKey"))))
	for _, name := range []string{"masterKey", "restAPIKey"} {
		cfg := built.Config.Credentials[name]
		if !bytes.Equal(cfg.InstallKey.Reveal(), key) || cfg.Store == nil || cfg.LastGood == nil {
			t.Errorf("%s: install key and stores = %d bytes, %v and %v, want those of the folder", name, cfg.InstallKey.Len(), cfg.Store, cfg.LastGood)
		}
	}
	flags["lastKnownGood"] = "false"
	without := build(t, flags)
	if err := without.OpenKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	if cfg := without.Config.Credentials["masterKey"]; cfg.Store == nil || cfg.LastGood != nil {
		t.Errorf("with lastKnownGood=false the stores are %v and %v, want the first alone", cfg.Store, cfg.LastGood)
	}
	if err := build(t, flags).Check(t.Context()); err != nil {
		t.Errorf("Check = %v, want none", err)
	}
	path := filepath.Join(dir, "keys", "revocations")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{"OpenKeys": build(t, flags).OpenKeys(t.Context()), "Check": build(t, flags).Check(t.Context())} {
		if err == nil || !strings.HasPrefix(err.Error(), "dataDir: "+path+" is damaged") {
			t.Errorf("%s with a damaged list = %v, want an error that names it", name, err)
		}
	}
}

func TestCheckMakesNoKeys(t *testing.T) {
	dir := t.TempDir()
	built := build(t, map[string]string{"appId": "app", "masterKey": "a master key of the tests", "dataDir": dir, "databaseURI": "memory:"})
	if err := built.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("Check made %v (%v), want nothing", entries, err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// A secret may be a list in the file: where it is kept, and its fallbacks.
func TestSecretWithFallbacks(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "parley.json")
	read := func(masterKey string) (*Values, error) {
		if err := os.WriteFile(path, []byte(`{"appId":"app","masterKey":`+masterKey+`}`), 0o600); err != nil {
			t.Fatal(err)
		}
		return Read(Input{File: path})
	}
	v, err := read(`["file:///nowhere/master?overlap=30m", "a master key of the tests"]`)
	if err != nil {
		t.Fatal(err)
	}
	built, err := v.Build(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := built.Config.MasterKey.Info().Location, "file:/nowhere/master, then literal"; got != want {
		t.Errorf("source = %s, want %s", got, want)
	}
	if got, want := built.Config.Credentials["masterKey"].Overlap, 30*time.Minute; got != want {
		t.Errorf("overlap = %v, want %v", got, want)
	}
	access, err := v.Access(t.Context(), "", "")
	if err != nil || string(access.MasterKey.Reveal()) != "a master key of the tests" {
		t.Errorf("Access = %v, want the key of the fallback", err)
	}
	for _, wrong := range []string{`[]`, `[""]`, `["file:///a", 3]`} {
		_, err := read(wrong)
		if want := "masterKey: must be a string, or a list of strings: where the value is kept, and its fallbacks"; err == nil || err.Error() != want {
			t.Errorf("%s = %v, want %s", wrong, err, want)
		}
	}
	if err := os.WriteFile(path, []byte(`{"appId":["a"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(Input{File: path}); err == nil || err.Error() != "appId: must be a string" {
		t.Errorf("a list for a text = %v, want an error", err)
	}
}

// For a variable X of a secret there is X_FILE.
func TestSecretFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "odd #1 100%?")
	if err := os.WriteFile(path, []byte("a master key of the tests\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	secrets := 0
	for _, o := range Options() {
		v, err := Read(Input{Environ: []string{o.Env + "_FILE=" + path}})
		switch {
		case o.Kind == Secret && o.Effect == Refused:
		case o.Kind == Secret:
			secrets++
			if err != nil || len(v.Secret(o.Name)) != 1 || !strings.HasPrefix(v.Secret(o.Name)[0], "file:///") {
				t.Errorf("%s_FILE = %v, want a reference to the file", o.Env, err)
			}
		case strings.HasPrefix(o.Env, "PARSE_SERVER_") && err == nil:
			t.Errorf("%s_FILE is accepted, although %s is no secret", o.Env, o.Name)
		}
	}
	if secrets == 0 {
		t.Error("there is no option that is a secret")
	}
	environ := []string{"PARSE_SERVER_APPLICATION_ID=app", "PARSE_SERVER_MASTER_KEY_FILE=" + path, "PARSE_SERVER_REST_API_KEY_FILE="}
	v, err := Read(Input{Environ: environ})
	if err != nil {
		t.Fatal(err)
	}
	built, err := v.Build(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if got := built.Config.MasterKey.Info().Location; got != path || built.Config.RESTAPIKey != nil {
		t.Errorf("master key in %s, REST key %v; want %s and none", got, built.Config.RESTAPIKey, path)
	}
	if err := built.Check(t.Context()); err != nil {
		t.Errorf("Check = %v, want none", err)
	}
	t.Chdir(filepath.Dir(path))
	for _, test := range []struct{ environ, want string }{
		{"PARSE_SERVER_MASTER_KEY=literal PARSE_SERVER_MASTER_KEY_FILE=/a", "masterKey: PARSE_SERVER_MASTER_KEY and PARSE_SERVER_MASTER_KEY_FILE are both set; one of them must go"},
		{"PARSE_SERVER_MASTER_KEY_FILE=file:///a", "masterKey: PARSE_SERVER_MASTER_KEY_FILE must be the path of a file; references belong into PARSE_SERVER_MASTER_KEY"},
		{"PARSE_SERVER_MASTER_KEY= PARSE_SERVER_MASTER_KEY_FILE=relative", ""},
	} {
		v, err := Read(Input{Environ: strings.Fields(test.environ)})
		switch {
		case test.want != "":
			if err == nil || err.Error() != test.want {
				t.Errorf("%s = %v, want %s", test.environ, err, test.want)
			}
		case err != nil || !strings.HasPrefix(v.Secret("masterKey")[0], "file:///") || !strings.HasSuffix(v.Secret("masterKey")[0], "/relative"):
			t.Errorf("%s = %v %v, want a path from the root", test.environ, v.Secret("masterKey"), err)
		}
	}
}

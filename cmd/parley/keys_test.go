package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestKeysScripts runs the scripts in testdata/keys, each with a server of its own in its folder, whose keys are generated.
func TestKeysScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "keys"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			p := startServer(t, env.WorkDir, "--restAPIKey="+restKey)
			u, err := url.Parse(p.url)
			if err != nil {
				return err
			}
			env.Setenv("URL", p.url)
			env.Setenv("SERVER_PORT", u.Port())
			return nil
		},
	})
}

// What a server answers steers no terminal, and a redirect does not get the key.
func TestKeysTrustsNoAnswer(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the redirect was followed")
	}))
	defer elsewhere.Close()
	for _, test := range []struct {
		status           int
		location, answer string
		want             string // of standard output or the error
	}{
		{200, "", `{"results":[{"name":"a\u001b[2Jb","condition":"fresh","source":{"scheme":"x"}}]}`, "a?[2Jb  fresh"},
		{400, "", `{"error":"no\u001b[2Jthing"}`, "the server answers 400: no?[2Jthing"},
		{302, elsewhere.URL, "", "answers 302 Found"},
		{200, "", "<html>", "answers something that is not of this API"},
		{500, "", "<html>", "answers 500 Internal Server Error"},
	} {
		h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if test.location != "" {
				w.Header().Set("Location", test.location)
			}
			w.WriteHeader(test.status)
			w.Write([]byte(test.answer))
		}))
		file := filepath.Join(t.TempDir(), "key")
		write(t, file, masterKey)
		var out, errs bytes.Buffer
		err := run(t.Context(), []string{"keys", "status", "--url=" + h.URL, "--appId=app", "--master-key-file=" + file}, nil, &out, &errs)
		if text := out.String() + errs.String(); !strings.Contains(text, test.want) || (err == nil) != (test.want == "a?[2Jb  fresh") {
			t.Errorf("%d %s = %s %v, want %s", test.status, test.answer, text, err, test.want)
		}
		h.Close()
	}
}

// Of a server that is one of several, parley keys tells how many others there are, and how many have confirmed a revocation.
func TestKeysTellsOfOtherServers(t *testing.T) {
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := `{"results":[{"name":"masterKey","condition":"fresh","source":{"scheme":"x"}}],"nodes":{"known":2}}`
		if r.URL.Path == "/keys/masterKey/revoke" {
			answer = `{"name":"masterKey","condition":"fresh","nodes":{"confirmed":1,"known":2}}`
		}
		w.Write([]byte(answer))
	}))
	defer h.Close()
	file := filepath.Join(t.TempDir(), "key")
	write(t, file, masterKey)
	for _, test := range []struct {
		command []string
		want    string
	}{
		{[]string{"status"}, "KEY        CONDITION  SOURCE  VERSION  STATE  ACCEPTED UNTIL  LAST USED  USES\n" +
			"masterKey  fresh      x       -        -      -               -          -\nother servers heard lately: 2\n"},
		{[]string{"revoke", "masterKey", "fp-1"}, "masterKey: version fp-1 is revoked\nconfirmed by 1 of the 2 other servers heard lately\n"},
	} {
		var out, errs bytes.Buffer
		args := append(append([]string{"keys"}, test.command...), "--url="+h.URL, "--appId=app", "--master-key-file="+file)
		if err := run(t.Context(), args, nil, &out, &errs); err != nil || out.String() != test.want {
			t.Errorf("keys %v = %s%v, want %s", test.command, out.String(), err, test.want)
		}
	}
}

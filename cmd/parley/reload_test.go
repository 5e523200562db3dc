package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestI18ReloadOfAServer changes the configuration of a server under load: by SIGHUP and by the file alone, to other places of the keys, to a
// bad one, back, and to one with options that need a restart. No request fails.
func TestI18ReloadOfAServer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		watch bool
	}{{"SIGHUP", false}, {"the file", true}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, "parley.json")
			write(t, filepath.Join(dir, "one"), firstKey)
			write(t, filepath.Join(dir, "two"), secondKey)
			configure := func(more string) {
				write(t, file+".new", fmt.Sprintf(`{"appId":%q,"allowClientClassCreation":true,"keyOverlap":600,"reloadConfig":%t,%s}`, appID, test.watch, more))
				rename(t, file+".new", file)
			}
			one, two := fmt.Sprintf(`"masterKey":"file://%s/one"`, dir), fmt.Sprintf(`"masterKey":"file://%s/two"`, dir)
			configure(one)
			p := startServer(t, dir, "--config="+file, "--metricsAddress=127.0.0.1:0")
			l := newLoad(p, firstKey)
			defer l.stop()
			l.progress("the load before", masterRequests, sessionRequests, publicRequests)
			ok, refused := 0, 0
			outcome := func(name string) int {
				return int(p.metric(`parley_config_reloads_total{outcome="` + name + `"}`))
			}
			reload := func(text string, good bool) {
				t.Helper()
				configure(text)
				if !test.watch {
					if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
						t.Fatal(err)
					}
				}
				if good {
					ok++
				} else {
					refused++
				}
				p.await("the reload of "+text, func() bool { return outcome("done") == ok && outcome("refused") == refused })
				l.progress("the load after "+text, masterRequests, sessionRequests, publicRequests)
			}
			status := func(path, key string) int {
				t.Helper()
				header := "X-Parse-Master-Key"
				if key == maintenanceKey {
					header = "X-Parse-Maintenance-Key"
				}
				a, err := p.try(http.MethodGet, path, "", header, key)
				if err != nil {
					t.Fatal(err)
				}
				return a.status
			}

			reload(two, true) // another place: the value before is a previous one
			if got := []int{status("/schemas", firstKey), status("/schemas", secondKey)}; got[0] != 200 || got[1] != 200 {
				t.Errorf("both keys after the change = %v, want 200 and 200", got)
			}
			before := p.metric(`parley_credential_previous_uses_total{credential="masterKey"}`)
			l.use(firstKey, secondKey)

			// Whatever is wrong, nothing changes.
			reload(one+`,"keyOverlpa":1`, false)
			reload(one+`,"maintenanceKey":"file:///nowhere/at/all"`, false)
			reload(one+`,"masterKeyIps":["here"]`, false)
			reload(`"masterKey":"`+secondKey+`","readOnlyMasterKey":"`+secondKey+`"`, false)
			reload(`"masterKey":"value://of/no/kind"`, false)
			for _, want := range []string{"did you mean keyOverlap?", "/nowhere/at/all: no such file or directory", "is neither an IP address nor a CIDR range", "equal to the value of", "unknown scheme"} {
				if !strings.Contains(p.errs.String(), want) {
					t.Errorf("the log does not say %q", want)
				}
			}

			// A key is added, with addresses; then it is gone from the configuration, and drains.
			reload(two+`,"maintenanceKey":"`+maintenanceKey+`","maintenanceKeyIps":["10.0.0.1"]`, true)
			if got := status("/schemas", maintenanceKey); got != http.StatusForbidden {
				t.Errorf("the maintenance key from a wrong address = %d, want 403", got)
			}
			reload(two+`,"maintenanceKey":"`+maintenanceKey+`"`, true)
			if a := p.do(http.StatusOK, http.MethodGet, "/keys", "", "X-Parse-Master-Key", secondKey); !strings.Contains(a.text, "maintenanceKey") {
				t.Errorf("the keys are %s, want the maintenance key with them", a.text)
			}
			reload(two, true)
			if a := p.do(http.StatusOK, http.MethodGet, "/keys", "", "X-Parse-Master-Key", secondKey); !strings.Contains(a.text, `"state":"previous"`) {
				t.Errorf("the keys are %s, want the maintenance key in its overlap", a.text)
			}
			reload(two+`,"sessionLength":3600`, true)
			p.await("the warning", func() bool { return strings.Contains(p.errs.String(), "needs a restart: sessionLength") })
			if after := p.metric(`parley_credential_previous_uses_total{credential="masterKey"}`); after <= before {
				t.Error("the uses of the previous key are not counted on: a reload made another credential of it")
			}
			l.stop()
			for _, failure := range l.failures {
				t.Error(failure)
			}
			p.end()
		})
	}
}

package main

import (
	"bufio"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// TestFirstStart types the one command of a newcomer, twice.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startServer(t, dir)
	shown := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^  (\w+) +(\w+)$`).FindAllStringSubmatch(p.out.String(), -1) {
		shown[m[1]] = m[2]
	}
	for _, name := range []string{"appId", "masterKey", "maintenanceKey", "readOnlyMasterKey"} {
		file := filepath.Join(dir, "parley-data", "keys", name)
		if kept := strings.TrimSpace(read(t, file)); shown[name] == "" || shown[name] != kept {
			t.Errorf("%s is shown as %q and kept as %q", name, shown[name], kept)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode of %s = %v, %v, want 0600", file, info.Mode(), err)
		}
		if strings.Contains(p.errs.String(), shown[name]) && name != "appId" {
			t.Errorf("the log holds %s", name)
		}
	}
	for _, folder := range []string{"parley-data", "parley-data/keys"} {
		if info, err := os.Stat(filepath.Join(dir, folder)); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("mode of %s = %v, %v, want 0700", folder, info.Mode(), err)
		}
	}
	p.do(http.StatusOK, http.MethodGet, "/serverInfo", "", "X-Parse-Application-Id", shown["appId"], "X-Parse-Master-Key", shown["masterKey"])
	p.do(http.StatusOK, http.MethodGet, "/serverInfo", "", "X-Parse-Application-Id", shown["appId"], "X-Parse-Master-Key", shown["readOnlyMasterKey"])
	id := p.do(http.StatusCreated, http.MethodPost, "/classes/First", `{"n":1}`, "X-Parse-Application-Id", shown["appId"], "X-Parse-Master-Key", shown["masterKey"]).body["objectId"]
	p.end()

	p = startServer(t, dir)
	for name, value := range shown {
		if strings.Contains(p.out.String()+p.errs.String(), value) {
			t.Errorf("%s is shown again", name)
		}
	}
	p.do(http.StatusOK, http.MethodGet, fmt.Sprint("/classes/First/", id), "", "X-Parse-Application-Id", shown["appId"], "X-Parse-Master-Key", shown["masterKey"])
	p.end()

	write(t, filepath.Join(dir, "parley-data", "keys", "masterKey"), "")
	p = spawn(t, dir, nil, "serve", "--host=127.0.0.1", "--port=0")
	if code := p.wait(); code == 0 || !strings.HasSuffix(p.lastLine(), "masterKey is empty: delete it to have a new one made") {
		t.Errorf("start with an empty key = %d %q", code, p.lastLine())
	}
}

// TestConfigFile starts a server as a deployment of Parse Server is started: with its file and its variables.
func TestConfigFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "parse.json"), `{
		// one application
		"appId": "`+appID+`", "masterKey": "env:SECRET_OF_THE_TEST", "restAPIKey": "of the file", "mountPath": "/api/1",
		"databaseURI": "sqlite://data.db", "port": 0, "host": "127.0.0.1", "allowClientClassCreation": true,
	}`)
	p := spawn(t, dir, []string{"SECRET_OF_THE_TEST=" + masterKey, "PARSE_SERVER_REST_API_KEY=of the environment", "PARSE_SERVER_OBJECT_ID_SIZE=12"},
		"serve", "parse.json", "--objectIdSize=20")
	p.await("the server to begin", func() bool { return served.MatchString(p.out.String()) })
	m := served.FindStringSubmatch(p.out.String())
	if m[2] != "/api/1" {
		t.Errorf("it serves at %s, want /api/1", m[2])
	}
	p.url = "http://127.0.0.1:" + m[1] + m[2]
	p.do(http.StatusForbidden, http.MethodGet, "/classes/A", "")
	p.do(http.StatusForbidden, http.MethodGet, "/classes/A", "", "X-Parse-REST-API-Key", "of the file")
	made := p.do(http.StatusCreated, http.MethodPost, "/classes/A", `{}`, "X-Parse-REST-API-Key", "of the environment")
	if id := made.body["objectId"].(string); len(id) != 20 {
		t.Errorf("objectId = %q, want one of 20 letters: the flag is the strongest", id)
	}
	p.do(http.StatusOK, http.MethodGet, "/serverInfo", "", asMaster...)
	p.end()
	if _, err := os.Stat(filepath.Join(dir, "data.db")); err != nil {
		t.Error(err)
	}
}

// TestBackup copies a database that is being written, and puts the copy in its place.
func TestBackup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startServer(t, dir, options()...)
	id := p.do(http.StatusCreated, http.MethodPost, "/classes/Kept", `{"text":"before"}`).body["objectId"].(string)

	b := spawn(t, dir, nil, "backup", "copy.db")
	if code := b.wait(); code != 0 {
		t.Fatalf("backup = %d %s", code, b.errs)
	}
	if info, err := os.Stat(filepath.Join(dir, "copy.db")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the copy = %v, %v, want 0600", info.Mode(), err)
	}
	b = spawn(t, dir, nil, "backup", "copy.db")
	if code := b.wait(); code == 0 || !strings.Contains(b.lastLine(), "exists") {
		t.Errorf("backup over a file = %d %q, want a refusal", code, b.lastLine())
	}
	p.do(http.StatusOK, http.MethodPut, "/classes/Kept/"+id, `{"text":"after"}`)

	r := spawn(t, dir, nil, "restore", "copy.db")
	if code := r.wait(); code == 0 {
		t.Errorf("restore while the server runs = %d, want a refusal", code)
	}
	if got := p.do(http.StatusOK, http.MethodGet, "/classes/Kept/"+id, "").body["text"]; got != "after" {
		t.Errorf("text after a refused restore = %v, want after", got)
	}
	p.end()
	r = spawn(t, dir, nil, "restore", "copy.db")
	if code := r.wait(); code != 0 {
		t.Fatalf("restore = %d %s", code, r.errs)
	}
	p = startServer(t, dir, options()...)
	if got := p.do(http.StatusOK, http.MethodGet, "/classes/Kept/"+id, "").body["text"]; got != "before" {
		t.Errorf("text after restore = %v, want before", got)
	}
	p.end()
}

// TestCannotServe looks at the last line of servers that cannot begin.
func TestCannotServe(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	valid := func(t *testing.T) string {
		dir := t.TempDir()
		startServer(t, dir, options()...).end()
		return dir
	}
	for _, c := range []struct {
		name string
		make func(t *testing.T) (dir string)
		args []string
		last string
	}{
		{"port in use", func(t *testing.T) string { return t.TempDir() }, []string{"--port=" + port}, `parley: port: .*address already in use`},
		{"port of metrics in use", func(t *testing.T) string { return t.TempDir() }, []string{"--port=0", "--metricsAddress=127.0.0.1:" + port}, `parley: metricsAddress: .*address already in use`},
		{"newer", func(t *testing.T) string {
			dir := valid(t)
			execute(t, filepath.Join(dir, "parley-data", "parley.db"), "PRAGMA user_version=99")
			return dir
		}, []string{"--port=0"}, `parley: .*newer version of Parley.*`},
		{"of something else", func(t *testing.T) string {
			dir := valid(t)
			execute(t, filepath.Join(dir, "parley-data", "parley.db"), "PRAGMA application_id=7")
			return dir
		}, []string{"--port=0"}, `parley: .*not one of Parley.*`},
		{"locked", func(t *testing.T) string {
			dir := valid(t)
			file := filepath.Join(dir, "parley-data", "parley.db")
			c, err := zombiezen.OpenConn(file, zombiezen.OpenReadWrite)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			for _, statement := range []string{"PRAGMA locking_mode=EXCLUSIVE", "BEGIN EXCLUSIVE", "CREATE TABLE held (a)"} {
				if err := sqlitex.ExecuteTransient(c, statement, nil); err != nil {
					t.Fatal(err)
				}
			}
			return dir
		}, []string{"--port=0"}, `parley: .*lock.*`},
		{"no room for the keys", func(t *testing.T) string {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "parley-data"), "a file")
			return dir
		}, []string{"--port=0"}, `parley: .*not a directory`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := c.make(t)
			p := spawn(t, dir, nil, append([]string{"serve", "--host=127.0.0.1"}, append(options(), c.args...)...)...)
			code := p.wait()
			if code == 0 || !regexp.MustCompile("^"+c.last+"$").MatchString(p.lastLine()) {
				t.Errorf("exit status %d with the last line %q, want not 0 and %q", code, p.lastLine(), c.last)
			}
		})
	}
}

func execute(t *testing.T, file, statement string) {
	t.Helper()
	c, err := zombiezen.OpenConn(file, zombiezen.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	if err := sqlitex.ExecuteTransient(c, statement, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// halfRequest is a request whose handler waits for the rest of its body.
type halfRequest struct {
	conn   net.Conn
	reader *bufio.Reader
}

func (p *process) half(body string) *halfRequest {
	p.t.Helper()
	u, err := url.Parse(p.url)
	if err != nil {
		p.t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { conn.Close() })
	h := &halfRequest{conn, bufio.NewReader(conn)}
	fmt.Fprintf(conn, "POST %s/classes/Half HTTP/1.1\r\nHost: %s\r\nX-Parse-Application-Id: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", u.Path, u.Host, appID, len(body))
	line, err := h.reader.ReadString('\n') // comes when the handler begins to read
	if err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		p.t.Fatalf("first line of the answer = %q, %v", line, err)
	}
	if _, err := h.reader.ReadString('\n'); err != nil {
		p.t.Fatal(err)
	}
	fmt.Fprint(conn, body[:4])
	return h
}

// TestGracefulShutdown stops a server that is in the middle of a request.
func TestGracefulShutdown(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startServer(t, dir, options()...)
	u, _ := url.Parse(p.url)
	const body = `{"n":12345}`
	h := p.half(body)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.await("new connections to be refused", func() bool {
		conn, err := net.Dial("tcp", u.Host)
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	fmt.Fprint(h.conn, body[4:])
	response, err := http.ReadResponse(h.reader, nil)
	if err != nil {
		t.Fatalf("the request in flight: %v", err)
	}
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusCreated {
		t.Fatalf("the request in flight = %d %s %v, want 201", response.StatusCode, text, err)
	}
	var made struct {
		ObjectID string `json:"objectId"`
	}
	if err := json.Unmarshal(text, &made); err != nil {
		t.Fatal(err)
	}
	if code := p.wait(); code != 0 {
		t.Errorf("exit status = %d, want 0\n%s", code, p.errs)
	}
	p = startServer(t, dir, options()...)
	p.do(http.StatusOK, http.MethodGet, "/classes/Half/"+made.ObjectID, "")

	// Who does not finish in time is cut off, and the operator is told.
	p.end()
	p = startServer(t, dir, options("--shutdownTimeout=1")...)
	p.half(body)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.wait(); code == 0 || !strings.HasPrefix(p.lastLine(), "parley: some requests were still running after the time to finish them") {
		t.Errorf("exit status %d with the last line %q, want a complaint", code, p.lastLine())
	}
}

// TestNoSecretsInOutput sends right keys and wrong ones in every place that takes them, and looks for them in all that the server
// writes: its log at the finest level, its standard output, its metrics, and the answers that nobody asked to hold them.
func TestNoSecretsInOutput(t *testing.T) {
	t.Parallel()
	const wrong, password = "canary-wrong-Hq3TnYv8KsWb5RzM", "canary-password-X4dJg7LpQe"
	for _, form := range []string{"text", "json"} {
		t.Run(form, func(t *testing.T) {
			p := startServer(t, t.TempDir(), options("--restAPIKey="+restKey, "--metricsAddress=127.0.0.1:0", "--logLevel=silly",
				"--jsonLogs="+fmt.Sprint(form == "json"), "--security.enableCheck=true", "--security.enableCheckLog=true",
				"--idempotencyOptions.paths=.*", "--enableSanitizedErrorResponse=false")...)
			var answers strings.Builder
			ask := func(method, path, body string, headers ...string) answer {
				a, err := p.try(method, path, body, headers...)
				if err != nil {
					t.Fatal(err)
				}
				answers.WriteString(a.text)
				return a
			}
			rest := []string{"X-Parse-REST-API-Key", restKey}
			token := ask(http.MethodPost, "/users", `{"username":"ann","password":"`+password+`"}`, rest...).body["sessionToken"].(string)
			answers.Reset() // the one place for a session token
			for _, key := range []string{masterKey, readOnlyKey, maintenanceKey, restKey, wrong} {
				for _, header := range []string{"X-Parse-Master-Key", "X-Parse-Maintenance-Key", "X-Parse-REST-API-Key", "X-Parse-Javascript-Key",
					"X-Parse-Client-Key", "X-Parse-Windows-Key", "X-Parse-Session-Token", "X-Parse-Request-Id", "X-Parse-Installation-Id"} {
					ask(http.MethodGet, "/classes/A", "", header, key)
					ask(http.MethodPost, "/classes/A", `{"a":1}`, append([]string{header, key}, rest...)...)
					ask(http.MethodPost, "/schemas/1bad", `{`, header, key)
				}
				basic := base64.StdEncoding.EncodeToString([]byte(appID + ":" + key))
				ask(http.MethodGet, "/schemas", "", "Authorization", "Basic "+basic)
				ask(http.MethodPost, "/classes/A", `{"_ApplicationId":"`+appID+`","_MasterKey":"`+key+`","_method":"GET"}`, "X-Parse-Application-Id", "")
				ask(http.MethodPost, "/classes/A", `{"_ApplicationId":"`+appID+`","_JavaScriptKey":"`+key+`","_SessionToken":"`+key+`"}`, "X-Parse-Application-Id", "")
			}
			ask(http.MethodGet, "/security", "", asMaster...)
			ask(http.MethodPost, "/login", `{"username":"ann","password":"`+wrong+`"}`, rest...)
			ask(http.MethodGet, "/users/me", "", append([]string{"X-Parse-Session-Token", token + "x"}, rest...)...)
			metrics, err := http.Get(p.metricsURL())
			if err != nil {
				t.Fatal(err)
			}
			counted, err := io.ReadAll(metrics.Body)
			if err != nil {
				t.Fatal(err)
			}
			metrics.Body.Close()
			for _, name := range []string{"parley_http_requests_total", "parley_http_request_seconds", "parley_credential_ready", "parley_credential_decisions_total", "parley_credential_versions"} {
				if !strings.Contains(string(counted), name) {
					t.Errorf("the metrics do not hold %s", name)
				}
			}
			p.end()
			if form == "json" {
				for line := range strings.Lines(p.errs.String()) {
					if !json.Valid([]byte(line)) {
						t.Errorf("a line of the log is not JSON: %s", line)
					}
				}
			}
			for where, text := range map[string]string{"the log": p.errs.String(), "standard output": p.out.String(), "the metrics": string(counted), "an answer": answers.String()} {
				for _, secret := range []string{masterKey, readOnlyKey, maintenanceKey, restKey, password, token, wrong} {
					for _, written := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), hex.EncodeToString([]byte(secret)), url.QueryEscape(secret)} {
						if strings.Contains(text, written) {
							t.Errorf("%s holds %s", where, written)
						}
					}
				}
			}
		})
	}
}

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/parley-backend/parley/config"
)

// keysCommand is `parley keys`: it talks to the running server over HTTP (docs/keys-api.md). The master key comes from where the
// server has it, or from a file; never from the command line, which others can read.
type keysCommand struct {
	Status  keysStatus  `cmd:"" help:"Show the keys of the running server: where they come from, their versions, who still uses old ones."`
	Refresh keysRefresh `cmd:"" help:"Have the server read a key from its source now."`
	Rotate  keysRotate  `cmd:"" help:"Replace a key by a generated one; the old one is accepted for the overlap."`
	Revoke  keysRevoke  `cmd:"" help:"Refuse a version of a key for good."`
}

// reach is how a command finds the server and the master key: as serve does, or by name.
type reach struct {
	Config        string `help:"Configuration file of the server." placeholder:"FILE"`
	DataDir       string `name:"dataDir" help:"The data folder of the server." placeholder:"DIR"`
	URL           string `name:"url" help:"The mount path of the server, as https://example.com/parse; by default where the configuration says on this machine." placeholder:"URL"`
	AppID         string `name:"appId" help:"The application id." placeholder:"ID"`
	MasterKeyFile string `name:"master-key-file" help:"File that holds the master key." placeholder:"FILE"`
	Plain         bool   `name:"insecure" help:"Send the master key over http:// to another machine, too."`
	JSON          bool   `name:"json" help:"Print the answer of the server as it is."`
}

type keysStatus struct{ reach }

type keysRefresh struct {
	reach
	Name string `arg:"" help:"The key, as masterKey."`
}

type keysRotate struct {
	reach
	Name  string `arg:"" help:"The key, as masterKey."`
	Force bool   `help:"Also while an earlier version is still accepted."`
	Show  bool   `help:"Print the new value, this once."`
}

type keysRevoke struct {
	reach
	Name    string `arg:"" help:"The key, as masterKey."`
	Version string `arg:"" help:"Id or fingerprint of the version, as status shows it."`
}

func (c *keysCommand) run(env environment, command string) error {
	switch command {
	case "status":
		return c.Status.run(env)
	case "refresh":
		return c.Refresh.run(env)
	case "rotate":
		return c.Rotate.run(env)
	}
	return c.Revoke.run(env)
}

func (c *keysStatus) run(env environment) error {
	var answer struct {
		Results []keyStatus `json:"results"`
		Nodes   *keyNodes   `json:"nodes"`
	}
	if done, err := c.call(env, http.MethodGet, "/keys", nil, &answer); done || err != nil {
		return err
	}
	if err := printKeys(env.out, answer.Results); err != nil || answer.Nodes == nil {
		return err
	}
	_, err := fmt.Fprintf(env.out, "other servers heard lately: %d\n", answer.Nodes.Known)
	return err
}

func (c *keysRefresh) run(env environment) error {
	var answer keyStatus
	if done, err := c.call(env, http.MethodPost, "/keys/"+url.PathEscape(c.Name)+"/refresh", struct{}{}, &answer); done || err != nil {
		return err
	}
	return printKeys(env.out, []keyStatus{answer})
}

func (c *keysRotate) run(env environment) error {
	var answer struct {
		Version  string    `json:"version"`
		Value    string    `json:"value"`
		Deadline time.Time `json:"deadline"`
	}
	body := map[string]bool{"force": c.Force, "show": c.Show}
	if done, err := c.call(env, http.MethodPost, "/keys/"+url.PathEscape(c.Name)+"/rotate", body, &answer); done || err != nil {
		return err
	}
	fmt.Fprintf(env.out, "%s: version %s is current", c.Name, printable(answer.Version))
	if !answer.Deadline.IsZero() {
		fmt.Fprintf(env.out, "; the one before is accepted until %s", answer.Deadline.Local().Format(time.RFC3339))
	}
	fmt.Fprintln(env.out)
	if c.Show {
		fmt.Fprintln(env.out, printable(answer.Value))
	}
	return nil
}

func (c *keysRevoke) run(env environment) error {
	body := map[string]string{"version": c.Version}
	var answer struct {
		Nodes *keyNodes `json:"nodes"`
	}
	if done, err := c.call(env, http.MethodPost, "/keys/"+url.PathEscape(c.Name)+"/revoke", body, &answer); done || err != nil {
		return err
	}
	fmt.Fprintf(env.out, "%s: version %s is revoked\n", c.Name, c.Version)
	if answer.Nodes != nil {
		fmt.Fprintf(env.out, "confirmed by %d of the %d other servers heard lately\n", answer.Nodes.Confirmed, answer.Nodes.Known)
	}
	return nil
}

// keyNodes are the other servers in an answer, of a server that is one of several.
type keyNodes struct {
	Confirmed int `json:"confirmed"`
	Known     int `json:"known"`
}

// keyStatus is what is shown of a credential.Status.
type keyStatus struct {
	Name        string    `json:"name"`
	Condition   string    `json:"condition"`
	LastError   string    `json:"lastError"`
	Overdue     bool      `json:"overdue"`
	RotationDue time.Time `json:"rotationDue"`
	Withdrawn   bool      `json:"withdrawn"`
	Source      struct {
		Scheme   string `json:"scheme"`
		Location string `json:"location"`
	} `json:"source"`
	Versions []struct {
		ID       string    `json:"id"`
		State    string    `json:"state"`
		Deadline time.Time `json:"deadline"`
		LastUsed time.Time `json:"lastUsed"`
		Uses     uint64    `json:"uses"`
	} `json:"versions"`
}

// printKeys prints a line for every version, and a line for what is wrong.
func printKeys(out io.Writer, keys []keyStatus) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KEY\tCONDITION\tSOURCE\tVERSION\tSTATE\tACCEPTED UNTIL\tLAST USED\tUSES")
	at := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return t.Local().Format(time.RFC3339)
	}
	for _, k := range keys {
		source := k.Source.Scheme
		if k.Source.Location != "" {
			source += ":" + k.Source.Location
		}
		head := printable(k.Name) + "\t" + printable(k.Condition) + "\t" + printable(source)
		if len(k.Versions) == 0 {
			fmt.Fprintln(w, head+"\t-\t-\t-\t-\t-")
		}
		for _, v := range k.Versions {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\n", head, printable(v.ID), printable(v.State), at(v.Deadline), at(v.LastUsed), v.Uses)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, k := range keys {
		if k.LastError != "" {
			fmt.Fprintln(out, printable(k.LastError))
		}
		if k.Overdue {
			fmt.Fprintf(out, "%s: rotation overdue since %s\n", printable(k.Name), at(k.RotationDue))
		}
		if k.Withdrawn {
			fmt.Fprintf(out, "%s: removed from the configuration\n", printable(k.Name))
		}
	}
	return nil
}

// printable keeps what a server sent from steering a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 8 << 20

// call sends one request and decodes the answer; done when it was printed as it is.
func (c *reach) call(env environment, method, route string, body, answer any) (done bool, err error) {
	r, err := c.request(env, method, route, body)
	if err != nil {
		return false, err
	}
	client := http.Client{
		Timeout:       time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the key is for this server only
	}
	response, err := client.Do(r)
	if err != nil {
		var uerr *url.Error
		if errors.As(err, &uerr) {
			err = uerr.Err
		}
		return false, fmt.Errorf("no answer from %s: %w", r.URL.Redacted(), err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return false, fmt.Errorf("the answer of %s ended too early: %w", r.URL.Redacted(), err)
	}
	if response.StatusCode != http.StatusOK {
		var failure struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(text, &failure) != nil || failure.Error == "" {
			return false, fmt.Errorf("%s answers %s", r.URL.Redacted(), printable(response.Status))
		}
		return false, fmt.Errorf("the server answers %d: %s", response.StatusCode, printable(failure.Error))
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return false, fmt.Errorf("%s answers something that is not of this API", r.URL.Redacted())
	}
	if c.JSON {
		_, err = fmt.Fprintln(env.out, string(bytes.TrimSpace(text)))
		return true, err
	}
	return false, nil
}

func (c *reach) request(env environment, method, route string, body any) (*http.Request, error) {
	flags := map[string]string{}
	if c.DataDir != "" {
		flags["dataDir"] = c.DataDir
	}
	if c.AppID != "" {
		flags["appId"] = c.AppID
	}
	values, err := config.Read(config.Input{File: c.Config, Environ: env.environ, Flags: flags})
	if err != nil {
		return nil, problems(env.errs, err)
	}
	if c.URL != "" {
		if err := c.checkURL(); err != nil {
			return nil, err
		}
	}
	access, err := values.Access(env.ctx, c.URL, c.MasterKeyFile)
	if err != nil {
		return nil, err
	}
	defer access.MasterKey.Wipe()
	var text []byte
	if body != nil {
		if text, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	r, err := http.NewRequestWithContext(env.ctx, method, access.URL+route, bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Parse-Application-Id", access.AppID)
	r.Header.Set("X-Parse-Master-Key", string(access.MasterKey.Reveal()))
	return r, nil
}

// checkURL keeps the master key off a network that others can read.
func (c *reach) checkURL() error {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		return errors.New("url: must be as https://example.com/parse")
	}
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme == "http" && !local && !c.Plain {
		return errors.New("url: http:// would send the master key in plain to another machine; use https://, or --insecure where the network is yours")
	}
	return nil
}

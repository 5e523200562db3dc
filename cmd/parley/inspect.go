package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/parley-backend/parley/wasmcloud/claims"
	"github.com/parley-backend/parley/wasmcloud/par"
)

// inspectCommand is `parley wasmcloud inspect`.
type inspectCommand struct {
	File   string   `arg:"" help:"The provider archive."`
	Issuer []string `help:"Accept only what this account has signed, a public key (A...); may be repeated." placeholder:"KEY"`
	JSON   bool     `name:"json" help:"Print JSON."`
}

// run prints what could be read, and ends with an error if the archive is not good.
func (c *inspectCommand) run(env environment) error {
	a, err := par.Open(c.File, par.Options{Policy: claims.Policy{Issuers: c.Issuer}})
	if len(a.Targets) == 0 && a.Token == "" && err != nil && !c.JSON {
		return fmt.Errorf("%s: %w", c.File, err) // nothing to show
	}
	show := printArchive
	if c.JSON {
		show = writeArchive
	}
	if err := show(env.out, c.File, a, err); err != nil {
		return err
	}
	if err != nil {
		return fmt.Errorf("%s is not valid: %w", c.File, err)
	}
	return nil
}

// archiveJSON is what inspect --json prints.
type archiveJSON struct {
	File       string         `json:"file"`
	Valid      bool           `json:"valid"`
	Problems   []string       `json:"problems"`
	Compressed bool           `json:"compressed"`
	Name       string         `json:"name,omitempty"`
	Vendor     string         `json:"vendor,omitempty"`
	Version    string         `json:"version,omitempty"`
	Revision   int32          `json:"revision"`
	Subject    string         `json:"subject,omitempty"`
	Issuer     string         `json:"issuer,omitempty"`
	IssuedAt   string         `json:"issuedAt,omitempty"`
	NotBefore  string         `json:"notBefore,omitempty"`
	Expires    string         `json:"expires,omitempty"`
	Targets    []archiveEntry `json:"targets"`
}

type archiveEntry struct {
	Target string `json:"target"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	Signed bool   `json:"signed"` // for these contents
}

func writeArchive(out io.Writer, file string, a par.Archive, problem error) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(describeArchive(file, a, problem))
}

func describeArchive(file string, a par.Archive, problem error) archiveJSON {
	j := archiveJSON{
		File: file, Valid: problem == nil, Problems: problemsOf(problem), Compressed: a.Compressed, Subject: a.Claims.Subject, Issuer: a.Claims.Issuer,
		IssuedAt: date(a.Claims.IssuedAt), NotBefore: date(a.Claims.NotBefore), Expires: date(a.Claims.Expires), Targets: []archiveEntry{},
	}
	var hashes map[string]string
	if p := a.Claims.Provider; p != nil {
		j.Name, j.Vendor, j.Version, j.Revision, hashes = p.Name, p.Vendor, p.Version, p.Revision, p.TargetHashes
	}
	for _, t := range a.Targets {
		j.Targets = append(j.Targets, archiveEntry{Target: t.Name, Size: t.Size, SHA256: t.Hash, Signed: hashes[t.Name] == t.Hash})
	}
	return j
}

// problemsOf splits an error that par has joined.
func problemsOf(err error) []string {
	list := []string{}
	var joined interface{ Unwrap() []error }
	if err == nil {
		return list
	}
	if errors.As(err, &joined) && strings.Contains(err.Error(), "\n") {
		for _, e := range joined.Unwrap() {
			list = append(list, e.Error())
		}
		return list
	}
	return append(list, err.Error())
}

// date is a time as text, empty for none.
func date(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// printArchive is for people. What an archive says of itself steers no terminal.
func printArchive(out io.Writer, file string, a par.Archive, problem error) error {
	j := describeArchive(file, a, problem)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, printable(value))
		}
	}
	row("archive", j.File)
	if a.Claims.Subject != "" {
		row("name", j.Name)
		row("vendor", j.Vendor)
		row("version", j.Version)
		row("revision", fmt.Sprint(j.Revision))
		row("subject", j.Subject)
		row("issuer", j.Issuer)
		row("issued", j.IssuedAt)
		row("not before", j.NotBefore)
		row("expires", j.Expires)
	}
	for _, t := range j.Targets {
		signed := ""
		if !t.Signed {
			signed = ", not signed"
		}
		row(t.Target, fmt.Sprintf("%d bytes, SHA-256 %s%s", t.Size, t.SHA256, signed))
	}
	if j.Valid {
		row("valid", "yes")
	}
	for _, p := range j.Problems {
		row("not valid", p)
	}
	return w.Flush()
}

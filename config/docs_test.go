package config

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/configuration.md anew")

// TestDocs keeps docs/configuration.md what the table of options says: go test ./config -run TestDocs -update writes it.
func TestDocs(t *testing.T) {
	path := filepath.Join("..", "docs", "configuration.md")
	want := document()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the table of options says; write it anew with: go test ./config -run TestDocs -update", path)
	}
}

var kindNames = map[Kind]string{
	String: "text", Bool: "true or false", Int: "whole number", List: "list", JSON: "JSON", Any: "JSON or text", Group: "group", Secret: "secret",
}

func document() string {
	var b strings.Builder
	b.WriteString(`# Configuration

<!-- Written from the table of options in package config: go test ./config -run TestDocs -update -->

An option is set in a JSON file (` + "`parley serve --config FILE.json`" + `, comments and trailing commas allowed), in the environment, or on the command line
(` + "`--name=value`" + `). The environment is stronger than the file, the command line is stronger than both. An option that does not exist, or a value that an
option cannot have, ends the start; the last line on standard error says why. ` + "`parley serve --check`" + ` names all problems at once.

- A **list** in the environment or on the command line is a JSON array, or names separated by commas.
- A **group** is an object in the file; its members are options of their own, written ` + "`group.member`" + ` on the command line.
- A **secret** is a literal, or a reference to where the value is kept: ` + "`file:///run/secrets/master`, `env:MASTER_KEY`" + `. See [credentials.md](credentials.md).
  In the file it may be a list, the later ones as fallbacks. For a variable ` + "`X`" + ` of a secret there is ` + "`X_FILE`" + `, the path of a file that holds it:
  ` + "`PARSE_SERVER_MASTER_KEY_FILE=/run/secrets/master`" + `.

`)
	var works, without, refused []Option
	for _, o := range Options() {
		switch o.Effect {
		case Works:
			works = append(works, o)
		case Refused:
			refused = append(refused, o)
		default:
			without = append(without, o)
		}
	}
	sort.SliceStable(works, func(i, j int) bool { return strings.ToLower(works[i].Name) < strings.ToLower(works[j].Name) })
	b.WriteString("## Options\n\n| option | environment | kind | default | meaning |\n|---|---|---|---|---|\n")
	for _, o := range works {
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s |\n", o.Name, o.Env, kindNames[o.Kind], code(o.Default), cell(o.Doc))
	}
	b.WriteString("\n## Options that are refused\n\nIgnoring them would change what clients may do, or lose data. Their default, and nothing at all, are accepted.\n\n| option | environment | why |\n|---|---|---|\n")
	for _, o := range refused {
		fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", o.Name, o.Env, cell(o.Note))
	}
	b.WriteString("\n## Options without an effect\n\nThey are accepted, so that an existing file can be used as it is; a warning in the log names each of them.\n\n| option | environment | because |\n|---|---|---|\n")
	for _, o := range without {
		why := o.Note
		if o.Effect == Later {
			why = "part of " + o.Note + ", which this version does not have"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", o.Name, o.Env, cell(why))
	}
	return b.String()
}

func code(text string) string {
	if text == "" {
		return "–"
	}
	return "`" + strings.ReplaceAll(text, "|", `\|`) + "`"
}

// cell is a text in a table; the asterisks of names are no emphasis.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "*", `\*`, "<", "&lt;").Replace(text)
}

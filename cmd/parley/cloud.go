package main

import (
	"encoding/json"
	"errors"
	"fmt"

	cloudnode "github.com/parley-backend/parley/cloud/node"
	"github.com/parley-backend/parley/config"
)

// cloudCommand is `parley cloud`.
type cloudCommand struct {
	Check cloudCheck `cmd:"" help:"Load cloud code in JavaScript and name what it registers, and what is wrong with it."`
}

type cloudCheck struct {
	Config string `help:"Configuration file of the server." placeholder:"FILE"`
	JSON   bool   `name:"json" help:"Print the report as JSON."`
	File   string `arg:"" optional:"" help:"The main file; that of the configuration by default."`
}

func (c *cloudCheck) run(env environment) error {
	flags := map[string]string{}
	if c.File != "" {
		flags["cloud"] = c.File
	}
	values, err := config.Read(config.Input{File: c.Config, Environ: env.environ, Flags: flags})
	if err != nil {
		return problems(env.errs, err)
	}
	o := values.JavaScript()
	if o == nil {
		return errors.New("there is no cloud code: name its main file, or set the option cloud")
	}
	report, err := cloudnode.Check(env.ctx, *o)
	if err != nil {
		return err
	}
	if c.JSON {
		encoder := json.NewEncoder(env.out)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(report); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(env.out, "%s (Node.js %s, Parse SDK %s)\n", report.File, report.Node, report.SDK)
		for _, r := range report.Registrations {
			fmt.Fprintln(env.out, "  "+r.String())
		}
		for _, text := range report.Warnings {
			fmt.Fprintln(env.out, "warning: "+text)
		}
		for _, text := range report.Problems {
			fmt.Fprintln(env.out, "problem: "+text)
		}
	}
	if n := len(report.Problems); n > 0 {
		return fmt.Errorf("%d problems in %s", n, report.File)
	}
	return nil
}

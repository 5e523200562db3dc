// Command parley is the backend as one binary: parley serve runs it; parley backup and parley restore copy its database;
// parley migrate moves it to another kind; parley keys shows, rotates and revokes its keys; parley wasmcloud builds provider archives.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/parley-backend/parley/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // who asks a second time does not want to wait
	err := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	if err != nil {
		os.Exit(1)
	}
}

// grammar is what the command line may say, besides the flags of options (see flags.go).
type grammar struct {
	Backup  backupCommand  `cmd:"" help:"Copy the live database into a new file."`
	Restore restoreCommand `cmd:"" help:"Put a copy in the place of the database. The server must not be running."`
	Migrate migrateCommand `cmd:"" help:"Look at a database before it is used, or copy it into another one."`
	Keys    keysCommand    `cmd:"" help:"See, refresh, rotate and revoke the keys of the running server."`
	Cloud   cloudCommand   `cmd:"" help:"Look at cloud code in JavaScript."`
	Version struct{}       `cmd:"" help:"Print the version."`

	Wasmcloud wasmcloudCommand `cmd:"" help:"Provider archives for wasmCloud."`
}

// run is main without the process around it. What went wrong is the last line on errs.
func run(ctx context.Context, args, environ []string, out, errs io.Writer) (err error) {
	defer func() {
		if err != nil {
			fmt.Fprintln(errs, "parley: "+text(err))
		}
	}()
	var g grammar
	serve := newServeCommand()
	exited := false
	parser, err := kong.New(&g,
		kong.Name("parley"),
		kong.Description("A backend for the Parse SDKs whose keys rotate while it runs."),
		kong.DynamicCommand("serve", "Serve the Parse API.", "", serve.target),
		kong.Writers(out, errs),
		kong.Exit(func(int) { exited = true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		return err
	}
	parsed, err := parser.Parse(args)
	if exited {
		return nil // --help
	}
	if err != nil {
		return explain(err)
	}
	env := environment{ctx: ctx, environ: environ, out: out, errs: errs}
	switch command, rest, _ := strings.Cut(parsed.Command(), " "); command {
	case "serve":
		return serve.run(env)
	case "backup":
		return g.Backup.run(env)
	case "restore":
		return g.Restore.run(env)
	case "migrate":
		command, _, _ = strings.Cut(rest, " ")
		return g.Migrate.run(env, command)
	case "keys":
		command, _, _ = strings.Cut(rest, " ")
		return g.Keys.run(env, command)
	case "cloud":
		return g.Cloud.Check.run(env)
	case "wasmcloud":
		command, _, _ = strings.Cut(rest, " ")
		return g.Wasmcloud.run(env, command)
	default:
		fmt.Fprintln(out, version())
		return nil
	}
}

// environment is the world that a command runs in.
type environment struct {
	ctx       context.Context
	environ   []string
	out, errs io.Writer
}

// explain names the closest option for an unknown flag.
func explain(err error) error {
	flag, ok := strings.CutPrefix(err.Error(), "unknown flag ")
	if !ok {
		return err
	}
	flag, _, _ = strings.Cut(strings.TrimPrefix(flag, "--"), ",")
	if near := config.Closest(flag, config.Options()); near != "" {
		return fmt.Errorf("--%s: unknown option; did you mean --%s?", flag, near)
	}
	return fmt.Errorf("--%s: unknown option", flag)
}

// text is an error on one line: several problems are counted, with the first at the end, since they were all printed before.
func text(err error) string {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		if all := joined.Unwrap(); len(all) > 1 {
			return fmt.Sprintf("%d problems, the first: %v", len(all), all[0])
		}
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lmittmann/tint"

	"github.com/parley-backend/parley"
	"github.com/parley-backend/parley/config"
	"github.com/parley-backend/parley/internal/metrics"
	"github.com/parley-backend/parley/internal/migrate"
	"github.com/parley-backend/parley/storage"
)

func (c *serveCommand) run(env environment) error {
	input := config.Input{File: c.file(), Environ: env.environ, Flags: c.flags()}
	values, readErr := config.Read(input)
	log, logErr := newLog(values, env.errs)
	var generated config.Generated
	var generateErr error
	if readErr == nil && !c.check() {
		generated, generateErr = values.Generate()
	} else if !values.Has("appId") && !values.Has("masterKey") {
		values.Pretend()
	}
	built, buildErr := values.Build(log)
	if err := errors.Join(readErr, logErr, generateErr, buildErr); err != nil {
		return problems(env.errs, err)
	}
	for _, warning := range values.Warnings() {
		log.Warn(warning)
	}
	if c.check() {
		return check(env, built)
	}
	return serve(env, built, generated, log, func() *config.Reloader { return built.Reloader(input, values, generated) })
}

// problems prints what is wrong, a line each, and returns it.
func problems(w io.Writer, err error) error {
	all := flatten(err)
	if len(all) == 1 {
		return all[0]
	}
	for _, p := range all {
		fmt.Fprintln(w, "parley: "+p.Error())
	}
	return errors.Join(all...)
}

func flatten(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, flatten(e)...)
	}
	return all
}

// check goes as far as serving would, without listening: the credentials are read, the database is opened if it exists.
func check(env environment, built *config.Built) error {
	if err := built.Check(env.ctx); err != nil {
		return problems(env.errs, err)
	}
	fmt.Fprintln(env.out, "the configuration is valid")
	return nil
}

func serve(env environment, built *config.Built, generated config.Generated, log *slog.Logger, again func() *config.Reloader) error {
	asked, stop := hangups()
	defer stop()
	defer built.Close()
	store, bus, err := open(env.ctx, built, log)
	defer func() {
		if store == nil {
			return
		}
		if err := store.Close(); err != nil {
			log.Error("closing the database", "error", err.Error())
		}
	}()
	defer bus.Close()
	if err != nil {
		return err
	}
	if source, err := migrate.Unfinished(env.ctx, store); err != nil {
		return err
	} else if source != "" {
		return fmt.Errorf("the database is an unfinished copy of %s: run parley migrate copy again, it goes on", source)
	}
	if built.Config.JavaScript != nil {
		if err := keepToOneself(); err != nil {
			log.Warn("cloud code could read the environment of this process", "error", err.Error())
		}
	}
	reader := again()
	measured := metrics.New()
	built.Config.Store = store
	built.Config.Observe = measured.Observe
	server, err := parley.New(env.ctx, built.Config)
	if err != nil {
		return err
	}
	defer server.Close()
	measured.Credentials(server.Credentials(), built.Config.Presented)
	measured.Cloud(server.Code)

	listener, err := net.Listen("tcp", net.JoinHostPort(built.Host, strconv.Itoa(built.Port)))
	if err != nil {
		return fmt.Errorf("port: %w", err)
	}
	ctx, cancel := context.WithCancel(env.ctx)
	var aside sync.WaitGroup
	defer func() {
		cancel()
		aside.Wait()
	}()
	aside.Go(func() { built.Follow(ctx, server.Credentials(), log) })
	aside.Go(func() { (&reloads{reader, server, measured, log}).run(ctx, asked) })
	if built.MetricsAddress != "" {
		l, err := net.Listen("tcp", built.MetricsAddress)
		if err != nil {
			listener.Close()
			return fmt.Errorf("metricsAddress: %w", err)
		}
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", measured.Handler())
		mux.Handle("GET /ready", measured.Ready())
		aside.Go(func() {
			if err := parley.Serve(ctx, l, mux, parley.Timeouts{Shutdown: time.Second}, log); err != nil {
				log.Error("serving metrics", "error", err.Error())
			}
		})
		log.Info("serving metrics", "url", "http://"+l.Addr().String()+"/metrics")
	}
	welcome(env.out, built, generated, listener.Addr())
	log.Info("serving", "address", listener.Addr().String(), "mountPath", built.Config.MountPath, "database", store.Capabilities().Name, "version", version())
	err = server.Run(ctx, listener)
	cancel()
	if err == nil {
		log.Info("stopped")
	}
	return err
}

// open opens what the server needs. What it returns is to be closed, also with an error. A file is opened first: when it is no database,
// nothing is left behind; for a database elsewhere there may be a login to fetch.
func open(ctx context.Context, built *config.Built, log *slog.Logger) (store storage.Adapter, bus *config.NATS, err error) {
	if !built.StoreIsRemote() {
		if store, err = built.OpenStore(ctx, log); err != nil {
			return nil, nil, err
		}
	}
	if err = built.OpenKeys(ctx); err != nil {
		return store, nil, err
	}
	if bus, err = built.OpenNATS(ctx, log); err != nil {
		return store, nil, err
	}
	if built.StoreIsRemote() {
		store, err = built.OpenStore(ctx, log)
	}
	return store, bus, err
}

// welcome says where the server is, and shows generated keys the one time that they are new.
func welcome(w io.Writer, built *config.Built, g config.Generated, addr net.Addr) {
	_, port, _ := net.SplitHostPort(addr.String())
	url := "http://localhost:" + port + strings.TrimSuffix(built.Config.MountPath, "/")
	var text strings.Builder // written at once: who reads the first line has the rest, too
	defer func() { io.WriteString(w, text.String()) }()
	fmt.Fprintf(&text, "Parley serves the Parse API at %s\n", url)
	if !g.Fresh {
		return
	}
	fmt.Fprintf(&text, "\nKeys were generated. They are shown this once, and kept in %s, readable by you only:\n\n", g.Dir)
	for _, name := range []string{"appId", "masterKey", "maintenanceKey", "readOnlyMasterKey"} {
		if value, ok := g.Values[name]; ok {
			fmt.Fprintf(&text, "  %-18s %s\n", name, value)
		}
	}
	fmt.Fprintf(&text, "\nRewrite one of these files to rotate that key; the server notices by itself.\n\n")
}

// newLog makes the log that the options ask for: text for a terminal, JSON with jsonLogs.
func newLog(values *config.Values, w io.Writer) (*slog.Logger, error) {
	level := slog.LevelInfo
	switch found, ok := config.LogLevel(values.String("logLevel")); {
	case ok:
		level = found
	case values.String("logLevel") != "":
		return slog.New(slog.DiscardHandler), config.Problem{Option: "logLevel", Text: "must be error, warn, info, verbose, debug or silly"}
	}
	if values.Bool("verbose") {
		level = slog.LevelDebug
	}
	if values.Bool("silent") {
		return slog.New(slog.DiscardHandler), nil
	}
	if values.Bool("jsonLogs") {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})), nil
	}
	return slog.New(tint.NewTextHandler(w, &tint.Options{Level: level, TimeFormat: time.DateTime, NoColor: !terminal(w)})), nil
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == ""
}

// version is the version of the module, or of the commit that it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "parley (unknown version)"
	}
	v := info.Main.Version
	if v == "" || v == "(devel)" {
		v = "development"
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v += "-" + s.Value[:min(12, len(s.Value))]
			}
		}
	}
	return "parley " + v + " (" + info.GoVersion + ", speaks the API of Parse Server " + parley.ParseServerVersion + ")"
}

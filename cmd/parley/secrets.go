package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/lmittmann/tint"

	"github.com/parley-backend/parley"
	"github.com/parley-backend/parley/config"
	"github.com/parley-backend/parley/internal/metrics"
)

// secretsCommand is `parley wasmcloud secrets`: a secrets backend for the hosts of a lattice.
type secretsCommand struct {
	Config      string            `help:"Configuration file: JSON, comments are allowed; see docs/wasmcloud.md. SIGHUP has it read again." placeholder:"FILE"`
	File        string            `arg:"" optional:"" help:"The same as --config."`
	Check       bool              `help:"Connect, read every credential once, name all problems, and do not serve. Leaves nothing behind."`
	Servers     []string          `name:"server" help:"Address of the NATS of the hosts' control connections, as nats://host:4222. May be given often." placeholder:"URL"`
	Credentials string            `help:"Login there, by reference, as file:///run/secrets/backend.creds." placeholder:"REFERENCE"`
	Topic       string            `help:"What the hosts are started with as --secrets-topic; wasmcloud.secrets by default." placeholder:"SUBJECT"`
	Name        string            `help:"Name of the backend in a reference; parley by default." placeholder:"NAME"`
	DataDir     string            `name:"dataDir" help:"Folder of the transit key and the install key; parley-secrets by default." placeholder:"DIR"`
	Issuers     []string          `name:"issuer" help:"Public key A… of an account that signs your components and providers. May be given often." placeholder:"KEY"`
	Keys        map[string]string `name:"key" help:"A key and where it is kept, as prod/nats=vault://secret/nats#creds. May be given often." placeholder:"NAME=REFERENCE" mapsep:"none"`
	Rules       []string          `name:"rule" help:"Who may read what, as JSON: {\"entities\":[\"V…\"],\"keys\":[\"prod/*\"]}. May be given often." placeholder:"JSON" sep:"none"`
	Metrics     string            `name:"metricsAddress" help:"Address that serves Prometheus metrics at /metrics and readiness at /ready; none by default." placeholder:"HOST:PORT"`
}

// read reads the configuration: the file, and over it the flags.
func (c *secretsCommand) read() (*config.SecretsOptions, error) {
	path := c.Config
	if path == "" {
		path = c.File
	}
	return config.ReadSecrets(path, func(o *config.SecretsOptions) error {
		for _, f := range []struct {
			flag string
			to   *string
		}{{c.Credentials, &o.NATS.Credentials}, {c.Topic, &o.Topic}, {c.Name, &o.Name}, {c.DataDir, &o.DataDir}, {c.Metrics, &o.MetricsAddress}} {
			if f.flag != "" {
				*f.to = f.flag
			}
		}
		if len(c.Servers) > 0 {
			o.NATS.Servers = c.Servers
		}
		if len(c.Issuers) > 0 {
			o.Issuers = c.Issuers
		}
		for name, reference := range c.Keys {
			if o.Keys == nil {
				o.Keys = map[string]config.SecretKey{}
			}
			o.Keys[name] = config.SecretKey{From: reference}
		}
		for _, text := range c.Rules {
			var rule config.SecretRule
			d := json.NewDecoder(strings.NewReader(text))
			d.DisallowUnknownFields()
			if err := d.Decode(&rule); err != nil {
				return fmt.Errorf("--rule: not the JSON of a rule: %w", err)
			}
			o.Rules = append(o.Rules, rule)
		}
		return nil
	})
}

func (c *secretsCommand) run(env environment) error {
	o, err := c.read()
	if err != nil {
		return problems(env.errs, err)
	}
	log, err := secretsLog(o, env)
	if err != nil {
		return err
	}
	if c.Check {
		return c.check(env, o)
	}
	return c.serve(env, o, log)
}

// checkWait bounds a check.
const checkWait = 15 * time.Second

func (c *secretsCommand) check(env environment, o *config.SecretsOptions) error {
	ctx, cancel := context.WithTimeout(env.ctx, checkWait)
	defer cancel()
	if err := o.CheckSecrets(ctx); err != nil {
		return problems(env.errs, err)
	}
	fmt.Fprintln(env.out, "the configuration is valid")
	return nil
}

// drainWait is how long requests that have come get to be answered at the end.
const drainWait = 10 * time.Second

func (c *secretsCommand) serve(env environment, o *config.SecretsOptions, log *slog.Logger) error {
	asked, stop := hangups()
	defer stop()
	measured := metrics.New()
	s, err := o.OpenSecrets(env.ctx, log, measured.Secrets())
	if err != nil {
		return problems(env.errs, err)
	}
	defer s.Close()
	measured.Credentials(s.Credentials)
	if err := s.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(env.ctx)
	var aside sync.WaitGroup
	defer func() {
		cancel()
		aside.Wait()
	}()
	if o.MetricsAddress != "" {
		l, err := net.Listen("tcp", o.MetricsAddress)
		if err != nil {
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
	log.Info("serving secrets", "topic", o.Topic, "name", o.Name, "keys", len(o.Keys), "version", version())
	fmt.Fprintf(env.out, "Parley serves secrets at %s.v1alpha1.%s\n", o.Topic, o.Name)
	c.follow(ctx, s, asked, measured, log)
	drained, end := context.WithTimeout(context.WithoutCancel(env.ctx), drainWait)
	defer end()
	if err := s.Drain(drained); err != nil {
		log.Warn("some requests were not answered at the end", "error", err.Error())
	}
	log.Info("stopped")
	return nil
}

// follow reads the configuration again whenever it is asked to, until ctx ends.
func (c *secretsCommand) follow(ctx context.Context, s *config.Secrets, asked <-chan os.Signal, counts *metrics.Metrics, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-asked:
		}
		var restart []string
		o, err := c.read()
		if err == nil {
			restart, err = s.Reload(ctx, o)
		}
		if ctx.Err() != nil {
			return // stopping
		}
		counts.Reloaded(err == nil)
		if err != nil {
			for _, problem := range flatten(err) {
				log.Error("the configuration was not reloaded; nothing has changed", "problem", strings.ReplaceAll(problem.Error(), "\n", "; "))
			}
			continue
		}
		log.Info("the configuration was reloaded", "keys", len(o.Keys))
		if len(restart) > 0 {
			log.Warn("needs a restart: " + strings.Join(restart, ", "))
		}
	}
}

// secretsLog makes the log that the options ask for.
func secretsLog(o *config.SecretsOptions, env environment) (*slog.Logger, error) {
	level := slog.LevelInfo
	if o.LogLevel != "" {
		if err := level.UnmarshalText([]byte(o.LogLevel)); err != nil {
			return nil, config.Problem{Option: "logLevel", Text: "must be error, warn, info or debug"}
		}
	}
	if o.JSONLogs {
		return slog.New(slog.NewJSONHandler(env.errs, &slog.HandlerOptions{Level: level})), nil
	}
	return slog.New(tint.NewTextHandler(env.errs, &tint.Options{Level: level, TimeFormat: time.DateTime, NoColor: !terminal(env.errs)})), nil
}

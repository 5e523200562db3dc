package config

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/disk"
	"github.com/parley-backend/parley/credential/source"
	"github.com/parley-backend/parley/credential/source/natskv"
	"github.com/parley-backend/parley/natsconn"
	"github.com/parley-backend/parley/wasmcloud/secrets"
)

// transitOverlap is how long a transit key that was replaced is accepted, unless its reference says otherwise: hosts ask for it once, and
// keep it while they run.
const transitOverlap = 30 * 24 * time.Hour

// finder finds a credential by its name.
type finder = func(name string) *credential.Credential

// Secrets is a secrets backend and all that it runs on.
type Secrets struct {
	// Credentials are those that are served, and the keys of the backend itself.
	Credentials *credential.Set
	backend     *secrets.Backend
	conn        *natsconn.Conn
	login       *credential.Credential // nil without one
	log         *slog.Logger
	installKey  credential.Secret
	transitKey  string // how the transit key is configured
	remember    func(*credential.Config)

	buckets sync.Mutex     // of the one below
	kv      *natsconn.Conn // that references to nats-kv share; nil until one is read
	kvOpen  func(context.Context) (*natsconn.Conn, error)

	reading sync.Mutex // of what follows
	fixed   map[string][sha256.Size]byte
	key     [32]byte // of the marks
	sources map[string]kept
}

// kept is a source that stays what it is as long as the configuration says the same.
type kept struct {
	mark   [sha256.Size]byte
	source credential.Source
}

// OpenSecrets connects, starts all credentials, and makes the backend, which Start has answer. That no NATS server answers is no error:
// the connection goes on trying; nor is it that the source of a key is down. Close closes what is returned.
func (o *SecretsOptions) OpenSecrets(ctx context.Context, log *slog.Logger, observe func(secrets.Observation)) (*Secrets, error) {
	return o.openSecrets(ctx, log, observe, (*Secrets).folder)
}

// CheckSecrets does what OpenSecrets does, without leaving anything in the data folder, and reads every credential once. What is wrong
// with each is joined. Of what the data folder remembers nothing is used: a check wants to know whether the sources answer.
func (o *SecretsOptions) CheckSecrets(ctx context.Context) error {
	s, err := o.openSecrets(ctx, slog.New(slog.DiscardHandler), nil, (*Secrets).look)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.check(ctx)
}

func (o *SecretsOptions) openSecrets(ctx context.Context, log *slog.Logger, observe func(secrets.Observation), folder func(*Secrets, context.Context, *SecretsOptions) error) (*Secrets, error) {
	s := &Secrets{Credentials: &credential.Set{}, log: log, sources: map[string]kept{}, transitKey: o.TransitKey, remember: func(*credential.Config) {}}
	_, _ = rand.Read(s.key[:]) // never fails
	s.fixed = s.marks(o)
	err := folder(s, ctx, o)
	if err == nil {
		err = s.open(ctx, o, observe)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Secrets) open(ctx context.Context, o *SecretsOptions, observe func(secrets.Observation)) error {
	cfg, err := s.connection(ctx, o)
	if err != nil {
		return err
	}
	if s.conn, err = natsconn.Open(ctx, cfg); err != nil {
		return Problem{"nats.servers", err.Error()}
	}
	cfg.InPlace, cfg.Name = true, cfg.Name+" buckets" // a source keeps its *nats.Conn
	s.kvOpen = func(ctx context.Context) (*natsconn.Conn, error) { return natsconn.Open(ctx, cfg) }
	configs, err := s.configs(o)
	if err != nil {
		return err
	}
	if err := s.Credentials.Replace(ctx, configs, nil); err != nil {
		return err
	}
	raw := s.installKey.Reveal()
	defer clear(raw)
	mintKey, err := hkdf.Key(sha256.New, raw, nil, "parley wasmcloud mint", 32)
	if err != nil {
		return err
	}
	defer clear(mintKey)
	s.backend, err = secrets.New(secrets.Config{
		Conn: s.conn, Topic: o.Topic, Name: o.Name, Transit: s.Credentials.Get(transitName), MintKey: credential.NewSecret(mintKey),
		InFlight: o.InFlight, MaxRequest: o.MaxRequest, Log: s.log, Observe: observe,
	}, o.terms(s.Credentials.Get))
	return err
}

// folder opens the data folder, with the install key, and a transit key where none is configured.
func (s *Secrets) folder(ctx context.Context, o *SecretsOptions) error {
	key, err := o.readInstallKey(ctx)
	if err != nil {
		return err
	}
	folder, err := disk.OpenWith(ctx, keysDir(o.DataDir), key)
	if err != nil {
		return Problem{"dataDir", err.Error()}
	}
	s.installKey = folder.InstallKey
	if wrapKey := o.wrapKey(); wrapKey != nil {
		s.remember = func(cfg *credential.Config) { cfg.LastGood, cfg.WrapKey = folder.LastGood, wrapKey }
	}
	if o.TransitKey != "" {
		return nil
	}
	if err := makeTransit(o.transitFile()); err != nil {
		return err
	}
	s.transitKey, err = o.transitReference()
	return err
}

// look is folder without a trace: what would be made is made in memory.
func (s *Secrets) look(ctx context.Context, o *SecretsOptions) error {
	key, err := o.readInstallKey(ctx)
	if err != nil {
		return err
	}
	folder, err := disk.LookWith(keysDir(o.DataDir), key)
	switch {
	case err != nil:
		return Problem{"dataDir", err.Error()}
	case folder != nil:
		s.installKey = folder.InstallKey
	case key.Len() > 0:
		s.installKey = key
	default:
		s.installKey = credential.NewSecret(rand.Text() + rand.Text())
	}
	if wrapKey := o.wrapKey(); wrapKey != nil {
		if _, err := wrapKey(ctx); err != nil {
			return Problem{"lastKnownGoodKey", err.Error()}
		}
	}
	if o.TransitKey != "" {
		return nil
	}
	if _, err := os.Stat(o.transitFile()); errors.Is(err, fs.ErrNotExist) {
		seed, err := secrets.NewTransit()
		s.transitKey = string(seed.Reveal())
		return err
	}
	s.transitKey, err = o.transitReference()
	return err
}

func (o *SecretsOptions) readInstallKey(ctx context.Context) (credential.Secret, error) {
	if o.InstallKey == "" {
		return credential.Secret{}, nil
	}
	cfg := credential.Config{Name: "installKey", MinLength: 32}
	if err := source.All().Configure(&cfg, o.InstallKey); err != nil {
		return credential.Secret{}, Problem{"installKey", err.Error()}
	}
	key, err := readOnce(ctx, cfg)
	if err != nil {
		return credential.Secret{}, Problem{"installKey", err.Error()}
	}
	return key, nil
}

// wrapKey returns what reads the key that last good readings are encrypted with, nil without one.
func (o *SecretsOptions) wrapKey() func(context.Context) (credential.Secret, error) {
	if o.LastKnownGoodKey == "" {
		return nil
	}
	return func(ctx context.Context) (credential.Secret, error) {
		cfg := credential.Config{Name: "lastKnownGoodKey", MinLength: 32}
		if err := source.All().Configure(&cfg, o.LastKnownGoodKey); err != nil {
			return credential.Secret{}, err
		}
		return readOnce(ctx, cfg)
	}
}

func (o *SecretsOptions) transitReference() (string, error) {
	path, err := filepath.Abs(o.transitFile())
	if err != nil {
		return "", Problem{"dataDir", words(err)}
	}
	return "file://" + filepath.ToSlash(path) + "?format=lines", nil
}

func (o *SecretsOptions) transitFile() string { return filepath.Join(keysDir(o.DataDir), "transit") }

// makeTransit makes a transit key, unless there is one.
func makeTransit(path string) error {
	seed, err := secrets.NewTransit()
	if err != nil {
		return err
	}
	defer seed.Wipe()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return Problem{"dataDir", words(err)}
	}
	raw := append(seed.Reveal(), '\n')
	defer clear(raw)
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return Problem{"dataDir", words(err)}
	}
	return nil
}

// connection returns how NATS is connected to, and starts the login.
func (s *Secrets) connection(ctx context.Context, o *SecretsOptions) (natsconn.Config, error) {
	cfg := natsconn.Config{Servers: o.NATS.Servers, Name: "parley secrets " + o.Name, TLSFirst: o.NATS.TLSFirst, Log: s.log}
	var err error
	if cfg.TLS, err = (tlsFiles{o.NATS.CAFile, o.NATS.CertFile, o.NATS.KeyFile}).client(); err != nil {
		return cfg, Problem{"nats.caFile", err.Error()}
	}
	if o.NATS.Credentials == "" {
		return cfg, nil
	}
	login := credential.Config{Name: "nats.credentials", Kind: credential.API, Present: true, Startup: credential.Degraded, Check: natsconn.Check, Observer: credential.Log(s.log), InstallKey: s.installKey}
	s.remember(&login)
	if err := source.All().Configure(&login, o.NATS.Credentials); err != nil {
		return cfg, Problem{"nats.credentials", err.Error()}
	}
	if s.login, err = credential.New(login); err != nil {
		return cfg, Problem{"nats.credentials", err.Error()}
	}
	if err = s.login.Start(ctx); err != nil {
		return cfg, Problem{"nats.credentials", err.Error()}
	}
	cfg.Credential, err = credential.NewPresenter(s.login, natsconn.Decode)
	return cfg, err
}

// bucketConn is the connection that nats-kv references share, opened by the first that needs it.
func (s *Secrets) bucketConn(ctx context.Context) (*nats.Conn, error) {
	s.buckets.Lock()
	defer s.buckets.Unlock()
	if s.kv == nil {
		if s.kvOpen == nil {
			return nil, credential.Errorf(credential.Unavailable, "the connection to NATS is closed")
		}
		conn, err := s.kvOpen(ctx)
		if err != nil {
			return nil, err
		}
		s.kv = conn
	}
	return s.kv.NATS(), nil
}

// configs are the credentials that the options ask for. All problems are joined.
func (s *Secrets) configs(o *SecretsOptions) ([]credential.Config, error) {
	registry := source.All()
	registry["nats-kv"] = natskv.Opener(s.bucketConn)
	var all []credential.Config
	var problems []error
	next := map[string]kept{}
	add := func(cfg credential.Config, text string) {
		cfg.Present, cfg.InstallKey, cfg.Observer = true, s.installKey, credential.Log(s.log)
		s.remember(&cfg)
		if err := registry.Configure(&cfg, text); err != nil {
			problems = append(problems, Problem{cfg.Name, err.Error()})
			return
		}
		k := kept{s.mark(text), cfg.Source}
		if before, known := s.sources[cfg.Name]; known && before.mark == k.mark {
			cfg.Source, k.source = before.source, before.source
		}
		next[cfg.Name] = k
		all = append(all, cfg)
	}
	transit := o.TransitKey
	if transit == "" {
		transit = s.transitKey
	}
	add(credential.Config{Name: transitName, Role: "transit", Kind: credential.API, Overlap: transitOverlap, Check: secrets.CheckTransit}, transit)
	for _, name := range slices.Sorted(maps.Keys(o.Keys)) {
		key := o.Keys[name]
		if key.Mint != nil {
			add(credential.Config{Name: signingName(name), Role: "signing", Kind: credential.API, Startup: credential.Degraded, Check: secrets.CheckSigning}, key.Mint.SigningKey)
			continue
		}
		kind, _ := secrets.ParseKind(key.Kind)
		add(credential.Config{Name: keyName(name), Role: "secret", Kind: credential.API, Startup: credential.Degraded, Binary: kind == secrets.Bytes}, key.From)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	s.sources = next
	return all, nil
}

// mark stands for a text of the configuration, which may be a secret.
func (s *Secrets) mark(text string) [sha256.Size]byte {
	mac := hmac.New(sha256.New, s.key[:])
	mac.Write([]byte(text))
	return [sha256.Size]byte(mac.Sum(nil))
}

// marks are those of the options that a reload cannot change.
func (s *Secrets) marks(o *SecretsOptions) map[string][sha256.Size]byte {
	return map[string][sha256.Size]byte{
		"nats": s.mark(fmt.Sprintf("%v", o.NATS)), "topic": s.mark(o.Topic), "name": s.mark(o.Name), "dataDir": s.mark(o.DataDir), "installKey": s.mark(o.InstallKey), "lastKnownGoodKey": s.mark(o.LastKnownGoodKey),
		"inFlight": s.mark(fmt.Sprint(o.InFlight)), "maxRequest": s.mark(fmt.Sprint(o.MaxRequest)), "metricsAddress": s.mark(o.MetricsAddress),
		"logLevel": s.mark(o.LogLevel), "jsonLogs": s.mark(fmt.Sprint(o.JSONLogs)),
	}
}

// Start has the backend answer.
func (s *Secrets) Start() error { return s.backend.Start() }

// Health returns nil while the backend is connected with its newest login.
func (s *Secrets) Health() error { return s.conn.Health() }

// Reload puts other options into effect, all of them or with an error none: keys, rules, issuers, hosts, and what is revoked. It returns
// the names of those that differ and need a restart.
func (s *Secrets) Reload(ctx context.Context, o *SecretsOptions) (restart []string, err error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	before := s.sources
	configs, err := s.configs(o)
	if err == nil {
		err = s.Credentials.Replace(ctx, configs, nil)
	}
	if err == nil {
		err = s.backend.Replace(o.terms(s.Credentials.Get))
	}
	if err != nil {
		s.sources = before
		return nil, err
	}
	now := s.marks(o)
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if now[name] != s.fixed[name] {
			restart = append(restart, name)
		}
	}
	return restart, nil
}

// check reads every credential once and returns what is wrong with each, joined.
func (s *Secrets) check(ctx context.Context) error {
	var mu sync.Mutex
	var problems []error
	var group sync.WaitGroup
	for _, c := range s.Credentials.All() {
		group.Go(func() {
			if err := c.Refresh(ctx); err != nil {
				mu.Lock()
				defer mu.Unlock()
				problems = append(problems, Problem{c.Name(), err.Error()})
			}
		})
	}
	group.Wait()
	if s.login != nil {
		if err := s.login.Refresh(ctx); err != nil {
			problems = append(problems, Problem{"nats.credentials", err.Error()})
		}
	}
	if err := s.conn.Flush(ctx); err != nil {
		problems = append(problems, Problem{"nats.servers", "no server answers and lets the backend in"})
	}
	slices.SortFunc(problems, func(a, b error) int { return bytes.Compare([]byte(a.Error()), []byte(b.Error())) })
	return errors.Join(problems...)
}

// Drain answers the requests that have come, and no more.
func (s *Secrets) Drain(ctx context.Context) error { return s.backend.Drain(ctx) }

// Close ends everything that is left, at once.
func (s *Secrets) Close() {
	if s.backend != nil {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.backend.Drain(ctx) // nothing is waited for
	}
	s.Credentials.Stop()
	s.buckets.Lock()
	kv := s.kv
	s.kv, s.kvOpen = nil, nil
	s.buckets.Unlock()
	if kv != nil {
		kv.Close()
	}
	if s.conn != nil {
		s.conn.Close()
	}
	if s.login != nil {
		s.login.Stop()
	}
}

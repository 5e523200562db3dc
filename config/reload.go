package config

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/parley-backend/parley"
	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/file"
)

// reloaded are the options that take effect when the configuration is read again; all others need a restart.
var reloaded = []string{
	"masterKey", "maintenanceKey", "readOnlyMasterKey", "clientKey", "javascriptKey", "dotNetKey", "restAPIKey", "webhookKey",
	"masterKeyIps", "maintenanceKeyIps", "readOnlyMasterKeyIps", "masterKeyTtl", "keyOverlap", "keyRotateEvery",
}

// keyOption is an option that holds a key, and where parley.Config keeps its source.
type keyOption struct {
	name   string
	source *credential.Source
}

func keyOptions(c *parley.Config) []keyOption {
	return []keyOption{
		{"masterKey", &c.MasterKey}, {"maintenanceKey", &c.MaintenanceKey}, {"readOnlyMasterKey", &c.ReadOnlyMasterKey},
		{"clientKey", &c.ClientKey}, {"javascriptKey", &c.JavaScriptKey}, {"dotNetKey", &c.DotNetKey}, {"restAPIKey", &c.RESTAPIKey}, {"webhookKey", &c.WebhookKey},
	}
}

// Reloader reads the configuration of a running server again. It holds no value of an option, only digests under a key of
// its own, so that nothing of a secret stays in memory.
type Reloader struct {
	in        Input
	built     *Built
	generates bool
	key       [32]byte
	started   map[string]mark // what the server was started with
	latest    map[string]mark // what was put into effect last
	sources   map[string]credential.Source
}

// mark is what is remembered of an option.
type mark [sha256.Size]byte

// Reloader returns a Reloader for the server that was built from in and v. Call it after Build and OpenKeys.
func (b *Built) Reloader(in Input, v *Values, g Generated) *Reloader {
	r := &Reloader{in: in, built: b, generates: g.Dir != "", sources: map[string]credential.Source{}}
	_, _ = rand.Read(r.key[:]) // never fails
	r.started = r.marks(v)
	r.latest = r.started
	r.keep(&b.Config)
	return r
}

// marks returns the mark of every option.
func (r *Reloader) marks(v *Values) map[string]mark {
	all := map[string]mark{}
	for _, o := range Options() {
		if o.Kind == Group {
			continue // its members have marks of their own
		}
		text, err := json.Marshal(v.or(o.Name))
		if err != nil { // what came out of JSON goes back into it
			text = []byte(err.Error())
		}
		mac := hmac.New(sha256.New, r.key[:])
		mac.Write(text)
		clear(text)
		all[o.Name] = mark(mac.Sum(nil))
	}
	return all
}

// keep remembers the sources that read from somewhere: as long as the option says the same, the source is the same. A literal is not
// worth it; its value would stay in memory.
func (r *Reloader) keep(c *parley.Config) {
	r.sources = map[string]credential.Source{}
	for _, k := range keyOptions(c) {
		if *k.source != nil && !(*k.source).Info().Immutable {
			r.sources[k.name] = *k.source
		}
	}
}

// Reading is a configuration that was read again, and in which everything was understood.
type Reading struct {
	// Config is for [parley.Server.Reload].
	Config parley.Config
	// Changed are the options that take effect with it, Restart those that differ from what the server was started with and
	// do not.
	Changed, Restart []string
	// Same: every option says what it said the last time.
	Same bool
	// Warnings are as [Values.Warnings] returns them.
	Warnings []string

	marks map[string]mark
}

// Read reads the configuration again. All problems are joined into the error, each a [Problem]. A Reading that was put into effect
// is for Accept.
func (r *Reloader) Read(log *slog.Logger) (*Reading, error) {
	v, err := Read(r.in)
	if err != nil {
		return nil, err
	}
	if r.generates {
		if _, err := v.Generate(); err != nil {
			return nil, err
		}
	}
	built, err := v.Build(log)
	if err != nil {
		return nil, err
	}
	r.built.nats.standFor(built.nats)
	if folder := r.built.folder; folder != nil {
		built.remember(folder)
	}
	n := &Reading{Config: built.Config, Warnings: v.Warnings(), marks: r.marks(v)}
	n.Same = maps.Equal(n.marks, r.latest)
	for _, o := range Options() {
		switch takes := slices.Contains(reloaded, o.Name); {
		case o.Kind == Group:
		case takes && n.marks[o.Name] != r.latest[o.Name]:
			n.Changed = append(n.Changed, o.Name)
		case !takes && n.marks[o.Name] != r.started[o.Name]:
			n.Restart = append(n.Restart, o.Name)
		}
	}
	for _, k := range keyOptions(&n.Config) {
		if source := r.sources[k.name]; source != nil && n.marks[k.name] == r.latest[k.name] {
			*k.source = source
		}
	}
	return n, nil
}

// Accept is told that a reading is in effect: the next one is compared with it.
func (r *Reloader) Accept(n *Reading) {
	r.latest = n.marks
	r.keep(&n.Config)
}

// lookEvery is how often the configuration file is looked at, and for how long it must not change before it is read: who truncates
// and writes leaves half a file in between.
const lookEvery = 250 * time.Millisecond

// Watch calls changed when the configuration file may have changed, once at the beginning, and until ctx ends. It returns at once when there is
// no file or when the option reloadConfig is off.
func (r *Reloader) Watch(ctx context.Context, changed func()) {
	if r.in.File == "" || !r.built.reloadConfig {
		return
	}
	noticed := make(chan struct{}, 1)
	watch := make(chan error, 1)
	go func() {
		watch <- file.New(r.in.File, lookEvery).Watch(ctx, func(credential.Notice) {
			select {
			case noticed <- struct{}{}:
			default:
			}
		})
	}()
	defer func() { <-watch }()
	quiet := time.NewTimer(lookEvery) // it may have changed since it was read for the start
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-noticed:
			quiet.Reset(2 * lookEvery)
		case <-quiet.C:
			changed()
		}
	}
}

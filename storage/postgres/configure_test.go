package postgres

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/storage"
)

// TestConfigure: what the URI and the configuration say of connections; the configuration wins.
func TestConfigure(t *testing.T) {
	type want struct {
		Max, Min           int32
		Idle, Life, Dial   time.Duration
		Settings           map[string]string
		TLS, Verify, Among bool
	}
	base := want{Max: 7, Idle: 30 * time.Minute, Life: time.Hour, Settings: map[string]string{"application_name": "parley"}, TLS: true}
	plain := func(change func(*want)) want {
		w := base
		w.TLS, w.Settings = false, maps.Clone(base.Settings)
		change(&w)
		return w
	}
	for _, tt := range []struct {
		options string
		cfg     Config
		want    want
	}{
		{"", Config{MaxConns: 7}, base},
		{"?sslmode=disable", Config{MaxConns: 7}, plain(func(*want) {})},
		{"?max=20&min=2&ssl=false&sslmode=disable&keepAlive=true", Config{}, plain(func(w *want) { w.Max, w.Min = 20, 2 })},
		{"?poolSize=3&sslmode=disable&application_name=a&idleTimeoutMillis=1000&connectionTimeoutMillis=1500", Config{}, plain(func(w *want) {
			w.Max, w.Idle, w.Dial, w.Settings["application_name"] = 3, time.Second, 2*time.Second, "a"
		})},
		{"?pool_max_conns=5&max=20&ssl=true", Config{}, func() want { w := base; w.Max = 5; return w }()},
		{"?max=20&sslmode=disable&query_timeout=9", Config{MaxConns: 4, MinConns: 1, IdleTime: time.Minute, LifeTime: 2 * time.Minute, ConnectTimeout: 2500 * time.Millisecond, StatementTimeout: 5 * time.Second,
			Settings: map[string]string{"application_name": "b", "lock_timeout": "8"}},
			want{Max: 4, Min: 1, Idle: time.Minute, Life: 2 * time.Minute, Dial: 3 * time.Second, Settings: map[string]string{"application_name": "b", "lock_timeout": "8", "statement_timeout": "5000"}}},
		{"?ssl=true&rejectUnauthorized=true&max=7", Config{}, func() want { w := base; w.Verify = true; return w }()},
		{"?max=7", Config{TLS: TLS{Mode: "disable"}}, plain(func(*want) {})},
		{"?max=7&sslmode=disable", Config{TLS: TLS{Mode: "verify-full"}}, func() want { w := base; w.Verify = true; return w }()},
		{"?max=7&host=a,b&port=1,2&sslmode=disable", Config{}, plain(func(w *want) { w.Among = true })},
	} {
		config, err := configure(withDefaults(Config{URI: "postgres://u:p@127.0.0.1:1/d" + tt.options, MaxConns: tt.cfg.MaxConns, MinConns: tt.cfg.MinConns, IdleTime: tt.cfg.IdleTime,
			LifeTime: tt.cfg.LifeTime, ConnectTimeout: tt.cfg.ConnectTimeout, StatementTimeout: tt.cfg.StatementTimeout, Settings: tt.cfg.Settings, TLS: tt.cfg.TLS}))
		if err != nil {
			t.Errorf("configure(%s) = %v", tt.options, err)
			continue
		}
		c := config.ConnConfig
		dial := c.ConnectTimeout
		if dial == 2*time.Minute {
			dial = 0
		}
		got := want{Max: config.MaxConns, Min: config.MinConns, Idle: config.MaxConnIdleTime, Life: config.MaxConnLifetime, Dial: dial, Settings: c.RuntimeParams,
			TLS: c.TLSConfig != nil, Verify: c.TLSConfig != nil && !c.TLSConfig.InsecureSkipVerify, Among: c.ValidateConnect != nil}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("configure(%s, %+v): (-want +got)\n%s", tt.options, tt.cfg, diff)
		}
	}
	for _, uri := range []string{"", "mysql://u:hidden@h/d", "postgres://u:hidden@h:port/d", "postgres://u:hidden@h/d?sslmode=hidden", "postgres://u:%zzhidden@h/d", "postgres://u:hidden@h/d?x=%zz"} {
		if _, err := Open(t.Context(), Config{URI: uri}); !errors.Is(err, storage.Unsupported) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("Open(%s) = %v, want Unsupported without the password", uri, err)
		}
	}
	for _, own := range []TLS{{CA: "/nowhere"}, {CA: "-----BEGIN NOTHING-----"}, {Cert: "/nowhere"}, {Mode: "sometimes"}} {
		if _, err := Open(t.Context(), Config{URI: "postgres://127.0.0.1/d", TLS: own}); !errors.Is(err, storage.Unsupported) {
			t.Errorf("Open with %+v = %v, want Unsupported", own, err)
		}
	}
	names := slices.Sorted(maps.Keys(options))
	if len(names) == 0 || names[0] == "" {
		t.Error("an option without a name")
	}
}

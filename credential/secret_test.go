package credential_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
)

const canary = "canary/secret+4f1c9d2e77a05b36=="

// shows reports whether text contains the canary in any usual encoding.
func shows(text string) bool {
	forms := []string{canary, base64.StdEncoding.EncodeToString([]byte(canary)), base64.URLEncoding.EncodeToString([]byte(canary)), hex.EncodeToString([]byte(canary)),
		fmt.Sprintf("%X", canary), url.QueryEscape(canary), url.PathEscape(canary), fmt.Sprint([]byte(canary))}
	for _, form := range forms {
		if bytes.Contains([]byte(text), []byte(form)) {
			return true
		}
	}
	return false
}

// renderings returns v in every way that Go turns values into text.
func renderings(v any) map[string]string {
	out := make(map[string]string)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%10.3s", "%p"} {
		out[verb] = fmt.Sprintf(verb, v)
	}
	encoded, err := json.Marshal(v)
	out["json"] = string(encoded)
	if err != nil {
		out["json error"] = err.Error()
	}
	encoded, err = xml.Marshal(v)
	out["xml"] = fmt.Sprint(string(encoded), err)
	var buffer bytes.Buffer
	err = gob.NewEncoder(&buffer).Encode(v)
	out["gob"] = fmt.Sprint(buffer.String(), err)
	for name, handler := range map[string]func(io.Writer, *slog.HandlerOptions) slog.Handler{
		"slog text": func(w io.Writer, o *slog.HandlerOptions) slog.Handler { return slog.NewTextHandler(w, o) },
		"slog json": func(w io.Writer, o *slog.HandlerOptions) slog.Handler { return slog.NewJSONHandler(w, o) },
	} {
		buffer.Reset()
		slog.New(handler(&buffer, nil)).Info("rendering", "value", v)
		out[name] = buffer.String()
	}
	out["panic"] = func() (text string) {
		defer func() { text = fmt.Sprint(recover()) }()
		panic(v)
	}()
	return out
}

// I13: a Secret shows in no formatting or encoding, nor does anything that holds one.
func TestI13Redaction(t *testing.T) {
	secret := credential.NewSecret(canary)
	type outer struct {
		Exported   credential.Secret
		unexported credential.Secret
		Pointer    *credential.Secret
		List       []credential.Secret
		Map        map[string]credential.Secret
	}
	reference, err := credential.ParseReference("static:" + canary)
	if err != nil {
		t.Fatal(err)
	}
	held, err := credential.New(credential.Config{Name: "key", Source: credential.Literal(canary), Present: true, InstallKey: secret})
	if err != nil {
		t.Fatal(err)
	}
	p, err := credential.Present(held)
	if err != nil {
		t.Fatal(err)
	}
	lease, err := p.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]any{
		"Secret":     secret,
		"pointer":    &secret,
		"struct":     outer{secret, secret, &secret, []credential.Secret{secret}, map[string]credential.Secret{"k": secret}},
		"Version":    credential.Version{Value: secret, Fields: map[string]credential.Secret{"k": secret}},
		"Payload":    credential.Payload{Versions: []credential.Version{{Value: secret}}},
		"Literal":    credential.Literal(canary),
		"Config":     credential.Config{Name: "key", Source: credential.Literal(canary), InstallKey: secret},
		"Reference":  reference,
		"Decision":   held.Verify(canary),
		"Status":     held.Status(),
		"Credential": held,
		"Lease":      lease,
	} {
		for how, text := range renderings(v) {
			if shows(text) {
				t.Errorf("%s in %s shows the secret", name, how)
			}
		}
	}
	for how, want := range map[string]string{"%v": "REDACTED", "%#v": "REDACTED", "%x": "REDACTED", "json": `"REDACTED"`} {
		if got := renderings(secret)[how]; got != want {
			t.Errorf("Secret in %s = %s, want %s", how, got, want)
		}
	}
	if got := string(secret.Reveal()); got != canary {
		t.Error("Reveal does not return the value")
	}
}

// I13: through every failure and change of state, events, errors, logs and status show
// nothing, also when the source itself is careless.
func TestI13NothingIsToldOfTheValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		source := credentialtest.New(credential.Info{}, canary)
		c, err := credential.New(credential.Config{Name: "key", Source: source, MinLength: 4, TTL: time.Minute,
			Observer: credential.Log(slog.New(slog.NewJSONHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug})))})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Stop()
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		try := func(change func()) {
			change()
			err := c.Refresh(t.Context())
			for how, rendered := range renderings(err) {
				if shows(rendered) {
					t.Errorf("an error in %s shows the secret", how)
				}
			}
			for cause := err; cause != nil; cause = errors.Unwrap(cause) {
				if shows(cause.Error()) {
					t.Error("an error's cause shows the secret")
				}
			}
		}
		for _, value := range []string{canary + "\n", "x", "", canary + "\x00", " " + canary, canary + canary, canary} {
			try(func() { source.Set(value) })
		}
		try(func() { source.Fail(fmt.Errorf("GET https://store/%s: %w", canary, errors.New(canary))) })
		try(func() { source.Fail(&os.PathError{Op: "open", Path: canary, Err: os.ErrPermission}) })
		try(func() { source.Fail(fmt.Errorf("%s: %w", canary, credential.Missing)) })
		try(func() { source.Panic(canary) })
		for range 3 {
			c.Verify(canary)
			c.VerifyContext(t.Context(), canary+"x")
			sleep(time.Hour)
		}
		try(func() { source.Set("another-value-that-is-long-enough") })
		c.Verify(canary)
		if err := c.Revoke(t.Context(), c.Status().Versions[0].ID); err != nil {
			t.Errorf("Revoke failed: %v", err)
		}
		synctest.Wait()
		c.Stop()
		fmt.Fprintf(&text, "%+v", c.Status())
		if shows(text.String()) {
			t.Error("the log or the status shows the secret")
		}
		if text.Len() < 1000 {
			t.Errorf("the log has %d bytes: nothing was looked at", text.Len())
		}
	})
}

// keepingSource remembers what it gave away.
type keepingSource struct {
	given *[]credential.Secret
}

func (s keepingSource) Fetch(context.Context) (credential.Payload, error) {
	value, field := credential.NewSecret(canary), credential.NewSecret("the-user")
	*s.given = append(*s.given, value, field)
	return credential.Payload{Versions: []credential.Version{{Value: value, Fields: map[string]credential.Secret{"user": field}}}}, nil
}

func (s keepingSource) Info() credential.Info {
	return credential.Info{Scheme: "keeping", Immutable: true}
}

// What a verifier has read it wipes; what a presenter has read it keeps.
func TestPayloadIsWiped(t *testing.T) {
	for present, want := range map[bool]string{false: "", true: canary} {
		var given []credential.Secret
		if _, err := credential.New(credential.Config{Name: "key", Source: keepingSource{&given}, Present: present}); err != nil {
			t.Fatal(err)
		}
		if got := string(bytes.Trim(given[0].Reveal(), "\x00")); got != want {
			t.Errorf("present %v: %d bytes are left of the value, want %d", present, len(got), len(want))
		}
		if got := string(bytes.Trim(given[1].Reveal(), "\x00")); (got == "") == present {
			t.Errorf("present %v: %d bytes are left of a field", present, len(got))
		}
	}
}

// bytesSource yields a value that lies in memory in a disguise, so that whatever plain
// copy there is comes from the engine.
type bytesSource struct {
	disguised []byte
}

func (s bytesSource) Fetch(context.Context) (credential.Payload, error) {
	plain := make([]byte, len(s.disguised))
	for i, b := range s.disguised {
		plain[i] = b ^ 0x5a
	}
	defer clear(plain)
	return credential.Payload{Versions: []credential.Version{{Value: credential.NewSecret(plain)}}}, nil
}

func (s bytesSource) Info() credential.Info { return credential.Info{Scheme: "bytes"} }

// I14: the heap of a process that verifies a key does not hold the key.
func TestI14HeapHoldsNoPlainKey(t *testing.T) {
	disguised := make([]byte, 40)
	for i := range disguised {
		disguised[i] = byte('!'+(i*37)%90) ^ 0x5a
	}
	hold := func(cfg credential.Config) bool {
		cfg.Name, cfg.Source = "key", bytesSource{disguised}
		c, err := credential.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer c.Stop()
		if err := c.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		runtime.GC()
		path := filepath.Join(t.TempDir(), "heap")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		debug.WriteHeapDump(f.Fd())
		f.Close()
		dump, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for i := 0; i+len(disguised) <= len(dump) && !found; i++ {
			found = true
			for j, b := range disguised {
				if dump[i+j]^0x5a != b {
					found = false
					break
				}
			}
		}
		clear(dump) // the dump of the next call holds this one
		runtime.KeepAlive(c)
		return found
	}
	if hold(credential.Config{}) {
		t.Error("the heap holds the plain key of a verifier")
	}
	if !hold(credential.Config{Present: true}) {
		t.Error("the key of a presenter was not found: the search does not work")
	}
}

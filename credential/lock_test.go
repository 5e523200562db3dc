package credential

import (
	"context"
	"testing"
)

// I4: verifying takes no lock: it answers while the credential's is held.
func TestI4NoLock(t *testing.T) {
	key := "a-key-that-is-long-enough-to-use"
	c, err := New(Config{Name: "key", Source: Func(func(context.Context) (string, error) { return key, nil }), TTL: defaultTTL})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for presented, want := range map[string]Reason{key: ReasonMatch, "another": ReasonUnknown, "": ReasonAbsent} {
		if d := c.Verify(presented); d.Reason != want {
			t.Errorf("Verify(%q) = %v, want %v", presented, d.Reason, want)
		}
	}
	for presented, want := range map[string]Reason{key: ReasonMatch, "": ReasonAbsent} {
		if d := c.VerifyContext(t.Context(), presented); d.Reason != want {
			t.Errorf("VerifyContext(%q) = %v, want %v", presented, d.Reason, want)
		}
	}
}

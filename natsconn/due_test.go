package natsconn

import (
	"testing"
	"time"
)

// A login is replaced a fifth of its life before its end, but at least 30 s and at most
// half of its life, at a random moment in the earlier half of that.
func TestDue(t *testing.T) {
	issued := time.Unix(1_800_000_000, 0)
	for _, test := range []struct {
		life     time.Duration
		random   float64
		wantLeft time.Duration
	}{
		{10 * time.Hour, 0, 2 * time.Hour},
		{10 * time.Hour, 0.5, 2*time.Hour + 30*time.Minute},
		{10 * time.Hour, 1, 3 * time.Hour},
		{100 * time.Second, 0, 30 * time.Second},
		{100 * time.Second, 1, 45 * time.Second},
		{20 * time.Second, 0, 10 * time.Second},
		{20 * time.Second, 1, 15 * time.Second},
	} {
		l := Login{Issued: issued, Expires: issued.Add(test.life)}
		if got := l.Expires.Sub(l.due(test.random)); got != test.wantLeft {
			t.Errorf("due of a life of %v at %v = %v before the end, want %v", test.life, test.random, got, test.wantLeft)
		}
	}
}

func TestUntimely(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for _, test := range []struct {
		name  string
		login Login
		want  string
	}{
		{"no JWT", Login{}, ""},
		{"in its time", Login{NotBefore: now, Expires: now.Add(1)}, ""},
		{"too early", Login{NotBefore: now.Add(1), Expires: now.Add(2)}, "is not valid yet"},
		{"too late", Login{Expires: now}, "has ended already"},
	} {
		if got := test.login.untimely(now); got != test.want {
			t.Errorf("%s: untimely = %q, want %q", test.name, got, test.want)
		}
	}
}

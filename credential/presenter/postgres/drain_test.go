package postgres

import (
	"testing"
	"time"

	"github.com/parley-backend/parley/credential"
)

// When a connection ends: what was replaced within the drain, and in any case before its lease does.
func TestDrainEnds(t *testing.T) {
	c, err := credential.New(credential.Config{Name: "database", Source: credential.Literal("password-of-the-day"), Present: true})
	if err != nil {
		t.Fatal(err)
	}
	login, err := Presenter(c)
	if err != nil {
		t.Fatal(err)
	}
	made := time.Now()
	after := func(d time.Duration) int64 { return made.Add(d).UnixNano() }
	for _, test := range []struct {
		name       string
		lease      time.Duration // from made to NotAfter; 0 for none
		superseded time.Duration // after made; 0 for not
		share      float64
		want       int64
	}{
		{"the newest, without end", 0, 0, 1, 0},
		{"a lease: the margin before its end", time.Hour, 0, 1, after(time.Hour - 10*time.Second)},
		{"a short lease: a tenth before its end", 10 * time.Second, 0, 1, after(9 * time.Second)},
		{"replaced: the whole drain", 0, time.Minute, 1, after(2 * time.Minute)},
		{"replaced: its share of it", 0, time.Minute, 0.25, after(time.Minute + 15*time.Second)},
		{"replaced, and the lease ends sooner", 100 * time.Second, 80 * time.Second, 1, after(90 * time.Second)},
		{"replaced, spread over what is left of the lease", 100 * time.Second, 80 * time.Second, 0.5, after(85 * time.Second)},
		{"replaced after the margin has begun", 100 * time.Second, 95 * time.Second, 1, after(90 * time.Second)},
	} {
		d := newDrain(login, Options{})
		tag := &tag{made: made, share: test.share}
		if test.lease > 0 {
			tag.lease.NotAfter = made.Add(test.lease)
		}
		if test.superseded > 0 {
			tag.superseded.Store(after(test.superseded))
		}
		d.settle(tag, made)
		if got := tag.ends.Load(); got != test.want {
			t.Errorf("%s: ends %v after it was made, want %v", test.name, time.Unix(0, got).Sub(made), time.Unix(0, test.want).Sub(made))
		}
	}
}

package job

import (
	"testing"
	"time"

	"github.com/parley-backend/parley/parse"
)

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

// 2026-11-22 is a Sunday.
func TestSchedule(t *testing.T) {
	list := func(items ...any) []any { return items }
	workdays := list("0", "1", "1", "1", "1", "1", "0")
	row := func(pairs ...any) *parse.Object { return parse.NewObject(scheduleClass, pairs...) }
	const start = "2026-11-20T12:00:00.000Z"
	for _, c := range []struct {
		name      string
		row       *parse.Object
		last, now string
		due, next string // "" for none
	}{
		{"once, early", row("startAfter", start), "", "2026-11-20T11:00:00Z", "", "2026-11-20T12:00:00Z"},
		{"once, now", row("startAfter", start), "", "2026-11-20T12:00:00Z", "2026-11-20T12:00:00Z", ""},
		{"once, late", row("startAfter", start), "", "2026-11-21T11:00:00Z", "2026-11-20T12:00:00Z", ""},
		{"once, too late", row("startAfter", start), "", "2026-11-21T12:00:01Z", "", ""},
		{"once, done", row("startAfter", start), "2026-11-20T12:00:00Z", "2026-11-20T13:00:00Z", "", ""},
		{"every 30 minutes", row("startAfter", start, "repeatMinutes", 30.0), "2026-11-20T12:30:00Z", "2026-11-20T12:45:00Z", "", "2026-11-20T13:00:00Z"},
		{"every 30 minutes, due", row("startAfter", start, "repeatMinutes", 30.0), "2026-11-20T12:30:00Z", "2026-11-20T13:00:00Z", "2026-11-20T13:00:00Z", "2026-11-20T13:30:00Z"},
		{"after a night without a server it runs once", row("startAfter", start, "repeatMinutes", 30.0), "2026-11-20T12:30:00Z", "2026-11-21T08:10:00Z", "2026-11-21T08:00:00Z", "2026-11-21T08:30:00Z"},
		{"daily at a time", row("startAfter", start, "repeatMinutes", 1440.0, "timeOfDay", "10:00:00.000Z"), "", "2026-11-20T12:00:00Z", "", "2026-11-21T10:00:00Z"},
		{"a new one has missed nothing", row("startAfter", start, "repeatMinutes", 60.0, "timeOfDay", "10:00"), "", "2026-11-20T12:00:00Z", "2026-11-20T12:00:00Z", "2026-11-20T13:00:00Z"},
		{"workdays", row("startAfter", start, "repeatMinutes", 1440.0, "timeOfDay", "10:00", "daysOfWeek", workdays), "2026-11-20T10:00:00Z", "2026-11-22T10:30:00Z", "", "2026-11-23T10:00:00Z"},
		{"a list of days", row("startAfter", start, "repeatMinutes", 1440.0, "timeOfDay", "10:00", "daysOfWeek", list("1")), "", "2026-11-22T10:30:00Z", "", "2026-11-23T10:00:00Z"},
		{"until the day ends", row("startAfter", start, "repeatMinutes", 600.0, "timeOfDay", "10:00"), "2026-11-21T20:00:00Z", "2026-11-21T23:00:00Z", "", "2026-11-22T10:00:00Z"},
		{"every two days", row("startAfter", start, "repeatMinutes", 2880.0, "timeOfDay", "10:00"), "2026-11-21T10:00:00Z", "2026-11-22T11:00:00Z", "", "2026-11-23T10:00:00Z"},
		{"every week on workdays only", row("startAfter", start, "repeatMinutes", 10080.0, "daysOfWeek", workdays), "2026-11-20T12:00:00Z", "2026-11-22T11:00:00Z", "", "2026-11-27T12:00:00Z"},
		{"every week on no such day", row("startAfter", start, "repeatMinutes", 10080.0, "daysOfWeek", list("0", "1", "0", "0", "0", "0", "0")), "", "2026-11-22T11:00:00Z", "", ""},
	} {
		p, ok := planOf(c.row)
		if !ok {
			t.Errorf("%s: planOf() is not ok", c.name)
			continue
		}
		var last time.Time
		if c.last != "" {
			last = at(c.last)
		}
		due, is, next := p.due(last, at(c.now))
		show := func(t time.Time) string {
			if t.IsZero() || !t.After(at(c.now)) && !is {
				return ""
			}
			return t.Format(time.RFC3339)
		}
		gotDue, gotNext := "", ""
		if is {
			gotDue = due.Format(time.RFC3339)
		}
		if !next.IsZero() && next.After(at(c.now)) {
			gotNext = show(next)
		}
		if gotDue != c.due || gotNext != c.next {
			t.Errorf("%s: due(%s, %s) = %q, then %q; want %q, then %q", c.name, c.last, c.now, gotDue, gotNext, c.due, c.next)
		}
	}
	for _, bad := range []*parse.Object{row(), row("startAfter", "soon"), row("startAfter", start, "daysOfWeek", list("x"))} {
		if p, ok := planOf(bad); ok {
			t.Errorf("planOf(%v) = %v, want not ok", bad, p)
		}
	}
}

func FuzzSchedule(f *testing.F) {
	f.Add("2026-11-20T12:00:00.000Z", 30.0, "10:00", "0,1,1,1,1,1,0", int64(0))
	f.Add("2026-11-20T12:00:00.000Z", 0.5, "", "", int64(1e12))
	f.Fuzz(func(t *testing.T, start string, minutes float64, of, days string, last int64) {
		list := []any{days}
		p, ok := planOf(parse.NewObject(scheduleClass, "startAfter", start, "repeatMinutes", minutes, "timeOfDay", of, "daysOfWeek", list))
		if !ok || p.every > 0 && p.every < time.Minute {
			return
		}
		now := at("2026-11-22T11:00:00Z")
		from := time.UnixMilli(last % now.UnixMilli())
		due, is, next := p.due(from, now)
		if is && (due.After(now) || !due.After(from)) || !next.IsZero() && p.every > 0 && !next.After(now) {
			t.Errorf("due(%v, %v) of %+v = %v %v, then %v", from, now, p, due, is, next)
		}
	})
}

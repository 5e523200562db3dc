package job

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-backend/parley/parse"
)

// plan is when a schedule is due, read from its fields as Parse Dashboard writes them. All times are UTC.
type plan struct {
	startAfter time.Time
	every      time.Duration // 0: once, at startAfter
	// days of the week on which it runs, Sunday first.
	days [7]bool
	// at is when a day begins, hasTime whether that was said.
	at      time.Duration
	hasTime bool
}

// catchUp is how late a run may be: what was due longer ago, while no server ran, is left out.
const catchUp = 24 * time.Hour

// maxSteps bounds the search for a day on which a schedule runs.
const maxSteps = 800

// planOf reads the fields of a schedule; ok is false when it says nothing that can be run.
func planOf(row *parse.Object) (p plan, ok bool) {
	p.startAfter, ok = instant(row.Get("startAfter"))
	if !ok {
		return plan{}, false
	}
	if minutes, _ := row.Get("repeatMinutes").(float64); minutes >= 1 && minutes <= 366*24*60 {
		p.every = time.Duration(minutes * float64(time.Minute))
	}
	p.days = daysOf(row.Get("daysOfWeek"))
	p.at, p.hasTime = timeOfDay(row.String("timeOfDay"))
	return p, p.days != [7]bool{}
}

func instant(v any) (time.Time, bool) {
	switch v := v.(type) {
	case parse.Date:
		return v.Time().UTC(), true
	case string:
		if date, ok := parse.ParseDate(v); ok {
			return date.Time().UTC(), true
		}
		t, err := time.Parse(time.RFC3339, v)
		return t.UTC(), err == nil
	}
	return time.Time{}, false
}

// daysOf reads the days: seven flags "0" and "1", Sunday first, or a list of the numbers of days, 0 for Sunday. None means all.
func daysOf(v any) (days [7]bool) {
	list, _ := v.([]any)
	numbers := make([]int, 0, len(list))
	for _, item := range list {
		switch item := item.(type) {
		case string:
			if n, err := strconv.Atoi(strings.TrimSpace(item)); err == nil {
				numbers = append(numbers, n)
			}
		case float64:
			numbers = append(numbers, int(item))
		case bool:
			if item {
				numbers = append(numbers, 1)
			} else {
				numbers = append(numbers, 0)
			}
		}
	}
	flags := len(numbers) == 7 && !slices.ContainsFunc(numbers, func(n int) bool { return n != 0 && n != 1 })
	for i, n := range numbers {
		switch {
		case flags:
			days[i] = n == 1
		case n >= 0 && n <= 7: // cron has two Sundays
			days[n%7] = true
		}
	}
	if len(list) == 0 {
		days = [7]bool{true, true, true, true, true, true, true}
	}
	return days
}

// timeOfDay reads "10:00", "10:00:00" and "10:00:00.000Z".
func timeOfDay(text string) (time.Duration, bool) {
	for _, layout := range []string{"15:04", "15:04:05", "15:04:05.999Z", "15:04Z"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.Sub(t.Truncate(24 * time.Hour)), true
		}
	}
	return 0, false
}

func day(t time.Time) time.Time { return t.Truncate(24 * time.Hour) }

// next returns the first time after a moment at which the schedule is due.
func (p plan) next(after time.Time) (time.Time, bool) {
	if p.every == 0 {
		return p.startAfter, p.startAfter.After(after)
	}
	if p.startAfter.After(after) {
		after = p.startAfter.Add(-1)
	}
	if p.hasTime && p.every <= 24*time.Hour {
		return p.nextOfDay(after)
	}
	// From the beginning on, at equal distances.
	begin := p.startAfter
	if p.hasTime {
		if begin = day(p.startAfter).Add(p.at); begin.Before(p.startAfter) {
			begin = begin.Add(24 * time.Hour)
		}
	}
	due := begin
	if after.After(begin) || after.Equal(begin) {
		due = begin.Add((after.Sub(begin)/p.every + 1) * p.every)
	}
	for range maxSteps {
		if p.days[due.Weekday()] {
			return due, true
		}
		steps := max(1, (day(due).Add(24*time.Hour).Sub(due)+p.every-1)/p.every) // to the first of another day
		due = due.Add(steps * p.every)
	}
	return time.Time{}, false
}

// nextOfDay: on each of the days, from the time of day on, until the day ends.
func (p plan) nextOfDay(after time.Time) (time.Time, bool) {
	today := day(after)
	for range maxSteps {
		if p.days[today.Weekday()] {
			due := today.Add(p.at)
			if !due.After(after) {
				due = due.Add((after.Sub(due)/p.every + 1) * p.every)
			}
			if day(due).Equal(today) {
				return due, true
			}
		}
		today = today.Add(24 * time.Hour)
	}
	return time.Time{}, false
}

// due returns the latest time up to now that is after the last run, if it is not too long ago: after a time without a server, a
// schedule runs once and not once for each time that was missed. next is when to look again.
func (p plan) due(last, now time.Time) (due time.Time, is bool, next time.Time) {
	from := now.Add(-catchUp)
	if last.After(from) {
		from = last
	}
	for {
		at, ok := p.next(from)
		if !ok || at.After(now) {
			return due, is, at
		}
		due, is, from = at, true, at
	}
}

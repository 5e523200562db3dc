package query

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/parley-backend/parley/parse"
)

// secondsOf are the units of $relativeTime. A year has 365 days.
var secondsOf = func() map[string]float64 {
	units := make(map[string]float64)
	for seconds, names := range map[float64]string{
		365 * 86400: "yr yrs year years",
		7 * 86400:   "wk wks week weeks",
		86400:       "d day days",
		3600:        "hr hrs hour hours",
		60:          "min mins minute minutes",
		1:           "sec secs second seconds",
	} {
		for _, name := range strings.Fields(names) {
			units[name] = seconds
		}
	}
	return units
}()

// relativeTime reads "2 weeks 3 days ago", "in 1 hour" or "now" as a moment counted from now. A problem that is not ""
// says in the words of Parse Server what is wrong with the text.
func relativeTime(text string, now parse.Date) (date parse.Date, problem string) {
	text = strings.ToLower(text)
	if text == "now" {
		return now, ""
	}
	parts := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' })
	future := len(parts) > 0 && parts[0] == "in"
	past := len(parts) > 0 && parts[len(parts)-1] == "ago"
	switch {
	case !future && !past:
		return 0, "Time should either start with 'in' or end with 'ago'"
	case future && past:
		return 0, "Time cannot have both 'in' and 'ago'"
	case future:
		parts = parts[1:]
	default:
		parts = parts[:len(parts)-1]
	}
	if len(parts)%2 != 0 {
		return 0, "Invalid time string. Dangling unit or number."
	}
	seconds := 0.0
	for i := 0; i < len(parts); i += 2 {
		amount, err := strconv.ParseFloat(parts[i], 64)
		if err != nil || amount != math.Trunc(amount) || math.IsInf(amount, 0) {
			return 0, fmt.Sprintf("'%s' is not an integer.", parts[i])
		}
		unit, ok := secondsOf[parts[i+1]]
		if !ok {
			return 0, fmt.Sprintf("Invalid interval: '%s'", parts[i+1])
		}
		seconds += amount * unit
	}
	if past {
		seconds = -seconds
	}
	moment := float64(now) + 1000*seconds
	if math.IsNaN(moment) || moment < float64(parse.MinDate) || moment > float64(parse.MaxDate) {
		return 0, "Time is out of range."
	}
	return parse.Date(moment), ""
}

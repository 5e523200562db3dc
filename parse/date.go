package parse

import "time"

// MinDate and MaxDate are the first and the last moment of a JavaScript Date (ECMA-262, 21.4.1.1).
const (
	MinDate Date = -864e13
	MaxDate Date = 864e13
)

const (
	msPerSecond = 1000
	msPerMinute = 60 * msPerSecond
	msPerHour   = 60 * msPerMinute
	msPerDay    = 24 * msPerHour
)

// DateOf returns a moment, cut to whole milliseconds.
func DateOf(t time.Time) Date { return Date(t.UnixMilli()) }

// Time returns the moment in UTC.
func (d Date) Time() time.Time { return time.UnixMilli(int64(d)).UTC() }

// Valid tells whether a JavaScript Date can hold the moment.
func (d Date) Valid() bool { return MinDate <= d && d <= MaxDate }

// String returns what toISOString of JavaScript returns: "2026-01-01T00:00:00.000Z", years outside 0..9999 with
// a sign and six digits. It is "Invalid Date" outside of [MinDate] and [MaxDate].
func (d Date) String() string { return string(d.Append(make([]byte, 0, 28))) }

// Append appends what [Date.String] returns.
func (d Date) Append(dst []byte) []byte {
	if !d.Valid() {
		return append(dst, "Invalid Date"...)
	}
	days, ms := int64(d)/msPerDay, int64(d)%msPerDay
	if ms < 0 {
		days, ms = days-1, ms+msPerDay
	}
	year, month, day := civil(days)
	switch {
	case year < 0:
		dst = appendDigits(append(dst, '-'), -year, 6)
	case year > 9999:
		dst = appendDigits(append(dst, '+'), year, 6)
	default:
		dst = appendDigits(dst, year, 4)
	}
	dst = appendDigits(append(dst, '-'), month, 2)
	dst = appendDigits(append(dst, '-'), day, 2)
	dst = appendDigits(append(dst, 'T'), ms/msPerHour, 2)
	dst = appendDigits(append(dst, ':'), ms/msPerMinute%60, 2)
	dst = appendDigits(append(dst, ':'), ms/msPerSecond%60, 2)
	dst = appendDigits(append(dst, '.'), ms%1000, 3)
	return append(dst, 'Z')
}

func appendDigits(dst []byte, n int64, width int) []byte {
	for i := 0; i < width; i++ {
		dst = append(dst, '0')
	}
	for i := len(dst) - 1; n > 0; i-- {
		dst[i] = byte('0' + n%10)
		n /= 10
	}
	return dst
}

// civil turns days since the epoch into a proleptic Gregorian date, in eras of 400 years (146097 days)
// whose years begin in March, so that the leap day is the last of its year.
func civil(days int64) (year, month, day int64) {
	days += 719468
	era := days / 146097
	if days < 0 {
		era = (days - 146096) / 146097
	}
	doe := days - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day = doy - (153*mp+2)/5 + 1
	month = mp + 3
	year = yoe + era*400
	if month > 12 {
		month -= 12
		year++
	}
	return year, month, day
}

// daysOf is the inverse of civil; a day beyond the end of its month runs into the next.
func daysOf(year, month, day int64) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	era := year / 400
	if year < 0 {
		era = (year - 399) / 400
	}
	yoe := year - era*400
	doy := (153*(month-3)+2)/5 + day - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return era*146097 + doe - 719468
}

// ParseDate reads the ISO forms that the Date constructor of JavaScript reads:
//
//	2026   2026-01   2026-01-31   and the signed six-digit years +012026, -000001
//	each of them followed by T10:00, T10:00:00 or T10:00:00.123 and an offset Z, +02:00 or +0200
//
// T and Z may be lower case and T may be a space. Digits after the milliseconds are cut off, 24:00 is the midnight
// that ends the day, and a day of 31 or less that its month does not have runs into the next month. A time without an
// offset is UTC, as on a server that runs in UTC. The other forms that JavaScript engines happen to accept are refused.
func ParseDate(s string) (Date, bool) {
	p := dateParser{rest: s}
	year := p.year()
	month, day := int64(1), int64(1)
	if p.skip("-") {
		month = p.number(2, 1, 12)
		if p.skip("-") {
			day = p.number(2, 1, 31)
		}
	}
	var ms int64
	if p.skip("Tt ") {
		ms = p.clock()
		ms -= p.offset()
	}
	d := Date(daysOf(year, month, day)*msPerDay + ms)
	if p.bad || p.rest != "" || !d.Valid() {
		return 0, false
	}
	return d, true
}

// dateParser eats a date from the left; bad is set once for all.
type dateParser struct {
	rest string
	bad  bool
}

// skip eats one byte if it is one of set.
func (p *dateParser) skip(set string) bool {
	if p.rest == "" {
		return false
	}
	for i := 0; i < len(set); i++ {
		if p.rest[0] == set[i] {
			p.rest = p.rest[1:]
			return true
		}
	}
	return false
}

// number eats exactly width digits of a number in lo..hi.
func (p *dateParser) number(width int, lo, hi int64) int64 {
	if len(p.rest) < width {
		p.bad = true
		return lo
	}
	var n int64
	for i := 0; i < width; i++ {
		c := p.rest[i]
		if c < '0' || c > '9' {
			p.bad = true
			return lo
		}
		n = n*10 + int64(c-'0')
	}
	p.rest = p.rest[width:]
	if n < lo || n > hi {
		p.bad = true
	}
	return n
}

func (p *dateParser) year() int64 {
	if p.skip("+") {
		return p.number(6, 0, 999999)
	}
	if p.skip("-") {
		return -p.number(6, 1, 999999) // there is no year -0
	}
	return p.number(4, 0, 9999)
}

// clock eats hh:mm, hh:mm:ss or hh:mm:ss.fff… and returns milliseconds.
func (p *dateParser) clock() int64 {
	ms := p.number(2, 0, 24) * msPerHour
	if !p.skip(":") {
		p.bad = true
	}
	ms += p.number(2, 0, 59) * msPerMinute
	if p.skip(":") {
		ms += p.number(2, 0, 59) * msPerSecond
		if p.skip(".") {
			ms += p.fraction()
		}
	}
	if ms > msPerDay {
		p.bad = true
	}
	return ms
}

func (p *dateParser) fraction() int64 {
	var ms int64
	n := 0
	for ; n < len(p.rest) && '0' <= p.rest[n] && p.rest[n] <= '9'; n++ {
		if n < 3 {
			ms = ms*10 + int64(p.rest[n]-'0')
		}
	}
	if n == 0 {
		p.bad = true
	}
	for i := n; i < 3; i++ {
		ms *= 10
	}
	p.rest = p.rest[n:]
	return ms
}

// offset eats Z, ±hh:mm or ±hhmm and returns milliseconds east of UTC.
func (p *dateParser) offset() int64 {
	sign := int64(1)
	switch {
	case p.rest == "" || p.skip("Zz"):
		return 0
	case p.skip("+"):
	case p.skip("-"):
		sign = -1
	default:
		p.bad = true
		return 0
	}
	ms := p.number(2, 0, 23) * msPerHour
	p.skip(":")
	return sign * (ms + p.number(2, 0, 59)*msPerMinute)
}

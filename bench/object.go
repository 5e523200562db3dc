package main

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"time"
)

// groups is how many values the indexed field has: a find meets objects/groups of them, in the order of another field, and
// takes the first 20.
const groups = 1000

// fields appends the ten fields of the i-th object as JSON members: four texts, three numbers, a boolean, a date in the form that
// the server wants, and an object.
func fields(b []byte, i int, date func(b []byte, t time.Time) []byte) []byte {
	b = fmt.Appendf(b, `"title":"title of object %d","body":"some text of a usual length, as people write it: not too long, not too short"`, i)
	b = fmt.Appendf(b, `,"category":"category %d","email":"person%d@example.com"`, i%20, i)
	b = fmt.Appendf(b, `,"grp":%d,"score":%d,"ratio":%s`, i%groups, i*7919%100003, strconv.FormatFloat(float64(i%977)/8, 'f', -1, 64))
	b = fmt.Appendf(b, `,"open":%t,"at":`, i%2 == 0)
	b = date(b, time.UnixMilli(1767225600000+int64(i)*1000).UTC())
	return fmt.Appendf(b, `,"meta":{"level":%d,"tags":["a","b","c"],"nested":{"deep":"value"}}`, i%9)
}

// object is the i-th object as JSON.
func object(i int, date func(b []byte, t time.Time) []byte) []byte {
	b := fields([]byte("{"), i, date)
	return append(b, '}')
}

// changes is what an update sets: a text and a number, neither of them indexed.
func changes(r *rand.Rand) []byte {
	n := r.IntN(1000000)
	return fmt.Appendf(nil, `{"title":"changed %d","ratio":%d}`, n, n)
}

// mixed are four reads, of which one is a find, and one write, a create or an update.
func mixed(get, find, create, update work) work {
	return func(r *rand.Rand, buf []byte) []byte {
		switch n := r.IntN(100); {
		case n < 60:
			return get(r, buf)
		case n < 80:
			return find(r, buf)
		case n < 90:
			return create(r, buf)
		default:
			return update(r, buf)
		}
	}
}

func escape(text string) string { return url.QueryEscape(text) }

const (
	users    = 8
	password = "correct horse battery staple"
)

func username(i int) string { return fmt.Sprintf("person%d", i) }

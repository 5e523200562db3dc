package query

import (
	"time"

	"github.com/parley-backend/parley/parse"
)

// Options say how a query is read. The zero value reads it as one of a client without limits.
type Options struct {
	// Privileged queries (master key, maintenance key) may name the internal fields of [schema.Internal] that can be
	// queried, may ask for a plan, and know no Limits.
	Privileged bool
	Limits     Limits
	// DefaultLimit is the limit of a find that names none; 0 stands for 100. MaxLimit, when not 0, caps every limit.
	DefaultLimit, MaxLimit int
	// PublicExplain lets everybody ask for a plan (option databaseOptions.allowPublicExplain).
	PublicExplain bool
	// Now is the moment that $relativeTime counts from; the zero time stands for the present.
	Now time.Time
}

// Limits are the parts of option requestComplexity that concern a query (contract parse-api.md, 3.3). Values below 1
// set no limit.
type Limits struct {
	// QueryDepth is how deep $or, $and and $nor may stand in each other.
	QueryDepth int
	// SubqueryDepth is how deep sub-queries may stand in each other.
	SubqueryDepth int
	// SubqueryLimit is how many objects a sub-query may find.
	SubqueryLimit int
	// IncludeDepth is how many pointers deep an include may reach, IncludeCount how many paths there may be.
	IncludeDepth, IncludeCount int
	// DenyRegex refuses $regex.
	DenyRegex bool
}

// limits returns the limits that hold for the query.
func (o Options) limits() Limits {
	if o.Privileged {
		return Limits{}
	}
	return o.Limits
}

func (o Options) now() parse.Date {
	if o.Now.IsZero() {
		return parse.DateOf(time.Now())
	}
	return parse.DateOf(o.Now)
}

func invalidQuery(format string, args ...any) error {
	return parse.Errorf(parse.InvalidQuery, format, args...)
}

func invalidJSON(format string, args ...any) error {
	return parse.Errorf(parse.InvalidJSON, format, args...)
}

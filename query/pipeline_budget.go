package query

import "github.com/parley-backend/parley/parse"

// Bounds on what a pipeline may make of its objects: a few stages turn a small class into more than any memory holds. MongoDB bounds
// the size of a document, and the memory of a stage, likewise.
const (
	// maxDocument is how many values one document may hold, about 16 MB of them.
	maxDocument = 1_000_000
	// maxMade is how many values all documents may hold that all stages of one pipeline make.
	maxMade = 20_000_000
	// maxText is the length in bytes of the longest text that an expression may make.
	maxText = 16 << 20
)

var (
	errLargeDocument = parse.Errorf(parse.InvalidQuery, "A document of the aggregation is too large.")
	errLargePipeline = parse.Errorf(parse.InvalidQuery, "The aggregation makes too many documents.")
)

// budget is what is left for one run of a pipeline.
type budget struct{ left int }

// bounded passes documents on for as long as the budget lasts.
func (b *budget) bounded(in documents) documents {
	return mapDocuments(in, func(o *parse.Object) (*parse.Object, error) {
		weight := maxDocument - weigh(&o.Map, maxDocument)
		if weight > maxDocument {
			return nil, errLargeDocument
		}
		if b.left -= weight; b.left < 0 {
			return nil, errLargePipeline
		}
		return o, nil
	})
}

// weigh takes the number of values in v from left, and stops when that is used up: parts of v may be the same value many times
// over. 16 bytes of text count as one value more.
func weigh(v any, left int) int {
	left--
	switch v := v.(type) {
	case string:
		left -= len(v) / 16
	case parse.Bytes:
		left -= len(v) / 16
	case []any:
		for _, e := range v {
			if left = weigh(e, left); left < 0 {
				break
			}
		}
	case *parse.Map:
		for _, e := range v.All() {
			if left = weigh(e, left); left < 0 {
				break
			}
		}
	case *parse.Object:
		return weigh(&v.Map, left)
	}
	return left
}

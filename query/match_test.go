package query_test

import (
	"testing"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/query/querytest"
)

// scan answers a query by looking at every object, as package query alone can.
func scan(objects []*parse.Object) querytest.Finder {
	return func(f *query.Find) ([]*parse.Object, error) {
		m, err := query.Compile(f.Where)
		if err != nil {
			return nil, err
		}
		var found []*parse.Object
		for _, o := range objects {
			ok, err := m.Match(o)
			if err != nil {
				return nil, err
			}
			if ok {
				found = append(found, o)
			}
		}
		if err := query.Sort(found, f); err != nil {
			return nil, err
		}
		found = found[min(f.Skip, len(found)):]
		if f.Limit >= 0 {
			found = found[:min(f.Limit, len(found))]
		}
		return found, nil
	}
}

func TestCorpus(t *testing.T) {
	querytest.Run(t, func(t *testing.T, s querytest.Suite) querytest.Finder { return scan(s.Objects) })
}

package migrate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/storage"
)

// Check reads all objects of a database of Parley and returns what another kind of database, with the given capabilities, could not hold, and
// what cannot be read.
func Check(ctx context.Context, db storage.Adapter, other storage.Capabilities) ([]storage.Finding, error) {
	stored, err := db.Classes(ctx)
	if err != nil {
		return nil, err
	}
	var found []storage.Finding
	for _, class := range All(stored) {
		unfit := 0
		nulls := map[string]int{}
		for object, err := range db.Find(ctx, class, &query.Find{ClassName: class.Name, Limit: -1}) {
			if err != nil {
				if ctx.Err() != nil {
					return found, err
				}
				found = append(found, storage.Finding{Level: "error", About: "class " + class.Name, Text: "it cannot be read to its end: " + err.Error()})
				break
			}
			refused := false
			for name, v := range object.All() {
				if v == nil && other.NoNull {
					nulls[name]++
				}
				if why := unstorable(v, other); why != "" && !refused {
					refused = true
					if unfit++; unfit <= mostNamed {
						found = append(found, storage.Finding{Level: "error", About: "object " + class.Name + "/" + object.ID(), Text: "the field " + name + " holds " + why})
					}
				}
			}
		}
		for _, name := range slices.Sorted(maps.Keys(nulls)) {
			found = append(found, storage.Finding{Level: "warning", About: "field " + class.Name + "." + name,
				Text: fmt.Sprintf("null in %d objects becomes a field that is not there: %s stores no null", nulls[name], other.Name)})
		}
		if unfit > mostNamed {
			found = append(found, storage.Finding{Level: "error", About: "class " + class.Name, Text: "there are more such objects than the first that are named"})
		}
	}
	return found, nil
}

// mostNamed is how many objects of a class are named.
const mostNamed = 20

// unstorable tells why a value has no place in a database with these capabilities, "" when it has.
func unstorable(v any, other storage.Capabilities) string {
	switch v := v.(type) {
	case string:
		if other.NoNUL && strings.ContainsRune(v, 0) {
			return "the character U+0000, which " + other.Name + " cannot store"
		}
	case parse.Date:
		if other.OldestDate != 0 && v < other.OldestDate {
			return "a date that is too old for " + other.Name
		}
	case []any:
		for _, e := range v {
			if _, date := e.(parse.Date); date { // it is text in there
				continue
			}
			if why := unstorable(e, other); why != "" {
				return why
			}
		}
	case *parse.Map:
		for key, e := range v.All() {
			if why := unstorable(key, other); why != "" {
				return why
			}
			if _, date := e.(parse.Date); date {
				continue
			}
			if why := unstorable(e, other); why != "" {
				return why
			}
		}
	}
	return ""
}

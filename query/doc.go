// Package query is the language of `where`, `order`, `keys` and `include`: it parses the JSON form into a tree,
// checks the tree against the fields of a class, matches an object against it, and prints it canonically.
// It knows no database; package sqlgen turns the same tree into SQL.
//
// # The way of a query
//
// [ParseFind] reads the parameters of a request, [ParseWhere] a `where` alone. Whoever runs the query resolves
// sub-queries and relations ([Rewrite]) and adds constraints ([AndOf]); [Fields] names what a tree asks about. [Check]
// fits it to its class. An adapter runs it, or asks a [Matcher] ([Compile]) and a [Sorter]. [Print] writes it back.
// An aggregation goes [ParsePipeline], [Split], the adapter, [Run], [Pipeline.Answer].
//
// # What it means
//
// The semantics are those of Parse Server on MongoDB, as [Matcher], [Compare], [SortKey], [Pattern], [TextMatcher] and the
// geometry of geo.go spell them out. They stand in package query once, and the corpus in testdata (package querytest)
// holds every reader of the tree to them. Where they depart from MongoDB:
//
//   - A field of an object that is null counts as missing, also for $exists, because typed layouts store both alike.
//     A null member inside an Object or Array exists.
//   - Objects are equal whatever the order of their members, and ordered accordingly.
//   - An Object or Array as a whole can be compared by $eq, $ne, $in and $nin on every field.
//   - A text on a Date field is taken for a date, if it is one, by every operator.
//   - Polygons are planar in $geoIntersects as in $geoWithin; edges belong to them.
//   - $text looks at the field it stands on, and needs no index.
//   - $minDistance, $minDistanceInRadians, …InMiles and …InKilometers stand beside $nearSphere.
//
// # Where to look
//
// ast.go the tree; parse*.go JSON -> tree; options.go limits; operators.go the table of operators; tree.go walking and
// building; check.go tree against class; match*.go tree against object; path.go dotted keys; compare.go and sort.go the
// order of values and objects; print.go tree -> canonical JSON; geo.go, regex*.go, text.go, stem.go, relativetime.go what
// those operators mean; pipeline*.go aggregation.
package query

package query

import (
	"errors"
	"strings"
)

// maxDepth bounds how deep conditions and sub-queries may stand in each other, whatever the limits of a caller say:
// every walk through a tree is recursive.
const maxDepth = 128

var errTooDeep = errors.New("query: the tree is too deep")

// Walk visits the nodes of a tree, a node before those inside it. It goes into a node only when f returns true, and
// never into sub-queries.
func Walk(n Node, f func(Node) bool) {
	if n == nil || !f(n) {
		return
	}
	for _, m := range inner(n) {
		Walk(m, f)
	}
}

func inner(n Node) []Node {
	switch n := n.(type) {
	case And:
		return n
	case Or:
		return n
	case Nor:
		return n
	}
	return nil
}

// Rewrite builds a tree in which f has replaced the nodes, the inner ones first; the given tree is not changed. A nil
// from f admits every object. An error from f ends the rewriting and is returned as it is. Where f turns the nodes of
// a sub-query into something else, the result is what the database sees.
func Rewrite(n Node, f func(Node) (Node, error)) (Node, error) {
	if n == nil {
		return nil, nil
	}
	rewritten, err := rewriteAll(inner(n), f)
	if err != nil {
		return nil, err
	}
	switch n.(type) {
	case And:
		return f(And(rewritten))
	case Or:
		return f(Or(rewritten))
	case Nor:
		return f(Nor(rewritten))
	}
	return f(n)
}

func rewriteAll(nodes []Node, f func(Node) (Node, error)) ([]Node, error) {
	rewritten := make([]Node, len(nodes))
	for i, n := range nodes {
		m, err := Rewrite(n, f)
		if err != nil {
			return nil, err
		}
		rewritten[i] = m
	}
	return rewritten, nil
}

// Never is a condition that no object satisfies.
func Never() Node { return Or{} }

// AndOf returns the condition that all nodes hold, as simple as it can be: nil nodes are left out, nested Ands are
// flattened, a single node stands for itself, none is nil.
func AndOf(nodes ...Node) Node {
	var all And
	for _, n := range nodes {
		switch n := n.(type) {
		case nil:
		case And:
			if m := AndOf(n...); m != nil {
				if inner, ok := m.(And); ok {
					all = append(all, inner...)
				} else {
					all = append(all, m)
				}
			}
		default:
			all = append(all, n)
		}
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	return all
}

// OrOf returns the condition that one of the nodes holds: nil, which always holds, when one of them is nil.
func OrOf(nodes ...Node) Node {
	var any Or
	for _, n := range nodes {
		switch n := n.(type) {
		case nil:
			return nil
		case Or:
			any = append(any, n...)
		default:
			any = append(any, n)
		}
	}
	if len(any) == 1 {
		return any[0]
	}
	return any
}

// Fields returns the keys that a tree asks about, dotted ones as they are, each once, in the order of the tree:
// what protected fields have to be compared with. A RelatedTo asks about no field of the class.
// Keys inside sub-queries belong to other classes and are not listed.
func Fields(n Node) []string {
	var keys []string
	seen := make(map[string]bool)
	add := func(key string) {
		if !seen[key] {
			seen[key] = true
			keys = append(keys, key)
		}
	}
	Walk(n, func(n Node) bool {
		switch n := n.(type) {
		case *Constraint:
			add(n.Key)
		case *SubQuery:
			add(n.Key)
		}
		return true
	})
	return keys
}

// OrderFields returns the keys of an order without "$score".
func OrderFields(order []Order) []string {
	var keys []string
	for _, o := range order {
		if o.Key != ScoreKey {
			keys = append(keys, o.Key)
		}
	}
	return keys
}

// Root returns the field that a dotted key begins with.
func Root(key string) string {
	root, _, _ := strings.Cut(key, ".")
	return root
}

// PinnedID returns the objectId that every match of where has, when where says so at its top: an adapter may then look at one object.
func PinnedID(where Node) (string, bool) {
	switch n := where.(type) {
	case *Constraint:
		if n.Key == "objectId" && n.Op == Eq {
			id, ok := n.Arg.(string)
			return id, ok
		}
	case And:
		for _, child := range n {
			if id, ok := PinnedID(child); ok {
				return id, true
			}
		}
	}
	return "", false
}

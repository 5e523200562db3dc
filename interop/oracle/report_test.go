package oracle

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// tabulate returns the table of what was compared, as Markdown.
func tabulate(t *testing.T, measured map[string]counts) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| topic | exchanges | alike | listed: as on MongoDB | listed: Parley's own | unexplained |\n|---|--:|--:|--:|--:|--:|\n")
	var total counts
	row := func(title string, c counts) {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d |\n", title, c.exchanges, c.alike, c.mongo, c.own, c.unexplained)
	}
	left := map[string]bool{}
	for name := range measured {
		left[name] = true
	}
	for _, topic := range topics {
		var sum counts
		for _, name := range strings.Fields(topic.files) {
			sum.add(measured[name])
			delete(left, name)
		}
		if sum.exchanges > 0 {
			row(topic.title, sum)
		}
		total.add(sum)
	}
	for name := range left {
		t.Errorf("%s.txt belongs to no topic", name)
	}
	row("all", total)
	return b.String()
}

// The table stands between these lines.
const (
	begin = "<!-- written by make oracle -->\n"
	end   = "<!-- end -->\n"
)

// writeTable puts the table in its place in a page.
func writeTable(path, table string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return fmt.Errorf("%s has no place for the table", path)
	}
	return os.WriteFile(path, []byte(before+begin+table+end+after), 0o644)
}

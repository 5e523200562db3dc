package credential_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parley-backend/parley/credential"
)

// TestDocumentedLog compares the records that Log writes with the table in docs/credentials.md: the message, the event and the level of each.
func TestDocumentedLog(t *testing.T) {
	page, err := os.ReadFile("../docs/credentials.md")
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, row := range regexp.MustCompile("(?m)^\\| ([^|`]+) \\| `([a-z_]+)` \\| ([A-Z]+) \\| .+ \\|$").FindAllSubmatch(page, -1) {
		told = append(told, fmt.Sprintf("%s %s %s", row[3], row[1], row[2]))
	}
	var written bytes.Buffer
	log := credential.Log(slog.New(slog.NewTextHandler(&written, &slog.HandlerOptions{Level: slog.LevelDebug})))
	for kind := credential.EventInstalled; kind.String() != "unknown"; kind++ {
		log.Observe(credential.Event{Kind: kind, Class: credential.Unavailable})
	}
	var wrote []string
	record := regexp.MustCompile(`level=([A-Z]+) msg=(?:"([^"]+)"|(\S+)) event=([a-z_]+) `)
	for _, line := range strings.Split(strings.TrimSpace(written.String()), "\n") {
		m := record.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("a record without level, message and event: %s", line)
		}
		wrote = append(wrote, fmt.Sprintf("%s %s %s", m[1], m[2]+m[3], m[4]))
	}
	if diff := cmp.Diff(wrote, told); diff != "" {
		t.Errorf("the table of records in docs/credentials.md (-log +document):\n%s", diff)
	}
}

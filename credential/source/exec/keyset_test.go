package exec_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/parley-backend/parley/credential"
)

// A program may print many keys: more than one value may be long.
func TestManyKeys(t *testing.T) {
	const lines = 3000 // of 34 bytes
	source := open(t, "exec:///bin/sh?arg=-c&format=lines&arg="+url.QueryEscape(`i=100000; while [ $i -lt 103000 ]; do i=$((i+1)); echo "`+strings.Repeat("k", 27)+`$i"; done`))
	payload, err := source.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if payload.Form != credential.List || len(payload.Versions) != lines {
		t.Errorf("Fetch = %d versions, form %d; want %d, a list", len(payload.Versions), payload.Form, lines)
	}
	source = open(t, "exec:///bin/sh?arg=-c&format=keyset&arg="+url.QueryEscape(`head -c 5000000 /dev/zero`))
	if _, err := source.Fetch(t.Context()); !errors.Is(err, credential.Invalid) || !strings.Contains(err.Error(), "4194304 bytes") {
		t.Errorf("Fetch of 5 MB = %v, want Invalid and the limit", err)
	}
}

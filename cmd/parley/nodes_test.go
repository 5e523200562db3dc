package main

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// freePort returns the address of a port that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestI2NodesOfACluster starts three servers with a NATS server each inside, which find each other by one address: what one of them
// revokes, all refuse at once; what one of them reads anew, all do.
func TestI2NodesOfACluster(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, route := filepath.Join(dir, "master"), freePort(t)
	write(t, path, stolenKey)
	installKey := filepath.Join(dir, "installKey")
	write(t, installKey, "canary-install-key-of-the-cluster-of-three-0123456789\n")
	nodes := make([]*process, 3)
	for i := range nodes {
		// The source is looked at every hour: whatever is known sooner came over the bus.
		args := []string{"--appId=" + appID, "--masterKey=exec:///bin/cat?arg=" + path + "&ttl=1h&overlap=1h", "--readOnlyMasterKey=" + readOnlyKey,
			"--dataDir=" + filepath.Join(dir, fmt.Sprint("node", i)), "--installKey=file://" + installKey, fmt.Sprintf("--node=node-%d", i),
			"--nats.cluster.listen=" + route, "--databaseURI=memory:"}
		if i > 0 {
			args = append(args, "--nats.cluster.listen=127.0.0.1:0", "--nats.cluster.routes="+route)
		}
		nodes[i] = startServer(t, dir, args...)
	}
	with := func(key string) []string { return []string{"X-Parse-Master-Key", key} }
	try := func(p *process, key string) int {
		a, err := p.try(http.MethodGet, "/schemas", "", with(key)...)
		if err != nil {
			t.Fatal(err)
		}
		return a.status
	}
	for _, p := range nodes {
		p.await("the nodes to find each other", func() bool {
			return strings.Contains(p.do(http.StatusOK, http.MethodGet, "/keys", "", with(stolenKey)...).text, `"nodes":{"known":2}`)
		})
	}
	write(t, path, freshKey)
	nodes[0].do(http.StatusOK, http.MethodPost, "/keys/masterKey/refresh", "", with(stolenKey)...)
	for _, p := range nodes {
		p.await("the new key", func() bool { return try(p, freshKey) == http.StatusOK })
		if got := try(p, stolenKey); got != http.StatusOK {
			t.Errorf("the key before, in its overlap = %d, want 200", got)
		}
	}
	var old string
	for _, v := range nodes[0].do(http.StatusOK, http.MethodGet, "/keys", "", with(freshKey)...).body["results"].([]any)[0].(map[string]any)["versions"].([]any) {
		if version := v.(map[string]any); version["state"] == "previous" {
			old = version["id"].(string)
		}
	}
	a := nodes[1].do(http.StatusOK, http.MethodPost, "/keys/masterKey/revoke", `{"version":"`+old+`"}`, with(freshKey)...)
	if !strings.Contains(a.text, `"nodes":{"confirmed":2,"known":2}`) {
		t.Errorf("the revocation was answered %s, want that two of two others confirmed it", a.text)
	}
	for i, p := range nodes {
		if got := try(p, stolenKey); got != http.StatusForbidden {
			t.Errorf("node %d answers the revoked key with %d, want 403", i, got)
		}
	}
	for _, p := range nodes {
		p.end()
	}
}

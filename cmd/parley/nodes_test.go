package main

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/pubsub/natsbus"
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
// revokes, all refuse at once; what one of them reads anew, all do. They are on one host, whose name all of them have.
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
			"--dataDir=" + filepath.Join(dir, fmt.Sprint("node", i)), "--installKey=file://" + installKey,
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

// TestNodesOfAnOutsideNATS has two servers on a NATS of its own, whose key is in a bucket there, and whose login is in a file: a key that is put is
// accepted by both at once, one that is rotated by the command too, and the login may be replaced.
func TestNodesOfAnOutsideNATS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	outside, err := natsbus.NewServer(natsbus.ServerConfig{
		Listen: "127.0.0.1:0", User: "parley", Password: credential.NewSecret(stolenKey), StoreDir: filepath.Join(dir, "nats"),
	})
	if err == nil {
		err = outside.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(outside.Stop)
	conn, err := outside.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "creds", History: 2})
	if err != nil {
		t.Fatal(err)
	}
	put := func(value string) {
		t.Helper()
		if _, err := bucket.Put(t.Context(), "master", []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	put(firstKey)
	login, installKey := filepath.Join(dir, "login.json"), filepath.Join(dir, "installKey")
	write(t, login, `{"user":"parley","password":"wrong-for-the-moment"}`)
	write(t, installKey, "canary-install-key-of-the-outside-nats-0123456789\n")
	nodes := make([]*process, 2)
	for i := range nodes {
		nodes[i] = startServer(t, dir, "--appId="+appID, "--masterKey=nats-kv://creds/master?ttl=1h&startup=degraded", "--readOnlyMasterKey="+readOnlyKey,
			"--dataDir="+filepath.Join(dir, fmt.Sprint("node", i)), "--installKey=file://"+installKey, fmt.Sprintf("--node=node-%d", i), "--databaseURI=memory:",
			"--nats.servers=nats://"+outside.Addr(), "--nats.credentials=file://"+login+"?format=json")
	}
	accepts := func(p *process, key string) func() bool {
		return func() bool {
			a, err := p.try(http.MethodGet, "/schemas", "", "X-Parse-Master-Key", key)
			return err == nil && a.status == http.StatusOK
		}
	}
	if a, err := nodes[0].try(http.MethodGet, "/schemas", "", "X-Parse-Master-Key", firstKey); err != nil || a.status != http.StatusServiceUnavailable {
		t.Errorf("without a login the key = %d %s %v, want 503", a.status, a.text, err)
	}
	write(t, login, `{"user":"parley","password":"`+stolenKey+`"}`)
	for _, p := range nodes {
		p.await("the key of the bucket", accepts(p, firstKey))
	}
	put(secondKey)
	for _, p := range nodes {
		p.await("the key that was put", accepts(p, secondKey))
		p.await("the key before, in its overlap", accepts(p, firstKey))
	}
	rotated := nodes[0].do(http.StatusOK, http.MethodPost, "/keys/masterKey/rotate", `{"force":true,"show":true}`, "X-Parse-Master-Key", secondKey)
	fresh := rotated.body["value"].(string)
	entry, err := bucket.Get(t.Context(), "master")
	if err != nil || string(entry.Value()) != fresh {
		t.Errorf("the bucket does not hold the new key (%v)", err)
	}
	nodes[1].await("the key that the other one rotated", accepts(nodes[1], fresh))
	for _, p := range nodes {
		p.end()
	}
}

package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// TestI2RevokeThenKill kills the process right after a revocation was acknowledged: the key stays refused, with its source gone and
// with the source delivering it again.
func TestI2RevokeThenKill(t *testing.T) {
	t.Parallel()
	const stolen = stolenKey
	for range 3 {
		dir := t.TempDir()
		path := filepath.Join(dir, "master")
		write(t, path, stolen)
		args := []string{"--appId=" + appID, "--masterKey=file://" + path + "?startup=degraded", "--dataDir=" + filepath.Join(dir, "data")}
		p := startServer(t, dir, args...)
		with := func(key string) []string { return []string{"X-Parse-Master-Key", key} }
		rotated := p.do(http.StatusOK, http.MethodPost, "/keys/masterKey/rotate", `{"show":true}`, with(stolen)...)
		fresh := rotated.body["value"].(string)
		var old string
		for _, v := range p.do(http.StatusOK, http.MethodGet, "/keys", "", with(fresh)...).body["results"].([]any)[0].(map[string]any)["versions"].([]any) {
			if version := v.(map[string]any); version["state"] == "previous" {
				old = version["id"].(string)
			}
		}
		p.do(http.StatusOK, http.MethodGet, "/schemas", "", with(stolen)...)
		p.do(http.StatusOK, http.MethodPost, "/keys/masterKey/revoke", `{"version":"`+old+`"}`, with(fresh)...)
		p.await("the last good reading to be on disk, for which nobody waits", func() bool {
			kept, err := os.ReadFile(filepath.Join(dir, "data", "keys", "lastGood-masterKey"))
			return err == nil && bytes.Contains(kept, []byte(rotated.body["version"].(string)))
		})
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-p.ended

		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		p = startServer(t, dir, args...)
		if a, err := p.try(http.MethodGet, "/schemas", "", with(stolen)...); err != nil || a.status != http.StatusForbidden && a.status != http.StatusServiceUnavailable {
			t.Errorf("with the source gone the revoked key = %d %s %v, want 403 or 503", a.status, a.text, err)
		}
		p.do(http.StatusOK, http.MethodGet, "/schemas", "", with(fresh)...) // by the last good reading
		write(t, path, stolen)
		p.await("the revoked key to be read again", func() bool {
			a, err := p.try(http.MethodGet, "/schemas", "", with(stolen)...)
			if err != nil || a.status == http.StatusOK {
				t.Fatalf("with the source back the revoked key = %d %s %v, want a refusal", a.status, a.text, err)
			}
			return a.status == http.StatusForbidden
		})
		write(t, path, fresh)
		p.await("the key that replaced it", func() bool {
			a, err := p.try(http.MethodGet, "/schemas", "", with(fresh)...)
			return err == nil && a.status == http.StatusOK
		})
		p.end()
	}
}

// TestI2RevokedByAnotherProcess revokes by one of two processes on one data folder: the other refuses the key without a restart.
func TestI2RevokedByAnotherProcess(t *testing.T) {
	t.Parallel()
	const stolen, fresh = stolenKey, freshKey
	dir := t.TempDir()
	path := filepath.Join(dir, "master")
	write(t, path, stolen)
	args := []string{"--appId=" + appID, "--masterKey=file://" + path, "--dataDir=" + filepath.Join(dir, "data")}
	one, two := startServer(t, dir, args...), startServer(t, dir, args...)
	defer one.end()
	defer two.end()
	with := func(key string) []string { return []string{"X-Parse-Master-Key", key} }
	write(t, path, fresh)
	for _, p := range []*process{one, two} {
		p.await("the new key", func() bool {
			a, err := p.try(http.MethodGet, "/schemas", "", with(fresh)...)
			return err == nil && a.status == http.StatusOK
		})
		p.do(http.StatusOK, http.MethodGet, "/schemas", "", with(stolen)...) // in its overlap
	}
	var old string
	for _, v := range one.do(http.StatusOK, http.MethodGet, "/keys", "", with(fresh)...).body["results"].([]any)[0].(map[string]any)["versions"].([]any) {
		if version := v.(map[string]any); version["state"] == "previous" {
			old = version["id"].(string)
		}
	}
	one.do(http.StatusOK, http.MethodPost, "/keys/masterKey/revoke", `{"version":"`+old+`"}`, with(fresh)...)
	one.do(http.StatusForbidden, http.MethodGet, "/schemas", "", with(stolen)...)
	two.await("the other process to refuse the key", func() bool {
		a, err := two.try(http.MethodGet, "/schemas", "", with(stolen)...)
		return err == nil && a.status == http.StatusForbidden
	})
}

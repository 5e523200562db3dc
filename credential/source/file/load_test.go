package file_test

import (
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/file"
)

// The key file is rotated while a load runs. No verification fails: each worker uses the
// old key until the new one is stored, and the new one from that moment on. The old
// one ends with the overlap.
func TestRotationUnderLoad(t *testing.T) {
	for _, replacer := range replacers {
		if replacer.name == "RemoveAndCreate" || replacer.name == "DirectoryReplaced" || replacer.name == "RewriteInPlace" {
			continue // the same path through the engine as the others
		}
		t.Run(replacer.name, func(t *testing.T) {
			path, put := replacer.put(t)
			if filepath.Base(path) != "key" {
				t.Fatalf("path = %s", path)
			}
			put(t, keyA)
			c, err := credential.New(credential.Config{Name: "masterKey", Source: file.New(path, 0), Overlap: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer c.Stop()
			var key atomic.Pointer[string]
			a, b := keyA, keyB
			key.Store(&a)
			var verified, failed atomic.Int64
			stop := make(chan struct{})
			var workers sync.WaitGroup
			for range 4 {
				workers.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						if !c.VerifyContext(t.Context(), *key.Load()).OK() {
							failed.Add(1)
						}
						verified.Add(1)
					}
				})
			}
			waitFor(t, "load", func() bool { return verified.Load() > 1000 })
			put(t, keyB)
			key.Store(&b)
			waitFor(t, "end of the overlap", func() bool { return c.Verify(keyA).Reason == credential.ReasonRetired })
			close(stop)
			workers.Wait()
			if failed.Load() != 0 {
				t.Errorf("%d of %d verifications failed", failed.Load(), verified.Load())
			}
			if !c.Verify(keyB).OK() {
				t.Error("the new key is not accepted")
			}
		})
	}
}

package file_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/file"
)

// A key in a file, and a new one that is moved into its place while the server runs: both
// are accepted for the overlap.
func ExampleOpen() {
	folder, err := os.MkdirTemp("", "secrets")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "master")
	_ = os.WriteFile(path, []byte("9f2c41d8e07b5a63c1d4\n"), 0o600)

	cfg := credential.Config{Name: "masterKey"}
	sources := credential.Registry{"file": file.Open}
	if err := sources.Configure(&cfg, "file://"+path+"?overlap=30m"); err != nil {
		fmt.Println(err)
		return
	}
	master, err := credential.New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := master.Start(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	defer master.Stop()

	_ = os.WriteFile(path+".new", []byte("5b0e77c2d94a1f38e6a7\n"), 0o600)
	_ = os.Rename(path+".new", path)
	// The first request with the new key waits for the file to be read, if nobody has noticed it yet.
	for _, key := range []string{"5b0e77c2d94a1f38e6a7", "9f2c41d8e07b5a63c1d4"} {
		d := master.VerifyContext(context.Background(), key)
		fmt.Println(d.Verdict, d.State)
	}
	// Output:
	// accept current
	// accept previous
}

package mount_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/mount"
)

// The user and the password of a database, in one volume of Kubernetes: they are read from
// one generation and change together.
func ExampleOpen() {
	volume, err := os.MkdirTemp("", "creds") // what the kubelet does
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(volume)
	generation := filepath.Join(volume, "..2026_01_01_00_00_00.123456789")
	_ = os.Mkdir(generation, 0o755)
	_ = os.WriteFile(filepath.Join(generation, "username"), []byte("parley"), 0o600)
	_ = os.WriteFile(filepath.Join(generation, "password"), []byte("9f2c41d8e07b5a63c1d4"), 0o600)
	_ = os.Symlink(filepath.Base(generation), filepath.Join(volume, "..data"))

	cfg := credential.Config{Name: "database", Present: true}
	sources := credential.Registry{"k8s-mount": mount.Open}
	if err := sources.Configure(&cfg, "k8s-mount://"+volume+"?fields=username,password"); err != nil {
		fmt.Println(err)
		return
	}
	database, err := credential.New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := database.Start(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	defer database.Stop()
	type login struct{ user, password string }
	presenter, err := credential.NewPresenter(database, func(m credential.Material) (login, error) {
		return login{string(m.Fields["username"].Reveal()), string(m.Fields["password"].Reveal())}, nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	lease, err := presenter.Acquire(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(lease.Value.user, len(lease.Value.password))
	// Output: parley 20
}

// What systemd gives to the service with LoadCredential=masterKey:/etc/parley/master.
func ExampleOpenCred() {
	folder, err := os.MkdirTemp("", "credentials") // what systemd does
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	_ = os.WriteFile(filepath.Join(folder, "masterKey"), []byte("9f2c41d8e07b5a63c1d4\n"), 0o400)
	os.Setenv("CREDENTIALS_DIRECTORY", folder)
	defer os.Unsetenv("CREDENTIALS_DIRECTORY")

	cfg := credential.Config{Name: "masterKey"}
	sources := credential.Registry{"cred": mount.OpenCred}
	if err := sources.Configure(&cfg, "cred:masterKey"); err != nil {
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
	fmt.Println(master.Verify("9f2c41d8e07b5a63c1d4").Verdict)
	// Output: accept
}

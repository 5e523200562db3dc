package natskv_test

import (
	"context"
	"fmt"
	"os"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/natskv"
)

// The key of a server is kept in a bucket, and rotated there. In production the NATS server is another process; the bucket is
// made with `nats kv add creds --history=5`.
func ExampleOpener() {
	folder, _ := os.MkdirTemp("", "nats")
	defer os.RemoveAll(folder)
	store, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: folder, NoLog: true, NoSigs: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	store.Start()
	defer store.WaitForShutdown()
	defer store.Shutdown()
	conn, err := nats.Connect(store.ClientURL())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()

	ctx := context.Background()
	js, _ := jetstream.New(conn)
	bucket, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "creds", History: 5})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _ = bucket.PutString(ctx, "master", "9f2c41d8e07b5a63c1d4")

	cfg := credential.Config{Name: "masterKey"}
	sources := credential.Registry{"nats-kv": natskv.Opener(func(context.Context) (*nats.Conn, error) { return conn, nil })}
	if err := sources.Configure(&cfg, "nats-kv://creds/master?overlap=10m"); err != nil {
		fmt.Println(err)
		return
	}
	master, err := credential.New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := master.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer master.Stop()
	rotation, err := master.Rotate(ctx, false)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("revision", rotation.VersionID, master.Verify(string(rotation.Value.Reveal())).State)
	fmt.Println("revision 1", master.Verify("9f2c41d8e07b5a63c1d4").State)
	// Output:
	// revision 2 current
	// revision 1 previous
}

package broadcast_test

import (
	"context"
	"fmt"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/broadcast"
	"github.com/parley-backend/parley/pubsub"
)

// A node among others: it is the Peers of its credentials, and runs as long as they do.
// On one machine the bus is pubsub.NewLocal, between machines natsbus.New.
func Example() {
	ctx := context.Background()
	bus := pubsub.NewLocal(pubsub.LocalConfig{})
	defer bus.Close()
	installKey := credential.NewSecret("the key that all nodes of this installation share")

	node, err := broadcast.New(broadcast.Config{Bus: bus, InstallKey: installKey, Node: "node1"})
	if err != nil {
		panic(err)
	}
	set := &credential.Set{}
	master, err := credential.New(credential.Config{Name: "masterKey", Source: credential.Literal("a-key-of-more-than-16-bytes"), Set: set, InstallKey: installKey, Peers: node})
	if err != nil {
		panic(err)
	}
	if err := set.Start(ctx); err != nil {
		panic(err)
	}
	defer set.Stop()
	if err := node.Start(ctx, set); err != nil {
		panic(err)
	}
	defer node.Stop()

	stolen := "a-key-of-more-than-16-bytes"
	if err := master.Revoke(ctx, master.Verify(stolen).VersionID); err != nil {
		panic(err)
	}
	confirmed, known := node.Confirmations(ctx, "masterKey")
	fmt.Printf("%v, confirmed by %d of %d other nodes\n", master.Verify(stolen).Reason, confirmed, known)
	// Output: revoked, confirmed by 0 of 0 other nodes
}

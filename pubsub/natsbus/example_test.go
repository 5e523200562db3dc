package natsbus_test

import (
	"context"
	"fmt"

	"github.com/parley-backend/parley/pubsub"
	"github.com/parley-backend/parley/pubsub/natsbus"
)

// A server inside the process, and the bus on it. With a ClusterConfig it is one of several
// servers, and what is published on one node arrives on all.
func Example() {
	ctx := context.Background()
	server, err := natsbus.NewServer(natsbus.ServerConfig{ServerName: "node1"})
	if err != nil {
		panic(err)
	}
	if err := server.Start(ctx); err != nil {
		panic(err)
	}
	defer server.Stop()
	conn, err := server.Connect()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	bus, err := natsbus.New(conn, natsbus.Config{Node: "node1"})
	if err != nil {
		panic(err)
	}
	defer bus.Close()

	arrived := make(chan pubsub.Message)
	if _, err := bus.Subscribe("greetings", func(m pubsub.Message) { arrived <- m }); err != nil {
		panic(err)
	}
	if err := bus.Publish(ctx, "greetings", []byte("hello")); err != nil {
		panic(err)
	}
	m := <-arrived
	fmt.Printf("%s from %s\n", m.Data, m.Node)
	// Output: hello from node1
}

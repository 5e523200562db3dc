package natsconn_test

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/natsconn"
	"github.com/parley-backend/parley/pubsub/natsbus"
)

// A connection that logs in with whatever its source says at the moment: here a function,
// in earnest a reference such as vault://secret/nats?format=json with the fields jwt and
// seed.
func Example() {
	ctx := context.Background()
	server, err := natsbus.NewServer(natsbus.ServerConfig{Listen: "127.0.0.1:0", User: "parley", Password: credential.NewSecret("the password of today")})
	if err != nil {
		panic(err)
	}
	if err := server.Start(ctx); err != nil {
		panic(err)
	}
	defer server.Stop()

	login, err := credential.New(credential.Config{Name: "nats", Source: today{}, Present: true, Check: natsconn.Check})
	if err != nil {
		panic(err)
	}
	if err := login.Start(ctx); err != nil {
		panic(err)
	}
	defer login.Stop()
	presenter, err := credential.NewPresenter(login, natsconn.Decode)
	if err != nil {
		panic(err)
	}
	conn, err := natsconn.Open(ctx, natsconn.Config{Servers: []string{"nats://" + server.Addr()}, Name: "example", Credential: presenter})
	if err != nil {
		panic(err)
	}
	defer conn.Close()

	// Both go on when the login changes.
	_, err = conn.QueueSubscribe("greet", "greeters", func(m *nats.Msg) { _ = conn.Respond(m, []byte("hello, "+string(m.Data))) })
	if err != nil {
		panic(err)
	}
	answer, err := conn.Request(ctx, "greet", []byte("world"))
	if err != nil {
		panic(err)
	}
	fmt.Println(string(answer.Data))
	// Output: hello, world
}

// today is a source of a user and a password that change together.
type today struct{}

func (today) Info() credential.Info { return credential.Info{Scheme: "example"} }

func (today) Fetch(context.Context) (credential.Payload, error) {
	fields := map[string]credential.Secret{"user": credential.NewSecret("parley"), "password": credential.NewSecret("the password of today")}
	return credential.Payload{Versions: []credential.Version{{Fields: fields}}}, nil
}

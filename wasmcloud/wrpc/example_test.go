package wrpc_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

// A component that answers handle-message, and a provider that invokes it.
func Example() {
	s, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	go s.Start()
	defer s.WaitForShutdown()
	defer s.Shutdown()
	s.ReadyForConnections(patience)
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer nc.Close()
	conn, err := wrpc.New(nc, wrpc.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = conn.Drain(context.Background()) }()

	handle := wrpc.Function{Prefix: "default.echo", Instance: wrpc.HandlerInstance, Name: wrpc.HandleMessageFunction}
	_, err = wrpc.Serve(conn, wrpc.Export[wrpc.BrokerMessage]{
		Function: handle,
		Decode:   wrpc.DecodeMessage,
		Handle: func(_ context.Context, header nats.Header, m wrpc.BrokerMessage) ([]byte, error) {
			if string(m.Body) == "bad" {
				return wrpc.AppendDone(nil, wrpc.Err[wrpc.Unit]("bad input")), nil
			}
			fmt.Printf("%s got %q on %s\n", header.Get(wrpc.HeaderTarget), m.Body, m.Subject)
			return wrpc.AppendDone(nil, wrpc.Done{}), nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	header := nats.Header{wrpc.HeaderSource: {"VPROVIDER"}, wrpc.HeaderTarget: {"echo"}}
	for _, body := range []string{"hello", "bad"} {
		m := wrpc.BrokerMessage{Subject: "foo.bar", Body: []byte(body)}
		done, err := wrpc.Invoke(context.Background(), conn, handle, header, wrpc.AppendMessage(nil, m), wrpc.DecodeDone)
		switch {
		case err != nil:
			fmt.Println(err)
		case done.Failed:
			fmt.Println("the component says:", done.Err)
		}
	}
	nobody := wrpc.Function{Prefix: "default.nobody", Instance: wrpc.HandlerInstance, Name: wrpc.HandleMessageFunction}
	_, err = conn.Invoke(context.Background(), nobody, header, nil)
	fmt.Println(err)
	// Output:
	// echo got "hello" on foo.bar
	// the component says: bad input
	// wrpc: nobody serves this function
}

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
)

// verify sends each request once and looks at the answer: a fast error would be a fine number.
func verify(p *peer, works map[string]work, operations []operation) error {
	for _, op := range operations {
		next := works[op.name]
		if next == nil || op.proof == "" {
			continue
		}
		conn, err := net.Dial("tcp", p.address)
		if err != nil {
			return err
		}
		defer conn.Close()
		sent := next(rand.New(rand.NewPCG(1, 2)), nil)
		if _, err := conn.Write(sent); err != nil {
			return err
		}
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			return err
		}
		if got := bytes.Count(body, []byte(op.proof)); answer.StatusCode/100 != 2 || got != op.times {
			return fmt.Errorf("%s: %s: %s with %d times %s, want %d: %.500s", p.name, op.name, answer.Status, got, op.proof, op.times, body)
		}
	}
	return nil
}

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

// proof is a text that an answer to an operation holds so many times, whoever gives it.
var proof = map[string]struct {
	text  string
	times int
}{
	"get":    {`"title":`, 1},
	"find":   {`"title":`, 20},
	"login":  {`oken":"`, 1}, // sessionToken, token
	"update": {`"updated`, 1},
	"create": {`"created`, 1},
}

// verify sends each request once and looks at the answer: a fast error would be a fine number.
func verify(p *peer, works map[string]work) error {
	for name, want := range proof {
		next := works[name]
		if next == nil {
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
		if got := bytes.Count(body, []byte(want.text)); answer.StatusCode/100 != 2 || got != want.times {
			return fmt.Errorf("%s: %s: %s with %d times %s, want %d: %.500s", p.name, name, answer.Status, got, want.text, want.times, body)
		}
	}
	return nil
}

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// wire is one keep-alive connection that says HTTP/1.1 with as little work as possible: the client shares its processors with
// the server that it measures.
type wire struct {
	conn net.Conn
	in   *bufio.Reader
}

func dial(address string) (*wire, error) {
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return &wire{conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}, nil
}

func (w *wire) close() error { return w.conn.Close() }

// do sends a whole request and reads the answer to its end. It returns its status and the size of its body in bytes.
func (w *wire) do(request []byte) (status, size int, err error) {
	if _, err := w.conn.Write(request); err != nil {
		return 0, 0, err
	}
	line, err := w.in.ReadSlice('\n')
	if err != nil {
		return 0, 0, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, 0, fmt.Errorf("an answer that begins with %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, 0, err
	}
	length, chunked := -1, false
	for {
		line, err := w.in.ReadSlice('\n')
		if err != nil {
			return status, 0, err
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return status, 0, err
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = bytes.EqualFold(value, []byte("chunked"))
		}
	}
	switch {
	case chunked:
		size, err = w.chunks()
	case length >= 0:
		size, err = w.in.Discard(length)
	case status != 204 && status != 304:
		err = errors.New("an answer without a length")
	}
	return status, size, err
}

// chunks reads a body in chunks.
func (w *wire) chunks() (size int, err error) {
	for {
		line, err := w.in.ReadSlice('\n')
		if err != nil {
			return size, err
		}
		n, err := strconv.ParseInt(string(bytes.TrimRight(line, "\r\n")), 16, 32)
		if err != nil {
			return size, err
		}
		if got, err := w.in.Discard(int(n) + 2); err != nil {
			return size + got, io.ErrUnexpectedEOF
		}
		if size += int(n); n == 0 {
			return size, nil
		}
	}
}

// request appends a whole request.
func request(b []byte, method, path, headers string, body []byte) []byte {
	b = append(b, method...)
	b = append(b, ' ')
	b = append(b, path...)
	b = append(b, " HTTP/1.1\r\nHost: 127.0.0.1\r\n"...)
	b = append(b, headers...)
	if body != nil {
		b = append(b, "Content-Type: application/json\r\nContent-Length: "...)
		b = strconv.AppendInt(b, int64(len(body)), 10)
		b = append(b, "\r\n"...)
	}
	b = append(b, "\r\n"...)
	return append(b, body...)
}

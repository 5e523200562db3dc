package node

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/parley-backend/parley/parse"
)

// FuzzRead: whatever a worker says, it is a message, a frame that cannot be understood, or the end; and a message is written as it was read.
func FuzzRead(f *testing.F) {
	framed := func(text string) []byte {
		return append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...)
	}
	for _, text := range []string{"", "{}", "null", `{"t":"begun","id":1}`, `{"t":"result","id":2,"result":{"__type":"Date","iso":"2026-01-01T00:00:00.000Z"}}`, "{", "[[[[[["} {
		f.Add(framed(text))
		f.Add(append(framed(text), framed(`{"t":"pong","id":3}`)...))
	}
	f.Add([]byte{255, 255, 255, 255})
	f.Add([]byte{3, 255, 255, 255, '{'})
	f.Add([]byte{0, 0})
	f.Fuzz(func(t *testing.T, said []byte) {
		r := bytes.NewReader(said)
		var buffer []byte
		for {
			before := r.Len()
			message, err := read(r, &buffer)
			var beyond *unreadable
			if errors.As(err, &beyond) {
				if r.Len() >= before || len(beyond.begin) > 64 {
					t.Fatalf("read(%q) goes on at %d of %d bytes", said, r.Len(), before)
				}
				continue
			}
			if err != nil {
				return
			}
			frame, err := encode(message)
			if err != nil {
				t.Fatalf("encode(%s) = %v", parse.Marshal(message), err)
			}
			again, err := read(bytes.NewReader(frame), new([]byte))
			if err != nil || !parse.Equal(message, again) {
				t.Fatalf("%s is read as %s, %v", parse.Marshal(message), parse.Marshal(again), err)
			}
		}
	})
}

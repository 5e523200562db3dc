package node

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/parley-backend/parley/parse"
)

// maxFrame is the largest message, in bytes, in either direction. A worker refuses the one call whose result is larger.
const maxFrame = 64 << 20

// encode returns a message as a frame, an error when it is too large.
func encode(message *parse.Map) ([]byte, error) {
	frame := parse.AppendJSON(make([]byte, 4, 512), message)
	if size := len(frame) - 4; size > maxFrame {
		return nil, fmt.Errorf("%d bytes are more than the %d that fit into one message", size, maxFrame)
	}
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	return frame, nil
}

// maxDepthOfMessage bounds how deep a message may be nested: what a function returns may be deep, the stack is not for nothing.
const maxDepthOfMessage = 512

// unreadable is a whole frame whose text cannot be decoded: what follows it can.
type unreadable struct {
	begin []byte // of the text
	err   error
}

func (u *unreadable) Error() string { return u.err.Error() }

// tooLong is the size of a frame that no worker sends.
type tooLong int

func (size tooLong) Error() string { return fmt.Sprintf("a frame of %d bytes", int(size)) }

// read reads one frame. buffer is used again when it is large enough; the message does not refer to it. An error is final, unless it is *[unreadable].
func read(r io.Reader, buffer *[]byte) (*parse.Map, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint32(head[:]))
	if size > maxFrame {
		return nil, tooLong(size)
	}
	if cap(*buffer) < size {
		// What the head promises need not come: no more is allocated at once than a moderate message needs.
		*buffer = make([]byte, 0, min(size, 1<<20))
	}
	text := (*buffer)[:0]
	for len(text) < size {
		if len(text) == cap(text) {
			text = append(text, 0)[:len(text)]
		}
		n, err := io.ReadFull(r, text[len(text):min(cap(text), size)])
		text = text[:len(text)+n]
		if err != nil {
			return nil, err
		}
	}
	if cap(text) <= 1<<20 {
		*buffer = text
	} else {
		*buffer = nil
	}
	message, err := parse.DecodeMap(text, parse.Limits{Depth: maxDepthOfMessage})
	if err != nil {
		return nil, &unreadable{bytes.Clone(text[:min(len(text), 64)]), err}
	}
	return message, nil
}

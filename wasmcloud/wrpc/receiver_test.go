package wrpc

import (
	"bytes"
	"testing"

	"github.com/nats-io/nats.go"
)

// FuzzFrames feeds arbitrary messages to the inbox of a call that is invoked and of one that is served.
// The bytes are commands: an upper half says what arrives, a lower half how many bytes of payload.
// What has been put together is the payloads in order up to the first end, and everything is given back.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0x00, 0x15, 0x13, 0x10})
	f.Add([]byte{0x11, 0x2f, 0x00, 0x3a, 0x12, 0x40, 0x10, 0x15})
	f.Add([]byte{0x50, 0x60, 0x70, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x10})
	f.Add(bytes.Repeat([]byte{0x1f}, 40))
	f.Fuzz(func(t *testing.T, commands []byte) {
		for _, path := range []string{"results", "params"} {
			c := &Conn{o: Options{MaxBody: 100, MaxHeld: callCost + 150}, inbox: &inbox{prefix: "_INBOX.x.", receivers: map[string]*receiver{}}}
			r, err := c.receive("results")
			if path == "params" {
				r.close()
				r, err = c.serve(0, false)
			}
			if err != nil {
				t.Fatal(err)
			}
			var want []byte
			open := true
			for i, command := range commands {
				m := &nats.Msg{Subject: c.inbox.subject(r.token), Data: bytes.Repeat([]byte{byte(i)}, int(command&0x0f))}
				switch command >> 4 {
				case 0:
					m.Reply = "_INBOX.y"
				case 1, 2:
					m.Subject += "." + path
					open = open && len(m.Data) > 0
					if open {
						want = append(want, m.Data...)
					}
				case 3:
					m.Subject += "." + path + ".0"
				case 4:
					m.Subject += ".other"
				case 5:
					m.Subject = "_INBOX.x."
				case 6:
					m.Subject += "."
					m.Reply = "_INBOX.z"
				case 7:
					m.Subject += ".."
				default:
					m.Header = nats.Header{"Status": {string(rune('0'+command>>4-8)) + "03"}}
				}
				c.inbox.message(m)
			}
			data, err := r.result()
			if len(want) > 100 && err == nil {
				t.Errorf("%d bytes are no error, want %v", len(want), ErrTooLarge)
			}
			if !bytes.HasPrefix(want, data) || err == nil && path == "params" && len(data) != len(want) {
				t.Errorf("the messages put together are %x, error %v, want %x", data, err, want)
			}
			if cap(data) > 100 || c.held > c.o.MaxHeld {
				t.Errorf("%d bytes of capacity and %d held, want at most %d and %d", cap(data), c.held, 100, c.o.MaxHeld)
			}
			r.close()
			if bytes, calls, receivers := c.Held(); bytes != 0 || calls != 0 || receivers != 0 {
				t.Errorf("%d bytes, %d calls and %d receivers are left", bytes, calls, receivers)
			}
		}
	})
}

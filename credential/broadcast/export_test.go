package broadcast

import "github.com/parley-backend/parley/pubsub"

// Seal makes a message of any body.
func Seal(n *Node, body []byte) []byte {
	data := append(make([]byte, headSize), body...)
	data[0] = version
	copy(data[1:], n.mac(data))
	return data
}

// Receive is what the bus calls.
func Receive(n *Node, m pubsub.Message) { n.receive(m) }

package wrpc

// The functions of wasmcloud:messaging@0.2.0. A provider serves the consumer and invokes the handler.
const (
	ConsumerInstance = "wasmcloud:messaging/consumer@0.2.0"
	HandlerInstance  = "wasmcloud:messaging/handler@0.2.0"

	PublishFunction       = "publish"        // func(msg: broker-message) -> result<_, string>
	RequestFunction       = "request"        // func(subject: string, body: list<u8>, timeout-ms: u32) -> result<broker-message, string>
	HandleMessageFunction = "handle-message" // func(msg: broker-message) -> result<_, string>
)

// BrokerMessage is record broker-message: the parameter of publish and handle-message, and what request returns.
type BrokerMessage struct {
	Subject string
	Body    []byte
	ReplyTo Option[string]
}

// Size is at least what AppendMessage appends, for a slice of the right capacity.
func (m BrokerMessage) Size() int {
	return len(m.Subject) + len(m.Body) + len(m.ReplyTo.Value) + 3*5 + 1
}

// AppendMessage appends m.
func AppendMessage(b []byte, m BrokerMessage) []byte {
	b = AppendString(b, m.Subject)
	b = AppendBytes(b, m.Body)
	return AppendOption(b, m.ReplyTo, AppendString)
}

// DecodeMessage reads a BrokerMessage, whose Body is a part of the slice that is decoded.
func DecodeMessage(d *Decoder) BrokerMessage {
	return BrokerMessage{Subject: d.Text(), Body: d.Bytes(), ReplyTo: DecodeOption(d, (*Decoder).Text)}
}

// RequestParams are the parameters of request.
type RequestParams struct {
	Subject       string
	Body          []byte
	TimeoutMillis uint32
}

// AppendRequest appends p.
func AppendRequest(b []byte, p RequestParams) []byte {
	b = AppendString(b, p.Subject)
	b = AppendBytes(b, p.Body)
	return AppendU32(b, p.TimeoutMillis)
}

// DecodeRequest reads RequestParams, whose Body is a part of the slice that is decoded.
func DecodeRequest(d *Decoder) RequestParams {
	return RequestParams{Subject: d.Text(), Body: d.Bytes(), TimeoutMillis: d.U32()}
}

// Done is what publish and handle-message return.
type Done = Result[Unit, string]

// AppendDone appends r.
func AppendDone(b []byte, r Done) []byte { return AppendResult(b, r, AppendUnit, AppendString) }

// DecodeDone reads a Done.
func DecodeDone(d *Decoder) Done { return DecodeResult(d, DecodeUnit, (*Decoder).Text) }

// Reply is what request returns.
type Reply = Result[BrokerMessage, string]

// AppendReply appends r.
func AppendReply(b []byte, r Reply) []byte { return AppendResult(b, r, AppendMessage, AppendString) }

// DecodeReply reads a Reply.
func DecodeReply(d *Decoder) Reply { return DecodeResult(d, DecodeMessage, (*Decoder).Text) }

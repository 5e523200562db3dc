package natskv

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-backend/parley/credential"
)

// connected returns the connection, if it is one.
func (s *source) connected(ctx context.Context) (*nats.Conn, error) {
	conn, err := s.connect(ctx)
	var own *credential.Error
	switch {
	case errors.As(err, &own):
		return nil, own
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked), errors.Is(err, nats.ErrAccountAuthExpired):
		return nil, credential.Errorf(credential.Denied, "NATS refuses our login")
	case err != nil, conn == nil:
		return nil, credential.Errorf(credential.Unavailable, "there is no connection to NATS") // the text of err may have the URL, and a password in it
	case !conn.IsConnected():
		return nil, credential.Errorf(credential.Unavailable, "the connection to NATS is down") // a request would wait for it
	}
	return conn, nil
}

// glance is how often it is looked whether NATS has refused what we asked.
const glance = 20 * time.Millisecond

var errDenied = errors.New("denied")

// ask makes one exchange with JetStream. A request for which we have no permission gets no answer: NATS tells of it beside the
// exchange, as an error of the connection that names the subject.
func (b *bucket) ask(ctx context.Context, exchange func(context.Context) error) error {
	before := violation(b.conn)
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan error, 1)
	go func() { ended <- exchange(inner) }()
	ticker := time.NewTicker(glance)
	defer ticker.Stop()
	for {
		select {
		case err := <-ended:
			if err == nil {
				return nil
			}
			if context.Cause(inner) == errDenied {
				err = errDenied
			}
			return b.source.failed(ctx, err)
		case <-ticker.C:
			if now := violation(b.conn); now != nil && now != before && b.source.concerns(now) {
				cancel(errDenied)
			}
		}
	}
}

// violation returns the latest error of the connection if it is a refused permission. Each has an address of its own.
func violation(conn *nats.Conn) error {
	if err := conn.LastError(); errors.Is(err, nats.ErrPermissionViolation) {
		return err
	}
	return nil
}

// concerns reports whether a refused permission is one for our bucket.
func (s *source) concerns(violation error) bool {
	text := violation.Error()
	for _, subject := range []string{".KV_" + s.bucket, "$KV." + s.bucket + "."} {
		_, rest, found := strings.Cut(text, subject)
		if found && (strings.HasSuffix(subject, ".") || rest == "" || strings.ContainsRune(`."' `, rune(rest[0]))) {
			return true
		}
	}
	return false
}

// failed describes an error of JetStream in words of this package.
func (s *source) failed(ctx context.Context, err error) error {
	var answer jetstream.JetStreamError
	var code int
	if errors.As(err, &answer) && answer.APIError() != nil {
		code = int(answer.APIError().ErrorCode)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errDenied):
		return credential.Errorf(credential.Denied, "NATS does not permit us to use the bucket %s", s.bucket)
	case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrBucketNotFound):
		return credential.Errorf(credential.Missing, "JetStream has no bucket %s", s.bucket)
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return credential.Errorf(credential.Missing, "the bucket %s has no key %s", s.bucket, s.key)
	case code == int(jetstream.JSErrCodeStreamWrongLastSequence):
		return credential.Errorf(credential.Unavailable, "%s/%s was changed by somebody else at the same time", s.bucket, s.key)
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return credential.Errorf(credential.Unavailable, "JetStream is not enabled for us")
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return credential.Errorf(credential.Unavailable, "JetStream does not answer")
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrDisconnected), errors.Is(err, nats.ErrConnectionReconnecting):
		return credential.Errorf(credential.Unavailable, "the connection to NATS is down")
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return credential.Errorf(credential.Unavailable, "JetStream did not answer in time")
	case code != 0:
		return credential.Errorf(credential.Unavailable, "JetStream answers with error %d", code)
	}
	return credential.Errorf(credential.Unavailable, "JetStream could not be asked")
}

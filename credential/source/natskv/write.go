package natskv

import (
	"context"
	"errors"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-backend/parley/credential"
)

// Write implements credential.Writer: it puts value in the place of the revision that it read. In a document the field changes
// and nothing else; when somebody else was faster, nothing is written and the error is Unavailable. A key that is not there
// or was deleted is made, unless the value is a field of it.
func (s *source) Write(ctx context.Context, value credential.Secret) (string, error) {
	b, err := s.reach(ctx)
	if err != nil {
		return "", err
	}
	last, err := b.last(ctx)
	switch {
	case errors.Is(err, credential.Missing):
		last = entry{deleted: true}
	case err != nil:
		return "", err
	}
	defer clear(last.value)
	if last.deleted && !s.decoder.Whole() {
		return "", credential.Errorf(credential.Missing, "%s/%s has no document to write the field in", s.bucket, s.key)
	}
	content, err := s.decoder.Replace(last.value, value)
	if err != nil {
		return "", err
	}
	defer clear(content)
	var revision uint64
	err = b.ask(ctx, func(ctx context.Context) error {
		var kv jetstream.KeyValue
		if kv, err = b.js.KeyValue(ctx, s.bucket); err != nil {
			return err
		}
		revision, err = kv.Update(ctx, s.key, content, last.revision)
		return err
	})
	if err != nil {
		return "", err
	}
	return strconv.FormatUint(revision, 10), nil
}

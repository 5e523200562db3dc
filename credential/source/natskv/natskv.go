// Package natskv is the source of the reference nats-kv://bucket/key#field: a value in a key/value bucket of NATS JetStream.
// It reads the latest revision and the value before it, tells of changes as they happen, and writes new values.
//
//	natskv.go   the reference; one reading
//	history.go  the value before, where the bucket keeps a history
//	watch.go    changes, as the bucket tells them
//	write.go    a new value in the place of the one that was read
//	ask.go      one exchange with JetStream, and what its failures mean
package natskv

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-backend/parley/credential"
)

// What may be the name of a bucket and of a key:
// https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-8.md
var (
	bucketPattern = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)
	keyPattern    = regexp.MustCompile(`^[-/_=a-zA-Z0-9]+(\.[-/_=a-zA-Z0-9]+)*$`)
	domainPattern = regexp.MustCompile(`^[^\s.*>]+$`)
)

// Opener returns the opener of nats-kv://bucket/key. The sources that it opens share a connection: connect is called for each
// reading and returns the connection that there is, or makes it; it stays the caller's. An error of connect that is a
// *credential.Error is passed on. If connect is nil, opening fails and says what is missing.
//
// The one option of the source is domain, the JetStream domain of the bucket.
func Opener(connect func(ctx context.Context) (*nats.Conn, error)) credential.Opener {
	return func(ref credential.Reference) (credential.Source, error) { return open(ref, connect) }
}

func open(ref credential.Reference, connect func(context.Context) (*nats.Conn, error)) (credential.Source, error) {
	if err := ref.Only("domain"); err != nil {
		return nil, err
	}
	s := &source{bucket: ref.Authority, key: strings.TrimPrefix(ref.Path, "/"), domain: ref.Options["domain"], connect: connect}
	_, hasDomain := ref.Options["domain"]
	switch {
	case ref.Opaque != "" || !bucketPattern.MatchString(s.bucket) || !keyPattern.MatchString(s.key):
		return nil, wrong("write nats-kv://bucket/key")
	case hasDomain && !domainPattern.MatchString(s.domain):
		return nil, wrong("option domain is not the name of a domain")
	case connect == nil:
		return nil, wrong("there is no NATS to read it from: set nats.servers")
	}
	var err error
	if s.decoder, err = ref.Decoder(); err != nil {
		return nil, err
	}
	return s, nil
}

func wrong(format string, args ...any) error {
	return credential.Errorf(credential.Misconfigured, "reference nats-kv: "+format, args...)
}

type source struct {
	bucket, key, domain string
	decoder             credential.Decoder
	connect             func(context.Context) (*nats.Conn, error)
	digester            credential.Digester

	mu   sync.Mutex
	seen position
	walk walk // of the revision that was seen
}

// position is the latest revision that was read.
type position struct {
	made     time.Time // when the bucket was made; zero if nothing was read yet
	revision uint64
	created  time.Time
	deleted  bool
	// base is what is added to revisions to make numbers that only grow: a bucket that was removed and made again, or
	// brought back from a backup, begins anew.
	base uint64
}

// entry is one revision of the key.
type entry struct {
	revision uint64
	created  time.Time
	deleted  bool // it is a marker: the key was deleted or purged, or its time was over
	value    []byte
}

// Info: numbers only grow.
func (s *source) Info() credential.Info {
	return credential.Info{Scheme: "nats-kv", Location: s.bucket + "/" + s.key, Instance: "nats-kv://" + s.bucket, Monotonic: true}
}

// Fetch reads the latest revision and the value before it. A key that was deleted or purged is Gone. A key or a bucket that
// is not there is Missing: an empty bucket says nothing about what was in it.
func (s *source) Fetch(ctx context.Context) (credential.Payload, error) {
	b, err := s.reach(ctx)
	if err != nil {
		return credential.Payload{}, err
	}
	last, err := b.last(ctx)
	if err != nil {
		return credential.Payload{}, err
	}
	defer clear(last.value)
	base, err := s.advance(b.made, last)
	if err != nil {
		return credential.Payload{}, err
	}
	if last.deleted {
		return credential.Payload{}, credential.Errorf(credential.Gone, "%s/%s was deleted with revision %d", s.bucket, s.key, last.revision)
	}
	payload, err := s.decoder.Payload(last.value, version(last, base))
	if err != nil || s.decoder.Several() { // several keys say themselves what they are
		return payload, err
	}
	before, err := s.before(ctx, b, &payload.Versions[0], last, base)
	if err != nil {
		return credential.Payload{}, err
	}
	payload.Versions = append(payload.Versions, before...)
	return payload, nil
}

// version is what the bucket says of an entry.
func version(e entry, base uint64) credential.Version {
	return credential.Version{ID: strconv.FormatUint(e.revision, 10), Number: base + e.revision, Created: e.created}
}

// advance notes the latest revision, and returns what to add to revisions. A lower one that was created later, or that is in
// another bucket of the same name, is a new beginning. Any other lower one comes from a replica that lags: the engine ignores
// it, but it would not know that the key was deleted since.
func (s *source) advance(made time.Time, e entry) (base uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.seen
	anew := !last.made.IsZero() && (!made.Equal(last.made) || e.revision < last.revision && e.created.After(last.created))
	switch {
	case anew:
		last.base += last.revision
		s.walk = walk{}
	case e.revision < last.revision && last.deleted:
		return 0, credential.Errorf(credential.Unavailable, "%s/%s: a replica lags behind revision %d", s.bucket, s.key, last.revision)
	case e.revision < last.revision:
		return last.base, nil
	}
	s.seen = position{made: made, revision: e.revision, created: e.created, deleted: e.deleted, base: last.base}
	return last.base, nil
}

// bucket is a bucket that answered.
type bucket struct {
	source  *source
	conn    *nats.Conn
	js      jetstream.JetStream
	stream  jetstream.Stream
	subject string    // of the key
	made    time.Time // the bucket
	history int64     // revisions that are kept of a key
}

// reach finds the bucket.
func (s *source) reach(ctx context.Context) (*bucket, error) {
	conn, err := s.connected(ctx)
	if err != nil {
		return nil, err
	}
	b := &bucket{source: s, conn: conn}
	if s.domain != "" {
		b.js, err = jetstream.NewWithDomain(conn, s.domain)
	} else {
		b.js, err = jetstream.New(conn)
	}
	if err != nil {
		return nil, wrong("JetStream cannot be asked with these options")
	}
	err = b.ask(ctx, func(ctx context.Context) (err error) {
		b.stream, err = b.js.Stream(ctx, "KV_"+s.bucket)
		return err
	})
	if err != nil {
		return nil, err
	}
	info := b.stream.CachedInfo()
	b.made, b.history = info.Created, info.Config.MaxMsgsPerSubject
	b.subject = "$KV." + s.bucket + "." + s.key
	if m := info.Config.Mirror; m != nil { // its messages have the subjects of the bucket that it copies
		b.subject = "$KV." + strings.TrimPrefix(m.Name, "KV_") + "." + s.key
	}
	if b.history < 1 {
		return nil, credential.Errorf(credential.Misconfigured, "%s is a stream, but no bucket", s.bucket)
	}
	return b, nil
}

// last reads the latest revision, which may be a marker.
func (b *bucket) last(ctx context.Context) (entry, error) {
	return b.read(ctx, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		return b.stream.GetLastMsgForSubject(ctx, b.subject)
	})
}

// from reads the first revision from a number on.
func (b *bucket) from(ctx context.Context, revision uint64) (entry, error) {
	return b.read(ctx, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		return b.stream.GetMsg(ctx, revision, jetstream.WithGetMsgSubject(b.subject))
	})
}

func (b *bucket) read(ctx context.Context, get func(context.Context) (*jetstream.RawStreamMsg, error)) (entry, error) {
	var m *jetstream.RawStreamMsg
	err := b.ask(ctx, func(ctx context.Context) (err error) {
		m, err = get(ctx)
		return err
	})
	if err != nil {
		return entry{}, err
	}
	if limit := b.source.decoder.Limit(); len(m.Data) > limit {
		clear(m.Data)
		return entry{}, credential.Errorf(credential.Invalid, "%s/%s has more than %d bytes", b.source.bucket, b.source.key, limit)
	}
	// KV-Operation is DEL or PURGE; the server marks what it removed by itself with a reason.
	deleted := m.Header.Get("KV-Operation") != "" || m.Header.Get(jetstream.MarkerReasonHeader) != ""
	return entry{revision: m.Sequence, created: m.Time, deleted: deleted, value: m.Data}, nil
}

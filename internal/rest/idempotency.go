package rest

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/parley-backend/parley/internal/schemas"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/storage"
)

// Idempotency refuses a request whose id was seen before (contract parse-api.md, 5.12).
type Idempotency struct {
	// Paths below the mount path, without the leading slash, to which it applies; none switches it off.
	Paths []*regexp.Regexp
	// TTL is how long an id is remembered; 0 means 300 s.
	TTL time.Duration
}

type idempotency struct {
	cfg     Idempotency
	schemas *schemas.Schemas
	store   storage.Adapter
	now     func() time.Time
	sweptAt atomic.Int64 // milliseconds
}

// sweepEvery is how often forgotten ids are removed from the database.
const sweepEvery = time.Minute

// admit remembers the id of a request, and refuses it when it is remembered already. The unique index on the id decides
// between two at once, on whichever nodes they arrive.
func (i *idempotency) admit(ctx context.Context, r *request) error {
	if r.id == "" || !i.applies(r.path) {
		return nil
	}
	ttl := i.cfg.TTL
	if ttl == 0 {
		ttl = 300 * time.Second
	}
	class, err := i.schemas.Evolve(ctx, "_Idempotency", &parse.Map{}, nil)
	if err != nil {
		return err
	}
	now := i.now()
	expired := &query.Constraint{Key: "expire", Op: query.Lte, Arg: parse.DateOf(now)}
	if swept := i.sweptAt.Load(); now.UnixMilli()-swept > sweepEvery.Milliseconds() && i.sweptAt.CompareAndSwap(swept, now.UnixMilli()) {
		if _, err := i.store.Delete(ctx, class, expired, -1); err != nil {
			return err
		}
	} else if _, err := i.store.Delete(ctx, class, query.And{&query.Constraint{Key: "reqId", Op: query.Eq, Arg: r.id}, expired}, -1); err != nil {
		return err
	}
	err = i.store.Create(ctx, class, parse.NewObject(class.Name,
		"objectId", parse.NewID(10), "createdAt", parse.DateOf(now), "updatedAt", parse.DateOf(now),
		"reqId", r.id, "expire", parse.DateOf(now.Add(ttl))))
	if errors.Is(err, storage.Duplicate) {
		return parse.Errorf(parse.DuplicateRequest, "Duplicate request")
	}
	return err
}

func (i *idempotency) applies(path string) bool {
	path = strings.TrimPrefix(path, "/")
	for _, re := range i.cfg.Paths {
		if re.MatchString(path) {
			return true
		}
	}
	return false
}

package config

import (
	"context"
	"log/slog"
	"time"

	"github.com/parley-backend/parley/credential"
)

// followEvery is how soon a revocation by another process on the same data folder is noticed.
const followEvery = time.Second

// Follow puts into effect what other processes on the same data folder revoke, until ctx ends. It returns at once when OpenKeys was not
// called.
func (b *Built) Follow(ctx context.Context, set *credential.Set, log *slog.Logger) {
	if b.folder == nil {
		return
	}
	b.folder.Revocations.Follow(ctx, followEvery, func(ctx context.Context, name string, t credential.Tombstone) {
		if c := set.Get(name); c != nil {
			if err := c.Revoked(ctx, t); err != nil {
				log.Error("a revocation by another process holds here, but is not durable", "error", err.Error())
			}
		}
	}, func(err error) {
		log.Error("the list of revoked keys cannot be read: revocations by other processes are not noticed", "error", err.Error())
	})
}

package sqlite

import "context"

func (db *DB) Backup(ctx context.Context, file string) error { return nil }

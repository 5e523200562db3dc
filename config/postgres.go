package config

import "github.com/parley-backend/parley/storage/postgres"

// postgres reads what databaseOptions say of PostgreSQL.
func (b *builder) postgres() postgres.Config {
	v := b.v
	return postgres.Config{NoListen: !v.Bool("databaseOptions.enableSchemaHooks")}
}

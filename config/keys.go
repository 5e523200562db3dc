package config

import (
	"context"
	"path/filepath"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/disk"
)

// keysDir is the folder of the install key, the revocations and the generated keys.
func keysDir(dataDir string) string { return filepath.Join(dataDir, "keys") }

// OpenKeys opens the folder keys in the data folder, makes it at the first start, and has all credentials remember their
// revocations and, unless lastKnownGood is off, their last good readings there. Without it a revocation ends with the process. A file in it that is missing or damaged is an error: nobody
// can tell then which keys were revoked.
func (b *Built) OpenKeys(ctx context.Context) error {
	installKey, err := b.readInstallKey(ctx)
	if err != nil {
		return Problem{"installKey", err.Error()}
	}
	folder, err := disk.OpenWith(ctx, keysDir(b.dataDir), installKey)
	if err != nil {
		return Problem{"dataDir", err.Error()}
	}
	b.remember(folder)
	return nil
}

// lookAtKeys is OpenKeys without a trace.
func (b *Built) lookAtKeys(ctx context.Context) error {
	installKey, err := b.readInstallKey(ctx)
	if err != nil {
		return Problem{"installKey", err.Error()}
	}
	folder, err := disk.LookWith(keysDir(b.dataDir), installKey)
	if err != nil {
		return Problem{"dataDir", err.Error()}
	}
	if folder != nil {
		b.lastKnownGood = false // a check wants to know whether the sources answer, and leaves no trace
		b.remember(folder)
	}
	return nil
}

func (b *Built) remember(folder *disk.Folder) {
	b.folder = folder
	b.Config.InstallKey = folder.InstallKey
	all := make(map[string]credential.Config, len(b.Config.Credentials))
	for name, cfg := range b.Config.Credentials {
		b.rememberOne(&cfg)
		all[name] = cfg
	}
	b.Config.Credentials = all
}

// rememberOne has one credential remember what it must in the folder that is open.
func (b *Built) rememberOne(cfg *credential.Config) {
	cfg.InstallKey, cfg.Store = b.folder.InstallKey, b.folder.Revocations
	if b.lastKnownGood && (!cfg.Present || b.wrapKey != nil) { // what is presented is kept encrypted or not at all
		cfg.LastGood, cfg.WrapKey = b.folder.LastGood, b.wrapKey
	}
}

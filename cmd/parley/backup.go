package main

import (
	"fmt"
	"os"

	"github.com/parley-backend/parley/config"
	"github.com/parley-backend/parley/storage/sqlite"
)

// where is how backup and restore learn which database is meant: as serve does.
type where struct {
	Config      string `help:"Configuration file of the server." placeholder:"FILE"`
	DatabaseURI string `name:"databaseURI" help:"The database, as sqlite://PATH." placeholder:"URI"`
	DataDir     string `name:"dataDir" help:"The data folder of the server." placeholder:"DIR"`
}

func (w where) path(env environment) (string, error) {
	flags := map[string]string{}
	if w.DatabaseURI != "" {
		flags["databaseURI"] = w.DatabaseURI
	}
	if w.DataDir != "" {
		flags["dataDir"] = w.DataDir
	}
	values, err := config.Read(config.Input{File: w.Config, Environ: env.environ, Flags: flags})
	if err != nil {
		return "", problems(env.errs, err)
	}
	return values.StorePath()
}

type backupCommand struct {
	where
	File string `arg:"" help:"The copy to make; it must not exist."`
}

func (c *backupCommand) run(env environment) error {
	path, err := c.path(env)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil { // opening would make an empty one
		return fmt.Errorf("there is no database at %s", path)
	}
	db, err := sqlite.Open(env.ctx, sqlite.Config{Path: path})
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Backup(env.ctx, c.File); err != nil {
		return err
	}
	fmt.Fprintf(env.out, "%s holds a copy of %s\n", c.File, path)
	return nil
}

type restoreCommand struct {
	where
	File string `arg:"" help:"The copy to put in place." type:"existingfile"`
}

func (c *restoreCommand) run(env environment) error {
	path, err := c.path(env)
	if err != nil {
		return err
	}
	if err := sqlite.Restore(env.ctx, c.File, path); err != nil {
		return err
	}
	fmt.Fprintf(env.out, "%s is now what %s holds\n", path, c.File)
	return nil
}

package config

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/parley-backend/parley/parse"
)

// Generated is what a first start makes for whoever has configured nothing.
type Generated struct {
	// Fresh is true when the files were made just now, and their content should be shown once.
	Fresh bool
	// Dir is where the files are: appId and one file for each key, readable by their owner only.
	Dir string
	// Values by option name, for showing them; empty when Fresh is false.
	Values map[string]string
}

// generatedKeys are the options that get a value of their own.
var generatedKeys = []string{"masterKey", "maintenanceKey", "readOnlyMasterKey"}

// Generate fills in an application id and keys when neither an id nor a master key was configured. They are kept in the
// data folder, and the keys are read from there as from any file: who rewrites one rotates that key.
func (v *Values) Generate() (Generated, error) {
	if v.Has("appId") || v.Has("masterKey") {
		return Generated{}, nil
	}
	dir := keysDir(v.String("dataDir"))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Generated{}, fmt.Errorf("the folder for generated keys cannot be made: %w", err)
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return Generated{}, err
	}
	g := Generated{Dir: dir, Values: map[string]string{}}
	id, fresh, err := keep(filepath.Join(dir, "appId"), 20)
	if err != nil {
		return Generated{}, err
	}
	g.Fresh = fresh
	g.Values["appId"] = id
	v.set["appId"] = id
	for _, name := range generatedKeys {
		if v.Has(name) {
			continue
		}
		path := filepath.Join(absolute, name)
		value, fresh, err := keep(path, 40)
		if err != nil {
			return Generated{}, err
		}
		g.Fresh = g.Fresh || fresh
		g.Values[name] = value
		v.set[name] = "file://" + escapePath(path)
	}
	if !g.Fresh {
		g.Values = nil
	}
	return g, nil
}

// keep returns what a file holds; when it does not exist, it is made, with n random letters and digits and mode 0600.
func keep(path string, n int) (value string, fresh bool, err error) {
	data, err := os.ReadFile(path)
	if err == nil {
		value = strings.TrimSpace(string(data))
		if value == "" {
			return "", false, fmt.Errorf("%s is empty: delete it to have a new one made", path)
		}
		return value, false, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", false, err
	}
	value = parse.NewID(n)
	temporary := path + ".new"
	if err := writeSynced(temporary, value+"\n"); err != nil {
		return "", false, err
	}
	return value, true, os.Rename(temporary, path)
}

// writeSynced writes a file that is on the disk when it returns, so that a crash leaves no empty key behind.
func writeSynced(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// escapePath writes a path so that it survives in a URL.
func escapePath(path string) string {
	return strings.NewReplacer("%", "%25", "#", "%23", "?", "%3F", " ", "%20").Replace(filepath.ToSlash(path))
}

// Pretend fills in what Generate would generate, for a check that leaves no trace.
func (v *Values) Pretend() {
	v.set["appId"] = "generated"
	v.set["masterKey"] = rand.Text()
}

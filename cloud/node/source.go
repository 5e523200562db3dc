package node

import (
	"embed"
	"encoding/json"
	"io/fs"
	"strings"
)

//go:embed js/*.js
var files embed.FS

// source is the program of a worker, in one text that Node reads from its standard input: nothing is written to a disk for it.
func source() string {
	var b strings.Builder
	b.WriteString("'use strict';\nconst parts = {}, made = {}, outside = require;\n" +
		"const inside = name => {\n  if (!name.startsWith('./')) return outside(name);\n  if (!made[name]) { made[name] = {}; parts[name](made[name], inside); }\n  return made[name];\n};\n")
	names, err := fs.Glob(files, "js/*.js")
	if err != nil {
		panic(err) // the pattern is ours
	}
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			panic(err) // it is in the binary
		}
		key, _ := json.Marshal("./" + strings.TrimSuffix(strings.TrimPrefix(name, "js/"), ".js"))
		b.WriteString("parts[" + string(key) + "] = function (exports, require) {\n" + string(text) + "};\n")
	}
	b.WriteString("inside('./main');\n")
	return b.String()
}

package par

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"strings"
)

// World is the Target.Name of the interfaces in WIT, in the binary form of WebAssembly.
const World = "world.wasm"

// Target is one file of an archive.
type Target struct {
	Name string // {architecture}-{system} in the words of Rust, as "x86_64-linux", or World
	// Open opens the contents. Write calls it twice.
	Open func() (io.ReadCloser, error)

	Size int64  // of the contents; set by Read
	Hash string // of the contents: SHA-256 in upper-case hexadecimal; set by Read
}

// File is a target whose contents are in a file.
func File(name, path string) Target {
	return Target{Name: name, Open: func() (io.ReadCloser, error) { return os.Open(path) }}
}

// targets is the table of those that wasmCloud has hosts for.
var targets = []struct {
	name, goos, goarch string
	format             string
	machine            uint32 // in the format's own number
}{
	{"x86_64-linux", "linux", "amd64", "ELF", 62},
	{"aarch64-linux", "linux", "arm64", "ELF", 183},
	{"x86_64-macos", "darwin", "amd64", "Mach-O", 0x01000007},
	{"aarch64-macos", "darwin", "arm64", "Mach-O", 0x0100000c},
	{"x86_64-windows", "windows", "amd64", "PE", 0x8664},
}

// Targets are the names of the targets that wasmCloud has hosts for.
func Targets() []string {
	names := make([]string, len(targets))
	for i, t := range targets {
		names[i] = t.name
	}
	return names
}

// ThisTarget is the target of this machine, "" if wasmCloud has no hosts for it.
func ThisTarget() string {
	for _, t := range targets {
		if t.goos == runtime.GOOS && t.goarch == runtime.GOARCH {
			return t.name
		}
	}
	return ""
}

var targetName = regexp.MustCompile(`^[a-z0-9_]{1,32}-[a-z0-9_]{1,32}$`)

// entry is the name of the target's file in the archive.
func entry(target string) (string, error) {
	if target == World {
		return World, nil
	}
	if !targetName.MatchString(target) {
		return "", fmt.Errorf("par: %q is no target: those of wasmCloud are %s", target, strings.Join(Targets(), ", "))
	}
	return target + ".bin", nil
}

// headBytes are enough of an executable to tell what it is for.
const headBytes = 4096

// suits says whether an executable could run on a target. What it does not recognise may: a script is an executable, too.
func suits(target string, head []byte) error {
	format, machine := recognise(head)
	if format == "" {
		return nil
	}
	for _, t := range targets {
		if t.name == target && (t.format != format || t.machine != machine) {
			return fmt.Errorf("par: the executable for %s is for %s", target, describe(format, machine))
		}
	}
	return nil
}

func describe(format string, machine uint32) string {
	for _, t := range targets {
		if t.format == format && t.machine == machine {
			return t.name
		}
	}
	return fmt.Sprintf("another machine (%s, number %d)", format, machine)
}

// recognise reads the beginning of an executable; the format is "" for something else.
func recognise(head []byte) (format string, machine uint32) {
	little := binary.LittleEndian
	switch {
	case len(head) >= 20 && string(head[:4]) == "\x7fELF":
		order := binary.ByteOrder(little)
		if head[5] == 2 {
			order = binary.BigEndian
		}
		return "ELF", uint32(order.Uint16(head[18:]))
	case len(head) >= 8 && little.Uint32(head) == 0xfeedfacf:
		return "Mach-O", little.Uint32(head[4:])
	case len(head) >= 64 && string(head[:2]) == "MZ":
		at := int64(little.Uint32(head[60:]))
		if at+6 <= int64(len(head)) && string(head[at:at+4]) == "PE\x00\x00" {
			return "PE", uint32(little.Uint16(head[at+4:]))
		}
	}
	return "", 0
}

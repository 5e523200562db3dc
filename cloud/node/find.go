package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// oldestNode is the oldest version of Node that cloud code runs on.
const oldestNode = 20

// Hint is an error that knows what mends it.
type Hint struct {
	Problem string
	// Command to run, or what else to do.
	Mend string
}

func (h *Hint) Error() string { return h.Problem + ": " + h.Mend }

// findNode returns the path of Node.
func findNode(ctx context.Context, named string) (string, error) {
	name := named
	if name == "" {
		name = "node"
	}
	path, err := exec.LookPath(name)
	if errors.Is(err, exec.ErrDot) {
		path, err = filepath.Abs(name)
	}
	if err != nil {
		if named != "" {
			return "", &Hint{fmt.Sprintf("cloud code needs Node.js, and there is no program %s", named), "correct the option cloudNode"}
		}
		return "", &Hint{"cloud code in JavaScript needs Node.js, which is not installed", fmt.Sprintf("install version %d or newer (Debian: apt-get install nodejs; macOS: brew install node), or name it in the option cloudNode", oldestNode)}
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", path, err)
	}
	version := string(bytes.TrimSpace(out))
	major, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	if n, err := strconv.Atoi(major); err != nil || n < oldestNode {
		return "", tooOld(path, version)
	}
	return path, nil
}

func tooOld(path, version string) error {
	return &Hint{fmt.Sprintf("cloud code needs Node.js %d or newer, and %s is %s", oldestNode, path, version), "install a newer one, or name it in the option cloudNode"}
}

// mainFile returns the absolute path of the file, which may be named like a module: without its extension, or as a folder with an index.js.
func mainFile(name string) (string, error) {
	path, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	for _, suffix := range []string{"", ".js", ".mjs", ".cjs", "/index.js"} {
		if info, err := os.Stat(path + suffix); err == nil && info.Mode().IsRegular() {
			return path + suffix, nil
		}
	}
	return "", &Hint{"there is no cloud code in " + path, "correct the option cloud, which names the main file"}
}

// loadFailure is the message failed of a worker as an error.
func loadFailure(stage, message, stack, node string) error {
	switch stage {
	case "sdk":
		return &Hint{"the Parse SDK is not installed beside the cloud code", "run: cd " + message + " && npm install parse"}
	case "node":
		return tooOld(node, message)
	case "main":
		return &Hint{"there is no cloud code in " + message, "correct the option cloud, which names the main file"}
	}
	if stack != "" {
		// The lines of Node itself and of this program say nothing to whoever wrote the code.
		var lines []string
		for line := range strings.Lines(stack) {
			if at := strings.TrimSpace(line); strings.HasPrefix(at, "at ") && (strings.Contains(at, "node:") || strings.Contains(at, "[stdin]")) {
				continue
			}
			lines = append(lines, strings.TrimRight(line, "\n"))
		}
		message = strings.Join(lines[:min(len(lines), 12)], "\n")
	}
	return fmt.Errorf("the cloud code cannot be loaded: %s", message)
}

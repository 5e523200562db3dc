package conformance

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// CloudCode returns the JavaScript that a file of testdata/cloud was recorded with: NAME.js beside NAME.txt, main.js for cloud.txt.
// Without any it is "".
func CloudCode(path string) string {
	code := strings.TrimSuffix(path, ".txt") + ".js"
	if filepath.Base(path) == "cloud.txt" {
		code = filepath.Join(filepath.Dir(path), "main.js")
	}
	if _, err := os.Stat(code); err != nil {
		return ""
	}
	return code
}

// Sink is the web server that the webhooks of the corpus call, as ${sink}: the last part of a path says what it answers, and what it
// was sent comes back where that is asked for. It keeps nothing.
func Sink() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var sent map[string]any
		body, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(body, &sent)
		answer := func(status int, text string) {
			w.Header()["Content-Type"], w.Header()["Date"] = []string{"application/json"}, nil // no date: an error may show all headers
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
		}
		success := func(v any) {
			text, _ := json.Marshal(map[string]any{"success": v})
			answer(http.StatusOK, string(text))
		}
		object, _ := sent["object"].(map[string]any)
		switch how := filepath.Base(r.URL.Path); how {
		case "sent":
			seen := map[string]any{"method": r.Method, "contentType": r.Header.Get("Content-Type"), "key": r.Header.Get("X-Parse-Webhook-Key")}
			for _, name := range []string{"params", "functionName", "triggerName", "master", "isReadOnly", "installationId", "context", "object", "original", "query", "objects", "count", "isGet"} {
				if v, ok := sent[name]; ok {
					seen[name] = v
				}
			}
			if user, ok := sent["user"].(map[string]any); ok {
				seen["user"] = user["username"]
			}
			success(seen)
		case "object":
			success(object)
		case "changed":
			object["added"] = "by the hook"
			success(object)
		case "only":
			success(map[string]any{"only": true})
		case "seen": // the object with what was sent in it
			delete(object, "seen")
			success(map[string]any{"seen": map[string]any{"object": object, "original": sent["original"], "trigger": sent["triggerName"], "master": sent["master"], "context": sent["context"]}})
		case "value":
			success(map[string]any{"n": 1, "d": map[string]any{"__type": "Date", "iso": "2026-01-01T00:00:00.000Z"}})
		case "objects":
			success(sent["objects"])
		case "none":
			success([]any{})
		case "nothing":
			answer(http.StatusOK, "")
		case "empty":
			answer(http.StatusOK, "{}")
		case "null":
			answer(http.StatusOK, `{"success":null}`)
		case "text":
			success("text")
		case "false":
			success(false)
		case "error":
			answer(http.StatusOK, `{"error":"refused by the hook"}`)
		case "coded":
			answer(http.StatusOK, `{"error":{"code":1400,"error":"with a code"}}`)
		case "message":
			answer(http.StatusOK, `{"error":{"code":1400,"message":"with a message"}}`)
		case "number":
			answer(http.StatusOK, `{"error":5}`)
		case "both":
			answer(http.StatusOK, `{"error":"wins","success":1}`)
		case "malformed":
			answer(http.StatusOK, "{no JSON")
		case "list":
			answer(http.StatusOK, "[1]")
		case "failed":
			answer(http.StatusInternalServerError, `{"error":"with 500"}`)
		case "made":
			answer(http.StatusCreated, `{"success":"with 201"}`)
		default:
			answer(http.StatusNotFound, `{"error":"no such answer"}`)
		}
	})
}

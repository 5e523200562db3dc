package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
)

// caller sends the requests that prepare a server.
type caller struct {
	base   string
	header http.Header
}

// call sends JSON and decodes the answer into a value, unless that is nil. An answer other than 2xx is an error.
func (c caller) call(ctx context.Context, method, path, body string, into any) error {
	q, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	q.Header = c.header.Clone()
	q.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %.300s", method, path, answer.Status, text)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

// fill calls make for n objects, in parts, and collects their ids.
func fill(n int, make func(from, to int) ([]string, error)) ([]string, error) {
	const part = 500
	var all []string
	for from := 0; from < n; from += part {
		ids, err := make(from, min(n, from+part))
		if err != nil {
			return nil, err
		}
		all = append(all, ids...)
	}
	for _, id := range all {
		if id == "" {
			return nil, fmt.Errorf("an object without id")
		}
	}
	if len(all) != n {
		return nil, fmt.Errorf("%d ids for %d objects", len(all), n)
	}
	return all, nil
}

// preparePocketbase makes the superuser with PocketBase's own command and the rest through its API. Its rules let everybody in, so
// that neither server does more for permissions than look up that there are none.
func preparePocketbase(ctx context.Context, s *server, home string, n int, alike bool) ([]string, error) {
	const email = "admin@example.com"
	cmd := exec.CommandContext(ctx, s.binary, "superuser", "upsert", email, password, "--dir", home)
	cmd.Stderr, cmd.Env = os.Stderr, append(os.Environ(), s.env...)
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("superuser: %w", err)
	}
	c := caller{base: "http://" + s.address, header: http.Header{}}
	var auth struct{ Token string }
	if err := c.call(ctx, "POST", "/api/collections/_superusers/auth-with-password", fmt.Sprintf(`{"identity":%q,"password":%q}`, email, password), &auth); err != nil {
		return nil, err
	}
	c.header.Set("Authorization", auth.Token)
	for _, name := range []string{"bench", "made"} {
		err := c.call(ctx, "POST", "/api/collections", fmt.Sprintf(`{"name":%q,"type":"base","listRule":"","viewRule":"","createRule":"","updateRule":"","deleteRule":"","fields":[`+
			`{"name":"title","type":"text"},{"name":"body","type":"text"},{"name":"category","type":"text"},{"name":"email","type":"text"},`+
			`{"name":"grp","type":"number"},{"name":"score","type":"number"},{"name":"ratio","type":"number"},{"name":"open","type":"bool"},{"name":"at","type":"date"},{"name":"meta","type":"json"},`+
			`{"name":"created","type":"autodate","onCreate":true},{"name":"updated","type":"autodate","onCreate":true,"onUpdate":true}],`+
			`"indexes":["CREATE INDEX idx_%s_grp_score ON %s (grp, score)"]}`, name, name, name), nil)
		if err != nil {
			return nil, err
		}
	}
	for i := range users {
		body := fmt.Sprintf(`{"email":"%s@example.com","password":%q,"passwordConfirm":%q}`, username(i), password, password)
		if err := c.call(ctx, "POST", "/api/collections/users/records", body, nil); err != nil {
			return nil, err
		}
	}
	if err := c.call(ctx, "PATCH", "/api/settings", `{"batch":{"enabled":true,"maxRequests":1000,"timeout":60}}`, nil); err != nil {
		return nil, err
	}
	ids, err := fill(n, func(from, to int) ([]string, error) {
		body := []byte(`{"requests":[`)
		for i := from; i < to; i++ {
			body = append(body, `{"method":"POST","url":"/api/collections/bench/records","body":`...)
			body = append(append(body, object(i, pocketbaseDate)...), "},"...)
		}
		var answers []struct{ Body struct{ ID string } }
		if err := c.call(ctx, "POST", "/api/batch", string(body[:len(body)-1])+"]}", &answers); err != nil {
			return nil, err
		}
		var ids []string
		for _, a := range answers {
			ids = append(ids, a.Body.ID)
		}
		return ids, nil
	})
	if err != nil {
		return nil, err
	}
	settings := `{"batch":{"enabled":false,"maxRequests":50,"timeout":3}}` // the defaults again
	if alike {
		settings = `{"batch":{"enabled":false,"maxRequests":50,"timeout":3},"logs":{"maxDays":0}}`
	}
	return ids, c.call(ctx, "PATCH", "/api/settings", settings, nil)
}

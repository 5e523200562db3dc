package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/parley-backend/parley/credential"
)

// login obtains a token.
type login func(context.Context, *client) (token, error)

// logins are the ways to log in, by the option auth.
var logins = map[string]login{"token": givenToken, "approle": appRole, "kubernetes": kubernetes, "cert": ownCertificate}

// serviceAccount is where Kubernetes puts the token of a pod.
const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount/token"

// givenToken takes the token from its file or VAULT_TOKEN, and asks how long it lives. A
// policy may forbid that question; then the token is taken for one that does not end.
func givenToken(ctx context.Context, c *client) (token, error) {
	value, err := own("token", c.tokenFile, "VAULT_TOKEN")
	if err != nil {
		return token{}, err
	}
	t, asked := token{value: value}, time.Now()
	answer, err := c.ask(ctx, request{path: "auth/token/lookup-self"}, value)
	if err != nil {
		return token{}, err
	}
	defer clear(answer.Body)
	if answer.Status == http.StatusForbidden {
		return t, nil
	}
	if answer.Status != http.StatusOK {
		return token{}, c.origin.Refuse(answer)
	}
	var found struct {
		Data struct {
			TTL       int64 `json:"ttl"`
			Renewable bool  `json:"renewable"`
		} `json:"data"`
	}
	if json.Unmarshal(answer.Body, &found) != nil {
		return token{}, unreadable()
	}
	t.lives(asked, found.Data.TTL, found.Data.Renewable)
	return t, nil
}

func appRole(ctx context.Context, c *client) (token, error) {
	role, err := own("role id", c.roleIDFile, "VAULT_ROLE_ID")
	if err != nil {
		return token{}, err
	}
	secret, err := own("secret id", c.secretIDFile, "VAULT_SECRET_ID")
	if err != nil {
		return token{}, err
	}
	return c.exchange(ctx, map[string]string{"role_id": string(role.Reveal()), "secret_id": string(secret.Reveal())})
}

func kubernetes(ctx context.Context, c *client) (token, error) {
	path := c.jwtFile
	if path == "" {
		path = serviceAccount
	}
	jwt, err := own("service account's token", path, "")
	if err != nil {
		return token{}, err
	}
	return c.exchange(ctx, map[string]string{"role": c.role, "jwt": string(jwt.Reveal())})
}

// ownCertificate logs in with the certificate that the connection shows. Without a role
// Vault looks for one that fits.
func ownCertificate(ctx context.Context, c *client) (token, error) {
	body := make(map[string]string)
	if c.role != "" {
		body["name"] = c.role
	}
	return c.exchange(ctx, body)
}

// own reads a secret of ours, anew for each login: it may rotate, too.
func own(what, path, variable string) (credential.Secret, error) {
	value, where := []byte(nil), path
	if path != "" {
		var err error
		if value, err = os.ReadFile(path); err != nil {
			return credential.Secret{}, credential.Errorf(credential.Denied, "%s: our %s cannot be read", path, what)
		}
	} else {
		value, where = []byte(os.Getenv(variable)), variable
	}
	defer clear(value)
	trimmed := bytes.TrimSpace(value)
	if len(trimmed) == 0 || strings.ContainsFunc(string(trimmed), func(r rune) bool { return r < ' ' || r >= 0x7f }) {
		return credential.Secret{}, credential.Errorf(credential.Denied, "%s: our %s is missing or cannot be sent", where, what)
	}
	return credential.NewSecret(trimmed), nil
}

// exchange logs in. Vault answers a login that it refuses with 400 or 403.
func (c *client) exchange(ctx context.Context, body map[string]string) (token, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return token{}, credential.Errorf(credential.Misconfigured, "our login cannot be sent")
	}
	defer clear(text)
	asked := time.Now()
	answer, err := c.ask(ctx, request{method: http.MethodPost, path: "auth/" + c.mount + "/login", body: text}, credential.Secret{})
	if err != nil {
		return token{}, err
	}
	defer clear(answer.Body)
	switch answer.Status {
	case http.StatusOK:
		return granted(asked, answer.Body)
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound:
		return token{}, credential.Errorf(credential.Denied, "Vault refuses our login by %s with status %d", c.auth, answer.Status)
	}
	return token{}, c.origin.Refuse(answer)
}

// granted reads the token out of the answer to a login or a renewal.
func granted(asked time.Time, body []byte) (token, error) {
	var found struct {
		Auth struct {
			Token     string `json:"client_token"`
			Lease     int64  `json:"lease_duration"`
			Renewable bool   `json:"renewable"`
		} `json:"auth"`
	}
	if json.Unmarshal(body, &found) != nil || found.Auth.Token == "" {
		return token{}, unreadable()
	}
	t := token{value: credential.NewSecret(found.Auth.Token)}
	t.lives(asked, found.Auth.Lease, found.Auth.Renewable)
	return t, nil
}

// lives sets how long a token lives, at least: from when we asked.
func (t *token) lives(asked time.Time, seconds int64, renewable bool) {
	const most = 10 * 365 * 24 * 3600
	if seconds <= 0 || seconds > most {
		return
	}
	t.lease, t.renewable = time.Duration(seconds)*time.Second, renewable
	t.ends = asked.Add(t.lease)
}

func unreadable() error {
	return credential.Errorf(credential.Unavailable, "an answer that is not Vault's")
}

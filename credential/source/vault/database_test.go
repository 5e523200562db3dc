package vault_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/source/vault"
	"github.com/parley-backend/parley/internal/pgtest"
)

// Vault makes users of PostgreSQL and drops them. Over the lives of several users no login fails, and each user is refused when
// his time is over: his lease, or the token that he was made with. A login that takes longer than the user lives says nothing.
func TestDatabaseUsers(t *testing.T) {
	for _, test := range []struct {
		name, lease, token string
	}{
		{"Real/lease", `"default_ttl":"4s","max_ttl":"7s"`, `"token_ttl":"1h"`},
		{"Real/token", `"default_ttl":"1h"`, `"token_ttl":"4s","token_max_ttl":"7s"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, postgres := realBed(t), pgtest.Start(t, pgtest.Options{})
			reference := b.database(t, postgres, test.lease, test.token)
			c := credentialtest.Start(t, credential.Config{Name: "database", Present: true, Source: b.open(t, vault.Opener(), reference)})
			p, err := credential.NewPresenter(c, func(m credential.Material) (string, error) {
				return postgres.URI(string(m.Fields["username"].Reveal()), string(m.Fields["password"].Reveal()), "postgres"), nil
			})
			if err != nil {
				t.Fatal(err)
			}
			var users []string
			began, logins := time.Now(), 0
			for late := 0; len(users) < 4; {
				lease, err := p.Acquire(t.Context())
				if err != nil {
					t.Fatalf("after %v Acquire = %v", time.Since(began), err)
				}
				if len(users) == 0 || users[len(users)-1] != lease.Value {
					users = append(users, lease.Value)
				}
				if err := b.login(t, lease.Value); err != nil && time.Now().After(lease.NotAfter) {
					if late++; late > 3 {
						t.Fatal("no login is done in time")
					}
				} else if err != nil {
					t.Errorf("after %v and %d logins the presented user is refused: %v", time.Since(began), logins, err)
				}
				logins++
				if time.Since(began) > 2*time.Minute {
					t.Fatalf("%d users in %v", len(users), time.Since(began))
				}
			}
			t.Logf("%d logins of %d users in %v", logins, len(users), time.Since(began).Round(time.Millisecond))
			for i, old := range users[:2] {
				for until := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
					var refused *pgconn.PgError
					if err := b.login(t, old); errors.As(err, &refused) {
						break
					} else if time.Now().After(until) {
						t.Fatalf("user %d may still log in: %v", i+1, err)
					}
				}
			}
		})
	}
}

// login logs in and asks something.
func (b *bed) login(t *testing.T, uri string) error {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), uri)
	if err != nil {
		return err
	}
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), "SELECT 1")
	return err
}

// database mounts a database engine for the server, with a role and a login for us, and returns the reference to its users.
func (b *bed) database(t *testing.T, postgres *pgtest.Server, lease, token string) string {
	t.Helper()
	mount := fmt.Sprintf("database-%d", time.Now().UnixNano())
	b.call(t, http.MethodPost, "sys/mounts/"+mount, `{"type":"database"}`)
	t.Cleanup(func() { b.call(t, http.MethodDelete, "sys/mounts/"+mount, "") }) // drops the users
	user, password := postgres.Admin()
	b.call(t, http.MethodPost, mount+"/config/postgres", fmt.Sprintf(`{"plugin_name":"postgresql-database-plugin","allowed_roles":"*",
		"connection_url":"postgresql://{{username}}:{{password}}@%s/postgres?sslmode=disable","username":%q,"password":%q}`, postgres.Addr(), user, password))
	b.call(t, http.MethodPost, mount+"/roles/parley", `{"db_name":"postgres",`+lease+`,
		"creation_statements":["CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"]}`)
	b.call(t, http.MethodPost, "sys/auth/approle", `{"type":"approle"}`, 400) // 400: it is there
	b.call(t, http.MethodPut, "sys/policies/acl/"+mount, fmt.Sprintf(`{"policy":"path \"%s/creds/*\" { capabilities = [\"read\"] }"}`, mount))
	role := "auth/approle/role/" + mount
	b.call(t, http.MethodPost, role, `{"token_policies":["`+mount+`"],"token_type":"service",`+token+`}`)
	t.Cleanup(func() { b.call(t, http.MethodDelete, role, "") })
	file := func(name, from, method string) string {
		answer := b.call(t, method, role+"/"+from, "{}")
		return credentialtest.WriteFile(t, name, []byte(answer["data"].(map[string]any)[name].(string)))
	}
	return "vault://" + mount + "/creds/parley?addr=ADDR&auth=approle&format=json" +
		"&role_id_file=" + file("role_id", "role-id", http.MethodGet) + "&secret_id_file=" + file("secret_id", "secret-id", http.MethodPost)
}

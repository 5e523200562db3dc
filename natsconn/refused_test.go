package natsconn_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/natsconn"
	"github.com/parley-backend/parley/pubsub/pubsubtest"
)

// permit changes what the users of the account may do who have no permissions of their own. Live connections are told.
func (o *operator) permit(p jwt.Permissions) {
	o.t.Helper()
	o.claims.DefaultPermissions = p
	encoded := must(o.claims.Encode(o.root))
	if err := o.resolver.Store(o.claims.Subject, encoded); err != nil {
		o.t.Fatal(err)
	}
	o.UpdateAccountClaims(must(o.LookupAccount(o.claims.Subject)), must(jwt.DecodeAccountClaims(encoded)))
}

func denied(subjects ...string) (p jwt.Permissions) {
	p.Sub.Deny.Add(subjects...)
	return p
}

// The server takes a subscription away while the connection lasts: health says which, and it is there again when it may be,
// also exact hand-overs are.
func TestRefusedSubscriptionComesBack(t *testing.T) {
	for _, test := range []struct {
		name string
		deny []string
		with func(*natsconn.Config)
	}{
		{name: "plain", deny: []string{"subject"}, with: func(*natsconn.Config) {}},
		{name: "plain and its queue group", deny: []string{"subject", "> parley.>"}, with: func(*natsconn.Config) {}},
		{name: "in place", deny: []string{"subject"}, with: inPlace},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := operated(t)
			f := open(t, o.ClientURL(), &minting{operator: o}, test.with)
			group := must(f.QueueSubscribe("jobs", "workers", func(*nats.Msg) {}))
			f.works(t, "at first")
			o.permit(denied(append(test.deny, "jobs")...))
			pubsubtest.Eventually(t, "health says which", func() bool {
				err := f.Health()
				return errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), "subject") && strings.Contains(err.Error(), "jobs")
			})
			if !group.Refused() {
				t.Error("Refused of the queue group = false, want true")
			}
			o.permit(jwt.Permissions{})
			pubsubtest.Eventually(t, "healthy", func() bool { return f.Health() == nil && !group.Refused() })
			f.works(t, "permitted again")
			f.rotate(t, 2)
			f.works(t, "rotated")
			if test.name != "in place" && f.log.count("event=nats_handover") != 1 {
				t.Error("no hand-over after the queue group was permitted again")
			}
		})
	}
}

// The only login that is left may not subscribe, and the next one may: the subscription goes along.
func TestRefusedSubscriptionGoesToTheNextLogin(t *testing.T) {
	o := operated(t)
	source := &minting{operator: o}
	var first string
	source.change(func(c *jwt.UserClaims) { first = c.Subject })
	f := open(t, o.ClientURL(), source)
	f.works(t, "at first")
	source.change(func(c *jwt.UserClaims) { c.Sub.Deny.Add("subject") })
	o.revoke(first)
	pubsubtest.Eventually(t, "health says which", func() bool {
		err := f.Health()
		return f.Generation() == 2 && errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), "subject")
	})
	source.change()
	if err := f.key.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	pubsubtest.Eventually(t, "the next login is in use", func() bool { return f.Generation() == 3 && f.Health() == nil })
	f.works(t, "the next login")
}

// What Subscribe refused is nothing that health tells of.
func TestRefusedSubscribeIsForgotten(t *testing.T) {
	o := operated(t)
	source := &minting{operator: o}
	source.change(func(c *jwt.UserClaims) { c.Sub.Deny.Add("secret") })
	f := open(t, o.ClientURL(), source)
	f.works(t, "at first")
	if _, err := f.Subscribe("secret", func(*nats.Msg) {}); !errors.Is(err, nats.ErrPermissionViolation) {
		t.Errorf("Subscribe = %v, want %v", err, nats.ErrPermissionViolation)
	}
	must(f.Subscribe("other", func(*nats.Msg) {})) // the loop has looked meanwhile
	if err := f.Health(); err != nil {
		t.Errorf("Health = %v, want nil", err)
	}
	if n := f.log.count("may not subscribe"); n != 0 {
		t.Errorf("it is warned of %d times, want never", n)
	}
}

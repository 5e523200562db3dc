// Package installation is the class _Installation: one object for each copy of an application on a device, found again by its
// installationId or its deviceToken however often it is created (contract parse-api.md, 5.2).
//
// installation.go which object a save is about; dedup.go what becomes of the others that claim the same device.
package installation

import (
	"context"
	"log/slog"
	"strings"

	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/internal/object"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// Config are the options of installations. The zero value is the default of Parse Server.
type Config struct {
	// Log gets which objects were not touched for want of permission; nil discards it.
	Log *slog.Logger
	// ClearDuplicates takes the token, or the id, from the object that loses it, in place of deleting the object
	// (duplicateDeviceTokenAction: "update").
	ClearDuplicates bool
	// EnforceAuth touches the losing object only if the caller may (duplicateDeviceTokenActionEnforceAuth).
	EnforceAuth bool
	// KeepInstallationID lets the object with the installationId survive a merge, in place of the one with the deviceToken
	// (duplicateDeviceTokenMergePriority: "installationId").
	KeepInstallationID bool
}

// Installations is the Behavior of the class _Installation.
type Installations struct {
	object.Plain
	cfg Config
}

// New returns the behavior.
func New(cfg Config) *Installations {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Installations{cfg: cfg}
}

// appleTokenLength is how long a token of APNs is in hexadecimal, which is written in either case.
const appleTokenLength = 64

// claim is what a save says about which device it means.
type claim struct {
	// token and id as the body has them, in the form that is stored; "" for none.
	token, id string
	// known is id or, for lack of it, the one in the header of the request.
	known string
	// deviceType of the body.
	deviceType string
}

// claimOf reads the claim of a save and brings its fields to the form that is stored.
func claimOf(s *object.Save) claim {
	var c claim
	if token, ok := s.Data.Get("deviceToken").(string); ok {
		if len(token) == appleTokenLength {
			token = strings.ToLower(token)
			s.Data.Set("deviceToken", token)
		}
		c.token = token
	}
	if id, ok := s.Data.Get("installationId").(string); ok {
		c.id = strings.ToLower(id)
		s.Data.Set("installationId", c.id)
	}
	c.deviceType = s.Data.String("deviceType")
	c.known = c.id
	if c.known == "" && !s.Caller.Privileged() {
		c.known = strings.ToLower(s.Caller.InstallationID)
	}
	return c
}

// matches are the stored objects that a claim may be about.
type matches struct {
	byObject *parse.Object // the object of an update
	byID     *parse.Object // of the same installationId
	byToken  []*parse.Object
}

// Prepare finds the object that the save is about: a create of a known installation becomes an update of it. Other objects that
// hold the same token give way.
func (n *Installations) Prepare(ctx context.Context, s *object.Save) error {
	if s.IsCreate() && !names(s.Data, "deviceToken") && !names(s.Data, "installationId") && s.Caller.InstallationID == "" {
		return parse.Errorf(parse.MissingRequiredField, "at least one ID field (deviceToken, installationId) must be specified in this operation")
	}
	c := claimOf(s)
	if c.token == "" && c.known == "" && (s.IsCreate() || c.deviceType == "") {
		return nil
	}
	found, err := n.find(ctx, s, c)
	if err != nil {
		return err
	}
	if err := check(s, c, found); err != nil {
		return err
	}
	target := found.byObject
	if found.byID != nil {
		target = found.byID
	}
	if target == nil && s.IsCreate() && c.deviceType == "" {
		return parse.Errorf(parse.MissingRequiredField, "deviceType must be specified in this operation")
	}
	id, err := n.resolve(ctx, s, c, target, found.byToken)
	if err != nil {
		return err
	}
	if id == "" || id == s.ID {
		return nil
	}
	return redirect(ctx, s, id)
}

// names tells whether a body gives a field anything but null and "".
func names(data *parse.Map, field string) bool {
	v := data.Get(field)
	return v != nil && v != ""
}

// find reads all candidates at once.
func (n *Installations) find(ctx context.Context, s *object.Save, c claim) (*matches, error) {
	var any query.Or
	if !s.IsCreate() {
		any = append(any, is("objectId", s.ID))
	}
	if c.known != "" {
		any = append(any, is("installationId", c.known))
	}
	if c.token != "" {
		any = append(any, is("deviceToken", c.token))
	}
	found := &matches{}
	for o, err := range s.Objects.Store().Find(ctx, class(s), &query.Find{ClassName: schema.InstallationClass, Where: any, Limit: -1}) {
		if err != nil {
			return nil, err
		}
		if !s.IsCreate() && o.ID() == s.ID {
			found.byObject = o
		}
		if c.known != "" && o.String("installationId") == c.known {
			found.byID = o
		}
		if c.token != "" && o.String("deviceToken") == c.token {
			found.byToken = append(found.byToken, o)
		}
	}
	return found, nil
}

// check refuses an update that changes what an installation is.
func check(s *object.Save, c claim, found *matches) error {
	if s.IsCreate() {
		return nil
	}
	was := found.byObject
	if was == nil {
		return parse.Errorf(parse.ObjectNotFound, "Object not found for update.")
	}
	id, token := was.String("installationId"), was.String("deviceToken")
	switch {
	case c.id != "" && id != "" && c.id != id:
		return immutable("installationId")
	case c.token != "" && token != "" && c.token != token && c.id == "" && id == "":
		return immutable("deviceToken") // nothing else says that it is the same device
	case c.deviceType != "" && c.deviceType != was.String("deviceType"):
		return immutable("deviceType")
	}
	return nil
}

func immutable(field string) error {
	return parse.Errorf(parse.ImmutableField, "%s may not be changed in this operation", field)
}

// redirect makes the save an update of another object.
func redirect(ctx context.Context, s *object.Save, id string) error {
	original, err := s.Objects.Get(ctx, &auth.Caller{Maintenance: true}, schema.InstallationClass, id, nil)
	if err != nil {
		return err
	}
	s.ID, s.Original, s.Unwritable = id, original, false
	s.Data.Delete("objectId")
	s.Data.Delete("createdAt")
	s.Status = 200
	return nil
}

func class(s *object.Save) *schema.Class {
	if s.Class != nil {
		return s.Class
	}
	return schema.New(schema.InstallationClass)
}

func is(field string, value any) query.Node {
	return &query.Constraint{Key: field, Op: query.Eq, Arg: value}
}

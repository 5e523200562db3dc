package installation

import (
	"context"
	"errors"

	"github.com/parley-backend/parley/internal/access"
	"github.com/parley-backend/parley/internal/object"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// resolve returns the objectId of the installation that the save is about, "" for a new one. target is the object that the save
// names by objectId or installationId, nil for none; byToken are those that hold its token.
func (n *Installations) resolve(ctx context.Context, s *object.Save, c claim, target *parse.Object, byToken []*parse.Object) (string, error) {
	alone := len(byToken) == 1 && byToken[0].String("installationId") == ""
	switch {
	case target == nil && len(byToken) == 0:
		return "", nil
	case target == nil && len(byToken) == 1 && (alone || c.known == ""):
		// One object with this token, and nothing that contradicts that it is this device.
		return byToken[0].ID(), nil
	case target == nil && c.id == "":
		return "", parse.Errorf(parse.InstallationIDClash, "Must specify installationId when deviceToken matches multiple Installation objects")
	case target == nil:
		// The token has moved to a new installation.
		return "", n.giveWay(ctx, s, n.others(s, c, c.known), "deviceToken")
	case alone:
		// The device was known by its token alone, and now says which installation it is.
		return n.merge(ctx, s, target, byToken[0])
	case c.token != "" && target.String("deviceToken") != c.token && c.id != "":
		// A known installation takes the token over.
		return target.ID(), n.giveWay(ctx, s, n.others(s, c, c.id), "deviceToken")
	}
	return target.ID(), nil
}

// others is the condition to hold the token of the save in another installation, of the same application if the save names one.
func (n *Installations) others(s *object.Save, c claim, id string) query.Node {
	where := query.And{
		is("deviceToken", c.token),
		&query.Constraint{Key: "installationId", Op: query.Ne, Arg: id},
	}
	if app := s.Data.String("appIdentifier"); app != "" {
		where = append(where, is("appIdentifier", app))
	}
	return where
}

// merge makes one of two objects that are the same installation, and returns which one stays.
func (n *Installations) merge(ctx context.Context, s *object.Save, byID, byToken *parse.Object) (string, error) {
	if byID.ID() == byToken.ID() {
		return byID.ID(), nil
	}
	stays, goes, field := byToken, byID, "installationId"
	if n.cfg.KeepInstallationID {
		stays, goes, field = byID, byToken, "deviceToken"
	}
	return stays.ID(), n.giveWay(ctx, s, is("objectId", goes.ID()), field)
}

// giveWay deletes the objects that lost the device, or clears the field by which they claim it. Where the rights of the caller count
// and do not suffice, the objects stay as they are.
func (n *Installations) giveWay(ctx context.Context, s *object.Save, where query.Node, field string) error {
	if n.cfg.EnforceAuth {
		op := schema.OpDelete
		if n.cfg.ClearDuplicates {
			op = schema.OpUpdate
		}
		permitted, err := access.Operation(s.Caller, class(s), op)
		var refused *parse.Error
		if errors.As(err, &refused) {
			n.cfg.Log.WarnContext(ctx, "the caller may not touch the installation that holds the same device", "operation", string(op))
			return nil
		}
		where = query.AndOf(where, access.Writable(s.Caller), permitted)
	}
	store := s.Objects.Store()
	var err error
	if n.cfg.ClearDuplicates {
		_, err = store.Update(ctx, class(s), where, parse.NewMap(field, parse.Delete{}), -1)
	} else {
		_, err = store.Delete(ctx, class(s), where, -1)
	}
	return err
}

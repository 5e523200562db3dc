package object

import (
	"context"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/schema"
)

// WatchesConfig tells whether there are triggers of the config.
func (o *Objects) WatchesConfig() bool {
	return o.cfg.Cloud.Has(cloud.BeforeSave, cloud.ConfigClass) || o.cfg.Cloud.Has(cloud.AfterSave, cloud.ConfigClass)
}

// SavingConfig runs beforeSave of the config, and returns the parameters that are to be written, and the context for [Objects.SavedConfig].
// original are the parameters of now, nil for none.
func (o *Objects) SavingConfig(ctx context.Context, caller *auth.Caller, params, original *parse.Map) (changed, context *parse.Map, err error) {
	req := &cloud.ConfigRequest{Request: o.request(caller, shared(caller)), Params: params.Clone(), Original: original.Clone()}
	if err := o.cfg.Cloud.Run(ctx, cloud.BeforeSave, cloud.ConfigClass, req); err != nil {
		return nil, nil, err
	}
	changed = &parse.Map{}
	for name, v := range req.Params.All() {
		value, err := cloud.FieldValue(v)
		if err != nil {
			return nil, nil, parse.Errorf(parse.ScriptFailed, "The parameter %s cannot be stored: %v", name, err)
		}
		changed.Set(name, value)
	}
	return changed, req.Context, nil
}

// SavedConfig runs afterSave of the config. params are all parameters as they are now.
func (o *Objects) SavedConfig(ctx context.Context, caller *auth.Caller, params, original, shared *parse.Map) error {
	return o.cfg.Cloud.Run(ctx, cloud.AfterSave, cloud.ConfigClass,
		&cloud.ConfigRequest{Request: o.request(caller, shared), Params: params.Clone(), Original: original.Clone()})
}

// JobRequest is what a job knows of who started it.
func (o *Objects) JobRequest(caller *auth.Caller) cloud.Request {
	return o.outside().request(caller, shared(caller))
}

// ResettingPassword runs beforePasswordResetRequest for a user that was found.
func (o *Objects) ResettingPassword(ctx context.Context, caller *auth.Caller, user *parse.Object) error {
	if !o.cfg.Cloud.Has(cloud.BeforePasswordResetRequest, schema.UserClass) {
		return nil
	}
	return o.cfg.Cloud.Run(ctx, cloud.BeforePasswordResetRequest, schema.UserClass,
		&cloud.PasswordResetRequest{Request: o.request(caller, shared(caller)), Object: shownTo(user)})
}

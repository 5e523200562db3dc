package awssm

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/internal/awsapi"
)

// The staging labels of AWS. AWSPENDING is the version that a rotation is at work on: not read.
const (
	stageCurrent  = "AWSCURRENT"
	stagePrevious = "AWSPREVIOUS"
)

// readings is how often a reading is begun anew when the labels move under it.
const readings = 3

// secret is one secret of Secrets Manager.
type secret struct {
	name           string // or ARN
	stage, version string // pinned by the reference
	decoder        credential.Decoder
	client         *awsapi.Client[*secretsmanager.Client]
	location       string
	instance       string
	last           atomic.Pointer[told]
}

// told is the version that the reading before told of, nil after a failure. It holds no value.
type told struct {
	id      string
	created time.Time
}

// Info: version ids are opaque, and the labels may go back.
func (s *secret) Info() credential.Info {
	return credential.Info{Scheme: "awssm", Location: s.location, Instance: s.instance}
}

func (s *secret) pinned() bool { return s.stage != "" || s.version != "" }

// Fetch reads the version labelled AWSCURRENT, and with it the one labelled AWSPREVIOUS, so that the overlap is the same on
// a server that has just started. The engine remembers what was current, so AWSPREVIOUS is asked for only where it can
// tell something new: at the first reading, after a failure, and when another version is current. In
// between a reading is one call. A secret whose deletion is scheduled is Gone, one that does not exist is Missing.
//
// NextRotationDate would be a hint for the time to live, at the price of one more call for each reading; a presented key
// that is not known yet causes a reading anyway.
func (s *secret) Fetch(ctx context.Context) (credential.Payload, error) {
	payload, err := s.read(ctx, s.last.Swap(nil))
	if err != nil {
		return credential.Payload{}, err
	}
	if !s.decoder.Several() {
		s.last.Store(&told{id: payload.Versions[0].ID, created: payload.Versions[0].Created})
	}
	return payload, nil
}

// read makes one consistent reading of two calls: it begins anew when it sees that the labels moved.
func (s *secret) read(ctx context.Context, last *told) (credential.Payload, error) {
	stage := s.stage
	if !s.pinned() {
		stage = stageCurrent
	}
	for range readings {
		payload, err := s.get(ctx, stage, s.version)
		if err != nil || s.pinned() || s.decoder.Several() { // several keys say themselves what they are
			return payload, err
		}
		now := &payload.Versions[0]
		if last != nil && last.id == now.ID {
			now.Created = last.created
			return payload, nil
		}
		previous, err := s.get(ctx, stagePrevious, "")
		switch {
		case errors.Is(err, credential.Missing), errors.Is(err, credential.Denied), errors.Is(err, credential.Invalid):
			return payload, nil // there is none, or none that can be used
		case err != nil:
			return credential.Payload{}, err
		}
		before := previous.Versions[0]
		told, moved := false, before.ID == now.ID // AWSCURRENT moved on between the two
		if !moved {
			if told, moved, err = s.date(ctx, now, before); err != nil {
				return credential.Payload{}, err
			}
		}
		switch {
		case told:
			before.State = credential.Previous
			payload.Versions = append(payload.Versions, before)
			return payload, nil
		case !moved:
			wipe(before)
			return payload, nil
		}
		wipe(*now)
		wipe(before)
	}
	return credential.Payload{}, credential.Errorf(credential.Unavailable, "the labels of the secret move faster than it can be read")
}

// date sets since when a version is current, from which the deadline of the one before counts, and says whether that one is to be told
// of. A version is current since it was made, unless the labels went back to an older one: then since the secret was changed last.
func (s *secret) date(ctx context.Context, now *credential.Version, before credential.Version) (told, moved bool, err error) {
	switch {
	case same(*now, before): // another field of the document changed: this value is current since then
		now.Created = before.Created
		return false, false, nil
	case !before.Created.After(now.Created):
		return true, false, nil
	}
	about, err := s.describe(ctx)
	switch {
	case errors.Is(err, credential.Denied): // not known: the engine counts from when it notices, and a server that has just started knows of one version only
		now.Created = time.Time{}
		return false, false, nil
	case err != nil:
		return false, false, err
	case !slices.Contains(about.VersionIdsToStages[now.ID], stageCurrent):
		return false, true, nil
	}
	now.Created = aws.ToTime(about.LastChangedDate)
	return true, false, nil
}

// get reads one version: that with the label, or that with the id.
func (s *secret) get(ctx context.Context, stage, id string) (credential.Payload, error) {
	out, err := s.value(ctx, stage, id)
	if err != nil {
		return credential.Payload{}, err
	}
	content := contentOf(out)
	defer clear(content)
	if aws.ToString(out.VersionId) == "" {
		return credential.Payload{}, credential.Errorf(credential.Unavailable, "an answer that is not AWS's")
	}
	return s.decoder.Payload(content, credential.Version{ID: *out.VersionId, Created: aws.ToTime(out.CreatedDate)})
}

// contentOf returns the text, or the bytes, that a version holds. They belong to the caller.
func contentOf(out *secretsmanager.GetSecretValueOutput) []byte {
	if out.SecretString != nil {
		return []byte(*out.SecretString)
	}
	return out.SecretBinary
}

func (s *secret) value(ctx context.Context, stage, id string) (out *secretsmanager.GetSecretValueOutput, err error) {
	in := &secretsmanager.GetSecretValueInput{SecretId: &s.name}
	if stage != "" {
		in.VersionStage = &stage
	}
	if id != "" {
		in.VersionId = &id
	}
	err = s.client.Do(ctx, func(api *secretsmanager.Client) (err error) {
		out, err = api.GetSecretValue(ctx, in)
		return err
	})
	return out, s.refused(ctx, err)
}

func (s *secret) describe(ctx context.Context) (out *secretsmanager.DescribeSecretOutput, err error) {
	err = s.client.Do(ctx, func(api *secretsmanager.Client) (err error) {
		out, err = api.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &s.name})
		return err
	})
	return out, err
}

// refused tells a secret whose deletion is scheduled from other requests that AWS does not like: both are InvalidRequestException.
// What that means for keys in use is grave, so the date of the deletion has to be there; where we may not
// ask for it, the words of the error count.
func (s *secret) refused(ctx context.Context, err error) error {
	var failure *awsapi.Failure
	if !errors.As(err, &failure) || failure.Code != "InvalidRequestException" {
		return err
	}
	about, unknown := s.describe(ctx)
	switch {
	case unknown == nil && about.DeletedDate == nil:
		return err
	case unknown != nil && !(errors.Is(unknown, credential.Denied) && failure.Deletion):
		return unknown
	}
	return credential.Errorf(credential.Gone, "%s is scheduled for deletion", s.name)
}

// same reports whether two versions hold the same value, or the same group.
func same(a, b credential.Version) bool {
	equal := func(x, y credential.Secret) bool {
		one, other := x.Reveal(), y.Reveal()
		defer func() { clear(one); clear(other) }()
		return bytes.Equal(one, other)
	}
	return equal(a.Value, b.Value) && maps.EqualFunc(a.Fields, b.Fields, equal)
}

// wipe drops what nobody gets.
func wipe(v credential.Version) {
	v.Value.Wipe()
	for _, field := range v.Fields {
		field.Wipe()
	}
}

package awssm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/internal/awsapi"
)

// stageWriting is the label of a version that Parley has stored and not made current yet. It is not AWSPENDING: a rotation
// function of AWS must find that where it left it.
const stageWriting = "PARLEYPENDING"

// Write implements credential.Writer. PutSecretValue overwrites whatever is current; so the new version is stored beside it, and then
// AWSCURRENT is moved from the version that was read, which fails if it is there no more. The id is ours from the
// start: it tells afterwards whether a call without an answer was carried out.
func (s *secret) Write(ctx context.Context, value credential.Secret) (string, error) {
	if s.pinned() {
		return "", credential.NotWritable("the reference names a version or a staging label")
	}
	read, err := s.value(ctx, stageCurrent, "")
	if errors.Is(err, credential.Missing) && s.decoder.Whole() {
		read, err = &secretsmanager.GetSecretValueOutput{SecretString: aws.String("")}, nil // perhaps a secret that has no value yet
	}
	if err != nil {
		return "", err
	}
	content := contentOf(read)
	defer clear(content)
	changed, err := s.decoder.Replace(content, value)
	if err != nil {
		return "", err
	}
	defer clear(changed)
	in := &secretsmanager.PutSecretValueInput{SecretId: &s.name, ClientRequestToken: aws.String(newID())}
	if read.VersionId != nil { // without it this is the first version, which AWS makes current
		in.VersionStages = []string{stageWriting}
	}
	if read.SecretString == nil {
		in.SecretBinary = changed
	} else {
		in.SecretString = aws.String(string(changed))
	}
	err = s.client.Do(ctx, func(api *secretsmanager.Client) error {
		_, err := api.PutSecretValue(ctx, in)
		return err
	})
	if err != nil {
		return "", s.refused(ctx, err)
	}
	if read.VersionId == nil {
		return *in.ClientRequestToken, nil
	}
	return *in.ClientRequestToken, s.promote(ctx, *in.ClientRequestToken, *read.VersionId)
}

// promote makes the new version current in the place of the one that was read. The label that it had before is
// of no use any more; if that cannot be taken off, the next rotation takes it.
func (s *secret) promote(ctx context.Context, id, read string) error {
	err := s.move(ctx, stageCurrent, id, read)
	if err != nil {
		err = s.moved(ctx, id, err)
	}
	_ = s.move(ctx, stageWriting, "", id)
	return err
}

// move moves a label from a version to another; to none for "".
func (s *secret) move(ctx context.Context, stage, to, from string) error {
	in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: &s.name, VersionStage: &stage, RemoveFromVersionId: &from}
	if to != "" {
		in.MoveToVersionId = &to
	}
	return s.client.Do(ctx, func(api *secretsmanager.Client) error {
		_, err := api.UpdateSecretVersionStage(ctx, in)
		return err
	})
}

// moved says what became of a move that failed: the answer may have been lost, or somebody else may have made another
// version current.
func (s *secret) moved(ctx context.Context, id string, failed error) error {
	written, err := s.value(ctx, "", id)
	if err != nil {
		return failed
	}
	clear(written.SecretBinary)
	var failure *awsapi.Failure
	switch {
	case slices.Contains(written.VersionStages, stageCurrent):
		return nil
	case errors.As(failed, &failure) && (failure.Code == "InvalidParameterException" || failure.Code == "InvalidRequestException"):
		return credential.Errorf(credential.Unavailable, "somebody else has changed %s meanwhile", s.name)
	}
	return failed
}

// newID returns a random UUID.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

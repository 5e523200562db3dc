package azkv

import (
	"context"
	"errors"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/parley-backend/parley/credential"
)

// Write implements credential.Writer: it makes a new version, with the content type and the tags of the one before. In a
// document the field changes and nothing else. A vault cannot be told to write only if
// nobody else did meanwhile: of two servers that change two fields at one moment, the later
// one wins.
func (s *source) Write(ctx context.Context, value credential.Secret) (string, error) {
	if s.pinned != "" {
		return "", credential.NotWritable("the reference names one version")
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	var parameters azsecrets.SetSecretParameters
	var document []byte
	defer func() { clear(document) }()
	before, err := s.client.GetSecret(ctx, s.name, "", nil)
	switch {
	case err == nil && before.Managed != nil && *before.Managed:
		return "", credential.NotWritable("the secret belongs to a certificate")
	case err == nil:
		parameters.ContentType, parameters.Tags = before.ContentType, before.Tags
		if before.Value != nil {
			document = []byte(*before.Value)
		}
	default:
		code, failure := s.client.failed(ctx, s.Info().Location, err)
		if !s.decoder.Whole() || code != codeDisabled && !errors.Is(failure, credential.Missing) {
			return "", failure
		}
	}
	content, err := s.decoder.Replace(document, value)
	if err != nil {
		return "", err
	}
	defer clear(content)
	text := string(content)
	parameters.Value = &text
	written, err := s.client.SetSecret(ctx, s.name, parameters, nil)
	if err != nil {
		_, failure := s.client.failed(ctx, s.Info().Location, err)
		return "", failure
	}
	if written.ID == nil {
		return "", nil
	}
	return written.ID.Version(), nil
}

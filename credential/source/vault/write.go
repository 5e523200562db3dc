package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/parley-backend/parley/credential"
)

// Write implements credential.Writer for the key/value engine: it writes the secret with
// the field replaced and every other field as it was. Version 2 of the engine takes it only
// if the secret is still the version that was read, and the id is that of the new one;
// version 1 knows no such condition, and no id.
func (s *source) Write(ctx context.Context, value credential.Secret) (string, error) {
	if s.pinned > 0 {
		return "", credential.NotWritable("the reference names one version of the secret")
	}
	e, err := s.locate(ctx)
	if err != nil {
		return "", err
	}
	if !e.keyValue {
		return "", credential.NotWritable("Vault makes the values of this engine itself")
	}
	place := request{method: http.MethodPost, path: s.mount + "/" + s.path, limit: s.limit()}
	if e.versioned {
		place.path = e.mount + "/data/" + e.path
	}
	document, version, err := s.document(ctx, place, e)
	if err != nil {
		return "", err
	}
	defer clear(document)
	changed, err := s.decoder.Replace(document, value)
	if err != nil {
		return "", err
	}
	defer clear(changed)
	place.body = changed
	if e.versioned {
		place.body = bytes.Join([][]byte{[]byte(`{"options":{"cas":` + strconv.FormatUint(version, 10) + `},"data":`), changed, []byte("}")}, nil)
		defer clear(place.body)
	}
	answer, _, err := s.client.do(ctx, place)
	if err != nil {
		return "", err
	}
	defer clear(answer.Body)
	switch {
	case answer.Status == http.StatusBadRequest && bytes.Contains(answer.Body, []byte("check-and-set")):
		return "", credential.Errorf(credential.Unavailable, "%s/%s was changed by somebody else at the same time", s.mount, s.path)
	case answer.Status != http.StatusOK && answer.Status != http.StatusNoContent:
		return "", s.refuse(answer)
	case !e.versioned:
		return "", nil
	}
	var written struct {
		Data struct {
			Version uint64 `json:"version"`
		} `json:"data"`
	}
	if json.Unmarshal(answer.Body, &written) != nil || written.Data.Version == 0 {
		return "", unreadable()
	}
	return strconv.FormatUint(written.Data.Version, 10), nil
}

// document reads the whole secret, and its version in version 2 of the engine.
func (s *source) document(ctx context.Context, place request, e engine) (document []byte, version uint64, err error) {
	place.method = http.MethodGet
	answer, _, err := s.client.do(ctx, place)
	if err != nil {
		return nil, 0, err
	}
	defer clear(answer.Body)
	if answer.Status != http.StatusOK { // also deleted: there is nothing to keep the other fields of
		return nil, 0, s.refuse(answer)
	}
	var whole reply
	if json.Unmarshal(answer.Body, &whole) != nil || whole.Data == nil {
		clear(whole.Data)
		return nil, 0, unreadable()
	}
	if !e.versioned {
		return whole.Data, 0, nil
	}
	defer clear(whole.Data)
	var inner struct {
		Data     json.RawMessage `json:"data"`
		Metadata struct {
			Version uint64 `json:"version"`
		} `json:"metadata"`
	}
	if json.Unmarshal(whole.Data, &inner) != nil || inner.Metadata.Version == 0 {
		clear(inner.Data)
		return nil, 0, unreadable()
	}
	return inner.Data, inner.Metadata.Version, nil
}

package gcpsm

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/parley-backend/parley/credential"
)

// writeTries is how often a field is put into its document, when others write to the
// document at the same time.
const writeTries = 3

// Write implements credential.Writer: it adds a version. In a document the field changes and nothing else. If
// somebody else added a version between the one that was read and ours, ours is made anew
// on top of theirs.
func (s *source) Write(ctx context.Context, value credential.Secret) (string, error) {
	if s.pinned > 0 {
		return "", credential.NotWritable("the reference names one version")
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.decoder.Whole() {
		content, err := s.decoder.Replace(nil, value)
		if err != nil {
			return "", err
		}
		defer clear(content)
		added, err := s.add(ctx, content)
		return strconv.FormatUint(added.number, 10), err
	}
	var read listed // the latest
	var expected uint64
	for range writeTries {
		number, content, err := s.content(ctx, read)
		if err != nil {
			return "", err
		}
		replaced, err := s.decoder.Replace(content, value)
		clear(content)
		if err != nil {
			return "", err
		}
		added, err := s.add(ctx, replaced)
		clear(replaced)
		if err != nil {
			return "", err
		}
		if added.number <= max(expected, number+1) {
			return strconv.FormatUint(added.number, 10), nil
		}
		read, expected = listed{number: added.number - 1}, added.number+1 // what somebody else wrote, and ours does not have
	}
	return "", credential.Errorf(credential.Unavailable, "%s: others write to the secret all the time", s.parent)
}

// content reads the whole document of a version, and its number.
func (s *source) content(ctx context.Context, v listed) (uint64, []byte, error) {
	whole := &source{parent: s.parent, client: s.client} // its decoder takes the whole
	r, err := whole.access(ctx, v)
	if err != nil {
		return 0, nil, err
	}
	if r.closed != "" {
		return 0, nil, credential.Errorf(credential.Gone, "%s: the version that the field is in cannot be read", s.parent)
	}
	defer r.version.Value.Wipe()
	return r.version.Number, r.version.Value.Reveal(), nil
}

// add adds a version.
func (s *source) add(ctx context.Context, content []byte) (listed, error) {
	if len(content) > maxPayload {
		return listed{}, credential.Errorf(credential.Invalid, "%s: larger than %d bytes", s.parent, maxPayload)
	}
	body := fmt.Appendf(nil, `{"payload":{"dataCrc32c":%q,"data":"`, checksum(content))
	body = base64.StdEncoding.AppendEncode(body, content)
	body = append(body, `"}}`...)
	defer clear(body)
	answer, err := s.client.do(ctx, http.MethodPost, s.parent+":addVersion", "", body)
	if err != nil {
		return listed{}, err
	}
	defer clear(answer.Body)
	if answer.Status != http.StatusOK {
		return listed{}, s.client.refuse(answer, s.parent)
	}
	var added stated
	number, ok := uint64(0), false
	if json.Unmarshal(answer.Body, &added) == nil {
		number, ok = s.number(added.Name)
	}
	if !ok {
		return listed{}, unreadable()
	}
	v := listed{number: number, state: stateEnabled, created: added.Created}
	if v.created.IsZero() {
		v.created = time.Now()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written = v
	return v, nil
}

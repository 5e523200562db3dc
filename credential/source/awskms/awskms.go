// Package awskms is the source of a secret that is kept encrypted, and that AWS KMS decrypts:
//
//	awskms:///etc/parley/master.enc#field   a file with the ciphertext, in base64 or as it is
//	awskms:AQICAHh…?region=eu-west-1        the ciphertext itself, in base64
//
// The ciphertext may lie in a repository or an image; who may use the key may read it.
package awskms

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/internal/awsapi"
)

// maxCiphertext is the largest ciphertext that KMS decrypts; maxFile is that in base64, in lines.
const (
	maxCiphertext = 6144
	maxFile       = 10 << 10
)

// contextOption begins the names of the options that make up the encryption context.
const contextOption = "context."

// Opener returns the opener of awskms:. The sources that it opens share one client for each
// region, profile and endpoint. Its options, besides awsapi.Options (region, profile, endpoint,
// allow_http):
//
//	key           the key that must have encrypted it: id, ARN, alias/name or the ARN of an alias
//	context.NAME  one member of the encryption context, as often as it has members
//	algorithm     of an asymmetric key: RSAES_OAEP_SHA_256, …; wants key
func Opener() credential.Opener {
	pool := awsapi.NewPool(func(cfg aws.Config, endpoint *string) *kms.Client {
		return kms.NewFromConfig(cfg, func(o *kms.Options) {
			if endpoint != nil {
				o.BaseEndpoint = endpoint
			}
		})
	})
	return func(ref credential.Reference) (credential.Source, error) { return open(pool, ref) }
}

func open(pool *awsapi.Pool[*kms.Client], ref credential.Reference) (credential.Source, error) {
	s := &source{key: ref.Options["key"], algorithm: types.EncryptionAlgorithmSpec(ref.Options["algorithm"])}
	known := append([]string{"key", "algorithm"}, awsapi.Options...)
	for option, value := range ref.Options {
		if name, found := strings.CutPrefix(option, contextOption); found && name != "" {
			known = append(known, option)
			if s.context == nil {
				s.context = map[string]string{}
			}
			s.context[name] = value
		}
	}
	if err := ref.Only(known...); err != nil {
		return nil, err
	}
	switch {
	case ref.Authority != "":
		return nil, awsapi.Wrong(ref, "write awskms:///path with three slashes")
	case ref.Opaque == "" && !filepath.IsAbs(ref.Path):
		return nil, awsapi.Wrong(ref, "write awskms:///path/to/ciphertext, or the ciphertext itself after awskms:")
	case s.algorithm != "" && !slices.Contains(s.algorithm.Values(), s.algorithm):
		return nil, awsapi.Wrong(ref, "option algorithm is none of KMS")
	case s.algorithm != "" && s.key == "":
		return nil, awsapi.Wrong(ref, "option algorithm wants the option key")
	}
	place := ref.Path
	if ref.Opaque != "" {
		var err error
		if s.inline, err = decodeText([]byte(ref.Opaque)); err != nil || len(s.inline) > maxCiphertext {
			return nil, awsapi.Wrong(ref, "what follows the scheme is not a ciphertext in base64")
		}
		sum := sha256.Sum256(s.inline)
		place = "ciphertext " + hex.EncodeToString(sum[:6])
	}
	s.path = ref.Path
	var err error
	if s.decoder, err = ref.Decoder(); err != nil {
		return nil, err
	}
	at, err := awsapi.At(ref, s.key, "kms")
	if err != nil {
		return nil, err
	}
	s.client, s.location, s.instance = pool.Client(at), at.Location(place), at.Instance("kms")
	return s, nil
}

type source struct {
	path      string
	inline    []byte // no secret: it is encrypted
	key       string
	algorithm types.EncryptionAlgorithmSpec
	context   map[string]string
	decoder   credential.Decoder
	client    *awsapi.Client[*kms.Client]
	location  string
	instance  string
}

// Info describes the source. Not even what stands in the reference itself is Immutable: KMS may not answer at the start,
// and the key may be taken away.
func (s *source) Info() credential.Info {
	return credential.Info{Scheme: "awskms", Location: s.location, Instance: s.instance}
}

// Fetch reads the ciphertext and has KMS decrypt it. A ciphertext that is damaged, of another key or of another encryption context is
// Invalid; a key that is disabled, waits for its deletion or may not be used is Denied: one key wraps many secrets, and none of them was
// revoked by that.
func (s *source) Fetch(ctx context.Context) (credential.Payload, error) {
	ciphertext, err := s.ciphertext()
	if err != nil {
		return credential.Payload{}, err
	}
	in := &kms.DecryptInput{CiphertextBlob: ciphertext, EncryptionContext: s.context, EncryptionAlgorithm: s.algorithm}
	if s.key != "" {
		in.KeyId = &s.key
	}
	var out *kms.DecryptOutput
	err = s.client.Do(ctx, func(api *kms.Client) (err error) {
		out, err = api.Decrypt(ctx, in)
		return err
	})
	if err != nil {
		return credential.Payload{}, err
	}
	defer clear(out.Plaintext)
	return s.decoder.Payload(out.Plaintext, credential.Version{})
}

// ciphertext returns what is to be decrypted. A file is read anew each time.
func (s *source) ciphertext() ([]byte, error) {
	if s.inline != nil {
		return s.inline, nil
	}
	info, err := os.Stat(s.path)
	if err == nil && !info.Mode().IsRegular() { // a pipe would be waited for without end
		return nil, credential.Errorf(credential.Invalid, "%s: not a regular file", s.path)
	}
	f, err := os.Open(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, credential.Errorf(credential.Missing, "%s: no such file", s.path)
	case errors.Is(err, fs.ErrPermission):
		return nil, credential.Errorf(credential.Denied, "%s: may not be read", s.path)
	case err != nil:
		return nil, credential.Errorf(credential.Unavailable, "%s: cannot be opened", s.path)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, credential.Errorf(credential.Unavailable, "%s: cannot be read", s.path)
	case len(content) > maxFile:
		return nil, credential.Errorf(credential.Invalid, "%s: larger than a ciphertext of KMS", s.path)
	}
	if !isText(content) {
		if len(content) > maxCiphertext {
			return nil, credential.Errorf(credential.Invalid, "%s: larger than a ciphertext of KMS", s.path)
		}
		return content, nil
	}
	decoded, err := decodeText(content)
	if err != nil || len(decoded) > maxCiphertext {
		return nil, credential.Errorf(credential.Invalid, "%s: no ciphertext in base64", s.path)
	}
	return decoded, nil
}

// isText reports whether content is written in letters. A ciphertext that is not begins with bytes that are none.
func isText(content []byte) bool {
	return !slices.ContainsFunc(content, func(b byte) bool { return b >= 0x7f || b < ' ' && b != '\n' && b != '\r' && b != '\t' })
}

// decodeText decodes base64 of either alphabet, with or without padding and line breaks.
func decodeText(text []byte) ([]byte, error) {
	joined := string(bytes.Join(bytes.Fields(text), nil))
	joined = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(joined), "=")
	if joined == "" {
		return nil, errors.New("empty")
	}
	return base64.RawStdEncoding.DecodeString(joined)
}

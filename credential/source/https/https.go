// Package https is the source of the references https://host/path and http://host/path:
// the secret is what a GET answers with. Plain HTTP goes to the loopback interface only,
// unless the option allow_http names the host.
package https

import (
	"bytes"
	"context"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/internal/origin"
)

// Open makes the source of https://host/path. Its options:
//
//	bearer_file, bearer_env  where our own token is, sent as Authorization: Bearer
//	header                   the header that the token is sent in instead, as it is
//	query                    the query of the request, escaped
//	ca_file                  the certificates to trust instead of the system's
//	cert_file, key_file      our own certificate and its key, for a server that asks for one
//	server_name              the name in the server's certificate, if it is not the host's
//	allow_http               the host that may be reached in the clear
func Open(ref credential.Reference) (credential.Source, error) {
	if err := ref.Only("bearer_file", "bearer_env", "header", "query", "ca_file", "cert_file", "key_file", "server_name", "allow_http"); err != nil {
		return nil, err
	}
	if ref.Opaque != "" {
		return nil, wrong("write %s://host/path", ref.Scheme)
	}
	decoder, err := ref.Decoder()
	if err != nil {
		return nil, err
	}
	s := &source{scheme: ref.Scheme, host: ref.Authority, path: ref.Path, query: ref.Options["query"], decoder: decoder,
		tokenFile: ref.Options["bearer_file"], tokenEnv: ref.Options["bearer_env"], header: ref.Options["header"]}
	switch {
	case s.tokenFile != "" && s.tokenEnv != "":
		return nil, wrong("options bearer_file and bearer_env exclude each other")
	case s.tokenFile != "" && !filepath.IsAbs(s.tokenFile):
		return nil, wrong("option bearer_file wants a path that begins with a slash")
	case s.header != "" && s.tokenFile == "" && s.tokenEnv == "":
		return nil, wrong("option header wants bearer_file or bearer_env")
	case !isToken(s.header):
		return nil, wrong("option header is not the name of a header")
	}
	if s.origin, err = origin.New(origin.Config{
		Scheme: ref.Scheme, Host: ref.Authority, AllowHTTP: ref.Options["allow_http"], Limit: decoder.Limit(), CAFile: ref.Options["ca_file"],
		CertFile: ref.Options["cert_file"], KeyFile: ref.Options["key_file"], ServerName: ref.Options["server_name"],
	}); err != nil {
		return nil, err
	}
	return s, nil
}

func wrong(format string, args ...any) error {
	return credential.Errorf(credential.Misconfigured, "reference https: "+format, args...)
}

// isToken reports whether text may be the name of a header.
func isToken(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
	})
}

type source struct {
	scheme, host, path, query   string
	tokenFile, tokenEnv, header string
	decoder                     credential.Decoder
	origin                      *origin.Origin

	mu   sync.Mutex
	last kept
}

func (s *source) Info() credential.Info {
	return credential.Info{Scheme: s.scheme, Location: s.scheme + "://" + s.host + s.path, Instance: s.scheme + "://" + s.host}
}

// Fetch asks the server. What its status means is in origin.Refuse; the version was
// created at the time in Last-Modified.
func (s *source) Fetch(ctx context.Context) (credential.Payload, error) {
	header := http.Header{"Accept": {"*/*"}, "User-Agent": {"Parley"}}
	if err := s.authorize(header); err != nil {
		return credential.Payload{}, err
	}
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	if last.etag != "" {
		header.Set("If-None-Match", last.etag)
	}
	answer, err := s.origin.Do(ctx, origin.Request{Path: s.path, Query: s.query, Header: header})
	if err != nil {
		return credential.Payload{}, err
	}
	defer clear(answer.Body)
	var payload credential.Payload
	switch {
	case answer.Status == http.StatusOK:
		last = keep(answer.Header.Get("ETag"), answer.Body, modified(answer.Header))
		s.mu.Lock()
		s.last = last
		s.mu.Unlock()
		payload, err = s.decoder.Payload(answer.Body, credential.Version{Created: modified(answer.Header)})
	case answer.Status == http.StatusNotModified && last.etag != "":
		body := last.open()
		defer clear(body)
		payload, err = s.decoder.Payload(body, credential.Version{Created: last.created})
	default:
		return credential.Payload{}, s.origin.Refuse(answer)
	}
	if err != nil {
		return credential.Payload{}, err
	}
	return payload, nil
}

// authorize adds our own token, read anew each time: it may rotate, too.
func (s *source) authorize(header http.Header) error {
	var token []byte
	switch {
	case s.tokenFile != "":
		var err error
		if token, err = os.ReadFile(s.tokenFile); err != nil {
			return credential.Errorf(credential.Denied, "%s: the token cannot be read", s.tokenFile)
		}
	case s.tokenEnv != "":
		token = []byte(os.Getenv(s.tokenEnv))
	default:
		return nil
	}
	defer clear(token)
	value := string(bytes.TrimSpace(token))
	if value == "" || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
		return credential.Errorf(credential.Denied, "the token from %s is empty or cannot be sent", s.tokenFile+s.tokenEnv)
	}
	if s.header != "" {
		header[textproto.CanonicalMIMEHeaderKey(s.header)] = []string{value}
	} else {
		header.Set("Authorization", "Bearer "+value)
	}
	return nil
}

func modified(header http.Header) time.Time {
	date, err := http.ParseTime(header.Get("Last-Modified"))
	if err != nil {
		return time.Time{}
	}
	return date
}

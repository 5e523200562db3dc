package rest

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/parley-backend/parley/parse"
)

// formOf reads a multipart/form-data body into the params of a function: a field is text, a file {filename, contentType, data}. Of one name
// the last counts, and a file before a field. Other bodies it leaves alone. What is too long is code 116, what cannot be read
// code 107 (measured on Parse Server 9.10.0).
func (x *exchange) formOf(body *parse.Map) (*parse.Map, error) {
	kind, params, err := mime.ParseMediaType(x.r.Header.Get("Content-Type"))
	if kind != "multipart/form-data" {
		return body, nil
	}
	if err != nil || params["boundary"] == "" {
		return nil, badForm("Multipart: Boundary not found")
	}
	if x.r.ContentLength > x.server.cfg.MaxUploadSize {
		return nil, longForm()
	}
	if err := x.reserve(); err != nil {
		return nil, err
	}
	parts := multipart.NewReader(http.MaxBytesReader(x.w, x.r.Body, x.server.cfg.MaxUploadSize), params["boundary"])
	fields, files := &parse.Map{}, &parse.Map{}
	for {
		part, err := parts.NextRawPart()
		if err == io.EOF { // and not one that wraps it: then the end is missing
			break
		}
		var data []byte
		if err == nil {
			data, err = io.ReadAll(part)
		}
		if err != nil {
			if errors.As(err, new(*http.MaxBytesError)) {
				return nil, longForm()
			}
			return nil, badForm("Unexpected end of multipart data")
		}
		readPart(part, data, fields, files)
	}
	for name, file := range files.All() {
		fields.Set(name, file)
	}
	return fields, nil
}

// readPart adds a part of a form to what there is. One without a name is left out.
func readPart(part *multipart.Part, data []byte, fields, files *parse.Map) {
	disposition, about, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	name := about["name"]
	if err != nil || disposition != "form-data" || name == "" || name == "__proto__" || name == "constructor" {
		return
	}
	contentType, _, _ := strings.Cut(part.Header.Get("Content-Type"), ";")
	if contentType = strings.ToLower(strings.TrimSpace(contentType)); contentType == "" {
		contentType = "text/plain"
	}
	_, named := about["filename"]
	if !named && contentType != "application/octet-stream" {
		fields.Set(name, strings.ToValidUTF8(string(data), "\ufffd"))
		return
	}
	file := about["filename"]
	file = file[strings.LastIndexAny(file, `/\`)+1:] // a path of the client is nobody's business
	files.Set(name, parse.NewMap("filename", file, "contentType", contentType, "data", parse.Bytes(data)))
}

func badForm(why string) error {
	return parse.Errorf(parse.InvalidJSON, "Invalid multipart request: %s", why)
}

func longForm() error {
	return parse.Errorf(parse.ObjectTooLarge, "Multipart request exceeds maximum upload size.")
}

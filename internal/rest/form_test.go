package rest

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/parse"
)

// part is a part of a form; head are its parameters after form-data, and more headers.
func part(head, data string) string {
	return "--x\r\nContent-Disposition: form-data" + head + "\r\n\r\n" + data + "\r\n"
}

const formEnd = "--x--\r\n"

// A form is the params of a function, and of nothing else.
func TestFormsOfFunctions(t *testing.T) {
	w := coded(t, func(code *cloud.Code) {
		code.Define("f", func(_ context.Context, req *cloud.FunctionRequest) (any, error) { return req.Params, nil })
	}, func(cfg *Config) { cfg.MaxUploadSize = 1000 })
	file := func(name, kind, base64 string) string {
		return `{"filename":"` + name + `","contentType":"` + kind + `","data":{"__type":"Bytes","base64":"` + base64 + `"}}`
	}
	const long = `{"code":116,"error":"Multipart request exceeds maximum upload size."}`
	const cut = `{"code":107,"error":"Invalid multipart request: Unexpected end of multipart data"}`
	for _, c := range []struct {
		name, body string
		status     int
		want       string // its result, or the whole answer
	}{
		{"fields", part(`; name="a"`, "1") + part(`; name="b"`, "ä\r\n") + formEnd, 200, `{"a":"1","b":"ä\r\n"}`},
		{"the last one counts", part(`; name="a"`, "1") + part(`; name="a"`, "2") + formEnd, 200, `{"a":"2"}`},
		{"a file", part("; name=\"f\"; filename=\"a.txt\"\r\nContent-Type: Text/Plain; charset=x", "hello") + formEnd, 200, `{"f":` + file("a.txt", "text/plain", "aGVsbG8=") + `}`},
		{"a file without a type", part(`; name="f"; filename="a"`, "hello") + formEnd, 200, `{"f":` + file("a", "text/plain", "aGVsbG8=") + `}`},
		{"an empty file", part("; name=\"f\"; filename=\"\"\r\nContent-Type: application/octet-stream", "") + formEnd, 200, `{"f":` + file("", "application/octet-stream", "") + `}`},
		{"bytes without a name", part("; name=\"f\"\r\nContent-Type: application/octet-stream", "\xff") + formEnd, 200, `{"f":` + file("", "application/octet-stream", "/w==") + `}`},
		{"a path", part(`; name="f"; filename="/etc/x/a.txt"`, "") + formEnd, 200, `{"f":` + file("a.txt", "text/plain", "") + `}`},
		{"a file before a field", part(`; name="f"; filename="a"`, "hello") + part(`; name="f"`, "text") + formEnd, 200, `{"f":` + file("a", "text/plain", "aGVsbG8=") + `}`},
		{"keys are params", part(`; name="_MasterKey"`, "mk") + part(`; name="_method"`, "GET") + formEnd, 200, `{"_MasterKey":"mk","_method":"GET"}`},
		{"names of JavaScript", part(`; name="__proto__"`, "1") + part(`; name="constructor"`, "2") + formEnd, 200, `{}`},
		{"no name", part("", "1") + formEnd, 200, `{}`},
		{"no UTF-8", part(`; name="a"`, "\xff") + formEnd, 200, `{"a":"` + "\ufffd" + `"}`},
		{"at the limit", strings.Replace(part(`; name="a"`, "FILL")+formEnd, "FILL", strings.Repeat("x", 1000-len(part(`; name="a"`, "")+formEnd)), 1), 200, ""},
		{"too long", part(`; name="a"`, strings.Repeat("x", 1000)) + formEnd, 400, long},
		{"no end", part(`; name="a"`, "1"), 400, cut},
		{"half a part", "--x\r\nContent-Dis", 400, cut},
		{"nothing", "", 400, cut},
		{"another thing", "hello", 400, cut},
	} {
		a := w.ask("POST", "/functions/f", c.body, "Content-Type", "multipart/form-data; boundary=x")
		want := c.want
		if c.status == 200 {
			want = `{"result":` + want + `}`
		}
		if a.status != c.status || c.want != "" && a.text != want {
			t.Errorf("%s = %d %s, want %d %s", c.name, a.status, a.text, c.status, want)
		}
	}
	a := w.ask("POST", "/functions/f", "--x\r\n", "Content-Type", "multipart/form-data")
	w.want("no boundary", a, http.StatusBadRequest, `{"code":107,"error":"Invalid multipart request: Multipart: Boundary not found"}`)
	a = w.ask("POST", "/classes/Form", part(`; name="a"`, "1")+formEnd, "Content-Type", "multipart/form-data; boundary=x")
	if a.status != http.StatusCreated || a.get("a") != nil {
		t.Errorf("a form as an object = %d %s, want an object without a", a.status, a.text)
	}
}

func FuzzForm(f *testing.F) {
	f.Add(part(`; name="a"`, "1") + formEnd)
	f.Add(part("; name=\"f\"; filename=\"a.txt\"\r\nContent-Type: text/plain", "hello") + formEnd)
	f.Add("--x\r\nContent-Disposition: form-data; name*=utf-8''%zz\r\n\r\n")
	f.Fuzz(func(t *testing.T, body string) {
		r, err := http.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
		x := &exchange{server: &Server{cfg: Config{MaxUploadSize: 1 << 20, MaxBodies: 1 << 30}}, r: r}
		params, err := x.formOf(&parse.Map{})
		if err != nil {
			return
		}
		for name, v := range params.All() {
			if file, ok := v.(*parse.Map); ok {
				_, ok = file.Get("data").(parse.Bytes)
				if !ok || file.Len() != 3 {
					t.Errorf("%q is %v", name, file)
				}
			} else if _, ok := v.(string); !ok {
				t.Errorf("%q is a %T", name, v)
			}
		}
	})
}

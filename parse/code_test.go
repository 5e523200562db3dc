package parse

import (
	"errors"
	"go/ast"
	goparser "go/parser"
	"go/token"
	"testing"
)

// Every constant of type Code has a name, and no name is given twice.
func TestCodeNamesAreComplete(t *testing.T) {
	file, err := goparser.ParseFile(token.NewFileSet(), "code.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := 0
	for _, decl := range file.Decls {
		if decl, ok := decl.(*ast.GenDecl); ok && decl.Tok == token.CONST {
			declared += len(decl.Specs)
		}
	}
	if declared != len(codeNames) {
		t.Errorf("%d codes have a name, want %d", len(codeNames), declared)
	}
	seen := map[string]Code{}
	for code, name := range codeNames {
		if other, twice := seen[name]; twice || name == "" {
			t.Errorf("the codes %d and %d are both called %q", code, other, name)
		}
		seen[name] = code
	}
}

func TestCode(t *testing.T) {
	tests := []struct {
		code   Code
		name   string
		status int
		text   string
	}{
		{OtherCause, "OTHER_CAUSE", 400, "parse error -1 OTHER_CAUSE"}, {InternalServerError, "INTERNAL_SERVER_ERROR", 500, "parse error 1 INTERNAL_SERVER_ERROR"},
		{ObjectNotFound, "OBJECT_NOT_FOUND", 404, "parse error 101 OBJECT_NOT_FOUND"}, {InvalidJSON, "INVALID_JSON", 400, "parse error 107 INVALID_JSON"},
		{InvalidSessionToken, "INVALID_SESSION_TOKEN", 400, "parse error 209 INVALID_SESSION_TOKEN"}, {1234, "", 400, "parse error 1234"},
	}
	for _, tt := range tests {
		if tt.code.Name() != tt.name || tt.code.HTTPStatus() != tt.status || tt.code.Error() != tt.text {
			t.Errorf("Code(%d) = %s, %d, %s, want %s, %d, %s", tt.code, tt.code.Name(), tt.code.HTTPStatus(), tt.code.Error(), tt.name, tt.status, tt.text)
		}
	}
}

func TestError(t *testing.T) {
	cause := errors.New("cause")
	tests := []struct {
		err  *Error
		text string
	}{
		{Errorf(InvalidQuery, "bad %s", "x"), "102 bad x"}, {Denied(OperationForbidden, "because of %s", "y"), "119 because of y"},
		{&Error{Code: InternalServerError, Message: "m", Err: cause}, "1 m: cause"},
	}
	for _, tt := range tests {
		if tt.err.Error() != tt.text || !errors.Is(tt.err, tt.err.Code) || errors.Is(tt.err, DuplicateValue) || errors.Is(tt.err, cause) != (tt.err.Err != nil) {
			t.Errorf("%v is not what it is said to be: %s", tt.err, tt.text)
		}
	}
	if got := Denied(OperationForbidden, "secret").Message; got != "Permission denied" {
		t.Errorf("the message of a denial = %s, want Permission denied", got)
	}
}

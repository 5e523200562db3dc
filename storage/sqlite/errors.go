package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"zombiezen.com/go/sqlite"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
	"github.com/parley-backend/parley/storage/sqlgen"
)

var (
	errDamaged = errors.New("stored value cannot be read")
	errClosed  = errors.New("the database is closed")
)

// meanings says which kind of error a result of SQLite is, and what to do about it.
var meanings = map[sqlite.ResultCode]struct {
	kind storage.Kind
	text string
}{
	sqlite.ResultBusy:       {storage.Unavailable, "the database file is locked by another process"},
	sqlite.ResultLocked:     {storage.Unavailable, "the database file is locked"},
	sqlite.ResultProtocol:   {storage.Unavailable, "the database file is locked by another process"},
	sqlite.ResultFull:       {storage.Unavailable, "the disk is full"},
	sqlite.ResultIOErr:      {storage.Unavailable, "reading or writing the database file failed"},
	sqlite.ResultCantOpen:   {storage.Unavailable, "the database file cannot be opened"},
	sqlite.ResultReadOnly:   {storage.Unavailable, "the database file or its directory is not writable"},
	sqlite.ResultPerm:       {storage.Unavailable, "the database file may not be accessed"},
	sqlite.ResultAuth:       {storage.Unavailable, "the database file may not be accessed"},
	sqlite.ResultNoMem:      {storage.Unavailable, "out of memory"},
	sqlite.ResultInterrupt:  {storage.Unavailable, "interrupted"},
	sqlite.ResultCorrupt:    {storage.Corrupt, "the database file is damaged"},
	sqlite.ResultNotADB:     {storage.Corrupt, "the file is not an SQLite database"},
	sqlite.ResultFormat:     {storage.Corrupt, "the database file is damaged"},
	sqlite.ResultConstraint: {storage.Duplicate, "a unique index refused the value"},
	sqlite.ResultTooBig:     {storage.Unsupported, "a value or statement is too large for SQLite"},
	sqlite.ResultRange:      {storage.Unsupported, "the query has too many values for SQLite"},
}

// wrap makes a *storage.Error of any error; op is the method that failed.
func wrap(op, class string, err error) error {
	if err == nil {
		return nil
	}
	var known *storage.Error
	if errors.As(err, &known) {
		return err
	}
	wrapped := &storage.Error{Kind: storage.Internal, Op: "sqlite." + op, Class: class, Err: err}
	var unsupported *sqlgen.UnsupportedError
	var asked *parse.Error
	switch code := sqlite.ErrCode(err); {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, errClosed):
		wrapped.Kind = storage.Unavailable
	case errors.Is(err, errDamaged):
		wrapped.Kind = storage.Corrupt
	case errors.As(err, &unsupported), errors.As(err, &asked):
		wrapped.Kind = storage.Unsupported
	default:
		m, ok := meanings[code.ToPrimary()]
		switch {
		case ok:
			wrapped.Kind = m.kind
			wrapped.Err = fmt.Errorf("%s: %w", m.text, err)
		case code.ToPrimary() == sqlite.ResultError && tooLarge(err):
			wrapped.Kind = storage.Unsupported
		}
		if code.ToPrimary() == sqlite.ResultConstraint && code != sqlite.ResultConstraintUnique && code != sqlite.ResultConstraintPrimaryKey {
			wrapped.Kind = storage.Internal
		}
	}
	return wrapped
}

// tooLarge tells whether a statement went beyond a limit of the parser of SQL.
func tooLarge(err error) bool {
	for _, text := range []string{"too many SQL variables", "Expression tree is too large", "too many columns", "parser stack overflow", "too many terms", "variable number must be between"} {
		if strings.Contains(err.Error(), text) {
			return true
		}
	}
	return false
}

// lacks tells whether a statement failed because a table or column is not there: the class was never saved, or another
// process dropped it.
func lacks(err error) bool {
	if err == nil || sqlite.ErrCode(err).ToPrimary() != sqlite.ResultError {
		return false
	}
	text := err.Error()
	return strings.Contains(text, "no such table") || strings.Contains(text, "no such column") || strings.Contains(text, "has no column named")
}

// duplicate names the fields of the index that refused a write, as far as SQLite tells: it names the columns, or the index when it is
// on expressions.
func duplicate(op string, layout *sqlgen.Layout, err error) error {
	text := strings.ReplaceAll(err.Error(), "''", "'") // in which SQLite quotes the name of an index
	d := &storage.Error{Kind: storage.Duplicate, Op: "sqlite." + op, Class: layout.Class.Name, Err: err}
	for _, ix := range layout.Indexes() {
		if ix.Unique && strings.Contains(text, "index '"+unquote(ix.SQLName)+"'") {
			d.Fields = ix.Fields
			return d
		}
	}
	if _, rest, ok := strings.Cut(text, "_User_unique_authData_"); ok {
		if provider, _, ok := strings.Cut(rest, "_id"); ok {
			d.Fields = schema.AuthDataIndex(provider).Fields
			return d
		}
	}
	table := unquote(layout.Table)
	for i := range layout.Columns {
		if namesColumn(text, table+"."+unquote(layout.Columns[i].Name())) {
			d.Fields = append(d.Fields, layout.Columns[i].Field)
		}
	}
	return d
}

// namesColumn tells whether a column stands in a message like "UNIQUE constraint failed: T.a, T.b".
func namesColumn(text, column string) bool {
	const before = "constraint failed: "
	at := strings.LastIndex(text, before)
	if at < 0 {
		return false
	}
	list := text[at+len(before):]
	for name := range strings.SplitSeq(list, ", ") {
		if name, _, _ := strings.Cut(name, " ("); name == column {
			return true
		}
	}
	return false
}

package postgres

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage/sqlgen"
)

// values are the limits for text that the database holds: it was checked when it came in, and holds no operators.
var values = parse.Limits{Values: true, Depth: math.MaxInt32}

// object makes an object of the current row of a statement.
func (s *session) object(class string, rows pgx.Rows, st *sqlgen.Statement) (*parse.Object, error) {
	o := &parse.Object{ClassName: class}
	o.Grow(len(st.Columns))
	raw, described := rows.RawValues(), rows.FieldDescriptions()
	for i, column := range st.Columns {
		if raw[i] == nil {
			continue
		}
		v, err := s.value(column, raw[i], &described[i])
		if err != nil {
			return nil, fmt.Errorf("%w: field %s of class %s: %w", errDamaged, column.Field, class, err)
		}
		if v != nil {
			o.Set(column.Field, v)
		}
	}
	if i := len(st.Columns); i < len(raw) && raw[i] != nil {
		text, err := jsonText(raw[i], &described[i])
		if err != nil {
			return nil, fmt.Errorf("%w: authData: %w", errDamaged, err)
		}
		keep := st.Keep
		if st.Filter || st.Sort { // they may be what decides
			keep = nil
		}
		return o, addProviders(o, text, keep)
	}
	return o, nil
}

// addProviders sets what authentication providers know of a user, of those that keep admits.
func addProviders(o *parse.Object, text []byte, keep func(field string) bool) error {
	v, err := parse.Decode(text, values)
	if err != nil {
		return fmt.Errorf("%w: authData: %w", errDamaged, err)
	}
	m, ok := v.(*parse.Map)
	if !ok { // the null of JSON
		return nil
	}
	for provider, data := range m.All() {
		if name := schema.AuthDataPrefix + provider; data != nil && (keep == nil || keep(name)) {
			o.Set(name, data)
		}
	}
	return nil
}

// value reads one value that is not NULL; nil for the null of JSON.
func (s *session) value(column *sqlgen.Column, raw []byte, f *pgconn.FieldDescription) (any, error) {
	switch column.Type {
	case schema.Number:
		if f.DataTypeOID == pgtype.Float8OID && f.Format == pgx.BinaryFormatCode && len(raw) == 8 {
			return math.Float64frombits(binary.BigEndian.Uint64(raw)), nil
		}
		return scan[float64](s, raw, f)
	case schema.Boolean:
		return scan[bool](s, raw, f)
	case schema.Date:
		return s.date(raw, f)
	case schema.Pointer:
		id, err := s.text(raw, f)
		return parse.Pointer{ClassName: column.Target, ObjectID: id}, err
	case schema.File:
		name, err := s.text(raw, f)
		return parse.File{Name: name}, err
	case schema.GeoPoint:
		p, err := scan[pgtype.Point](s, raw, f)
		return parse.GeoPoint{Latitude: p.P.Y, Longitude: p.P.X}, err
	case schema.Polygon:
		p, err := scan[pgtype.Polygon](s, raw, f)
		ring := make(parse.Polygon, len(p.P))
		for i, v := range p.P {
			ring[i] = parse.GeoPoint{Latitude: v.Y, Longitude: v.X}
		}
		return ring, err
	case schema.Array:
		if f.DataTypeOID == pgtype.TextArrayOID {
			return s.list(raw, f)
		}
		return decode(raw, f)
	case schema.Object, schema.Bytes:
		return decode(raw, f)
	}
	return s.text(raw, f)
}

func scan[T any](s *session, raw []byte, f *pgconn.FieldDescription) (v T, err error) {
	err = s.conn.TypeMap().Scan(f.DataTypeOID, f.Format, raw, &v)
	return v, err
}

func (s *session) text(raw []byte, f *pgconn.FieldDescription) (string, error) {
	switch f.DataTypeOID {
	case pgtype.TextOID, pgtype.VarcharOID:
		return string(raw), nil
	}
	return scan[string](s, raw, f)
}

func (s *session) list(raw []byte, f *pgconn.FieldDescription) (any, error) {
	elements, err := scan[[]string](s, raw, f)
	list := make([]any, len(elements))
	for i, e := range elements {
		list[i] = e
	}
	return list, err
}

// Microseconds from 2000-01-01 is how PostgreSQL counts time.
const millenium = 946684800000 // in milliseconds from the epoch

func (s *session) date(raw []byte, f *pgconn.FieldDescription) (any, error) {
	if f.DataTypeOID != pgtype.TimestamptzOID || f.Format != pgx.BinaryFormatCode || len(raw) != 8 {
		t, err := scan[pgtype.Timestamptz](s, raw, f)
		return parse.Date(t.Time.UnixMilli()), err
	}
	switch us := int64(binary.BigEndian.Uint64(raw)); us {
	case math.MaxInt64:
		return parse.MaxDate, nil
	case math.MinInt64:
		return parse.MinDate, nil
	default:
		ms := us / 1000
		if us%1000 < 0 {
			ms--
		}
		return parse.Date(ms + millenium), nil
	}
}

// jsonText returns the text of a json or jsonb column.
func jsonText(raw []byte, f *pgconn.FieldDescription) ([]byte, error) {
	if f.DataTypeOID == pgtype.JSONBOID && f.Format == pgx.BinaryFormatCode {
		if len(raw) == 0 || raw[0] != 1 {
			return nil, fmt.Errorf("jsonb of an unknown version")
		}
		return raw[1:], nil
	}
	return raw, nil
}

func decode(raw []byte, f *pgconn.FieldDescription) (any, error) {
	text, err := jsonText(raw, f)
	if err != nil {
		return nil, err
	}
	return parse.Decode(text, values)
}

// unquote returns the name that a quoted one stands for.
func unquote(name string) string {
	return strings.ReplaceAll(name[1:len(name)-1], `""`, `"`)
}

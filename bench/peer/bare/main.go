// Command bare is the floor under a get by id: net/http, one prepared SELECT on a table that Parley wrote, and the answer put
// together by hand. It knows the ten fields, and has no keys, permissions, schema, limits or logs.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"log"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"zombiezen.com/go/sqlite"
)

const selectByID = `SELECT "objectId", "createdAt", "updatedAt", "at", "body", "category", "email", "grp", "meta", "open", "ratio", "score", "title", "_rperm", "_wperm", "_extra"` +
	` FROM "Bench" WHERE "objectId" = ?1 LIMIT 1`

// pragmas are those of a reader of Parley.
var pragmas = []string{"PRAGMA busy_timeout=5000", "PRAGMA mmap_size=1073741824", "PRAGMA temp_store=MEMORY", "PRAGMA cache_size=-2000", "PRAGMA query_only=ON"}

type reader struct {
	stmt *sqlite.Stmt
	buf  []byte
	text []byte
}

func main() {
	file := flag.String("db", "", "database `FILE` written by Parley")
	address := flag.String("listen", "", "`ADDRESS` to listen on")
	flag.Parse()

	readers := make(chan *reader, max(4, runtime.GOMAXPROCS(0)))
	for range cap(readers) {
		r, err := open(*file)
		if err != nil {
			log.Fatal(err)
		}
		readers <- r
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("GET /parse/classes/Bench/{id}", func(w http.ResponseWriter, q *http.Request) {
		r := <-readers
		answer, err := r.get(q.PathValue("id"))
		switch {
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		case answer == nil:
			http.NotFound(w, q)
		default:
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			w.Write(answer)
		}
		readers <- r
	})
	log.Fatal(http.ListenAndServe(*address, mux))
}

func open(file string) (*reader, error) {
	conn, err := sqlite.OpenConn(file, sqlite.OpenReadWrite)
	if err != nil {
		return nil, err
	}
	for _, text := range pragmas {
		stmt, _, err := conn.PrepareTransient(text)
		if err != nil {
			return nil, err
		}
		_, err = stmt.Step()
		if err = errors.Join(err, stmt.Finalize()); err != nil {
			return nil, err
		}
	}
	stmt, err := conn.Prepare(selectByID)
	return &reader{stmt: stmt}, err
}

// get returns the JSON of an object until the next call, nil when there is none.
func (r *reader) get(id string) ([]byte, error) {
	defer r.stmt.Reset()
	r.stmt.BindText(1, id)
	if found, err := r.stmt.Step(); err != nil || !found {
		return nil, err
	}
	b := append(r.buf[:0], `{"objectId":`...)
	b = appendString(b, r.stmt.ColumnText(0))
	b = append(b, `,"createdAt":"`...)
	b = appendTime(b, r.stmt.ColumnInt64(1))
	b = append(b, `","updatedAt":"`...)
	b = appendTime(b, r.stmt.ColumnInt64(2))
	b = append(b, `","at":{"__type":"Date","iso":"`...)
	b = appendTime(b, r.stmt.ColumnInt64(3))
	b = append(b, `"},"body":`...)
	b = appendString(b, r.stmt.ColumnText(4))
	b = append(b, `,"category":`...)
	b = appendString(b, r.stmt.ColumnText(5))
	b = append(b, `,"email":`...)
	b = appendString(b, r.stmt.ColumnText(6))
	b = append(b, `,"grp":`...)
	b = strconv.AppendFloat(b, r.stmt.ColumnFloat(7), 'f', -1, 64)
	b = append(b, `,"meta":`...)
	r.text = append(r.text[:0], make([]byte, r.stmt.ColumnLen(8))...)
	r.stmt.ColumnBytes(8, r.text)
	b = append(b, r.text...)
	b = append(b, `,"open":`...)
	b = strconv.AppendBool(b, r.stmt.ColumnInt64(9) != 0)
	b = append(b, `,"ratio":`...)
	b = strconv.AppendFloat(b, r.stmt.ColumnFloat(10), 'f', -1, 64)
	b = append(b, `,"score":`...)
	b = strconv.AppendFloat(b, r.stmt.ColumnFloat(11), 'f', -1, 64)
	b = append(b, `,"title":`...)
	b = appendString(b, r.stmt.ColumnText(12))
	r.buf = append(b, '}')
	return r.buf, nil
}

func appendTime(b []byte, ms int64) []byte {
	return time.UnixMilli(ms).UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
}

func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // a string always has a JSON form
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

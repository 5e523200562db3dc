// Command pgbare is the floor under what Parley does on PostgreSQL: net/http, pgx with its pool and statement cache, the same
// statements on the tables that Parley uses, and answers put together by hand. It knows the fields of the benchmark, and has no keys,
// permissions, schema, limits or logs.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"log"
	"net/http"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const columns = `"objectId", "createdAt", "updatedAt", "at", "body", "category", "email", "grp", "meta"::text, "open", "ratio", "score", "title"`

// readable is what everybody may read: the condition of Parley for who is not logged in.
const readable = `("_rperm" IS NULL OR "_rperm" && '{*}')`

type handler struct{ pool *pgxpool.Pool }

func main() {
	uri := flag.String("db", "", "`URI` of the database of Parley")
	address := flag.String("listen", "", "`ADDRESS` to listen on")
	flag.Parse()
	config, err := pgxpool.ParseConfig(*uri)
	if err != nil {
		log.Fatal(err)
	}
	config.MaxConns = 10
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		log.Fatal(err)
	}
	h := handler{pool}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("GET /parse/classes/{class}/{id}", answering(http.StatusOK, h.get))
	mux.HandleFunc("GET /parse/classes/{class}", answering(http.StatusOK, h.find))
	mux.HandleFunc("POST /parse/classes/{class}", answering(http.StatusCreated, h.create))
	mux.HandleFunc("PUT /parse/classes/{class}/{id}", answering(http.StatusOK, h.increment))
	log.Fatal(http.ListenAndServe(*address, mux))
}

func answering(status int, handle func(q *http.Request) ([]byte, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		answer, err := handle(q)
		if errors.Is(err, pgx.ErrNoRows) {
			http.NotFound(w, q)
			return
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(status)
		w.Write(answer)
	}
}

// row is an object of the benchmark.
type row struct {
	id, body, category, email, meta, title string
	created, updated, at                   time.Time
	group, ratio, score                    float64
	open                                   bool
	writer                                 string
}

func (r *row) targets() []any {
	return []any{&r.id, &r.created, &r.updated, &r.at, &r.body, &r.category, &r.email, &r.group, &r.meta, &r.open, &r.ratio, &r.score, &r.title}
}

func (h handler) get(q *http.Request) ([]byte, error) {
	var r row
	table := pgx.Identifier{q.PathValue("class")}.Sanitize()
	err := h.pool.QueryRow(q.Context(), `SELECT `+columns+` FROM `+table+` WHERE "objectId" = $1 LIMIT 1`, q.PathValue("id")).Scan(r.targets()...)
	if err != nil {
		return nil, err
	}
	return append(appendRow(nil, &r), '}'), nil
}

// find answers where={"grp":n}: count alone, or 20 in order with the objects of their pointers.
func (h handler) find(q *http.Request) ([]byte, error) {
	values := q.URL.Query()
	var where struct{ Grp float64 }
	if err := json.Unmarshal([]byte(values.Get("where")), &where); err != nil {
		return nil, err
	}
	table := pgx.Identifier{q.PathValue("class")}.Sanitize()
	if values.Get("count") != "" {
		var n int64
		if err := h.pool.QueryRow(q.Context(), `SELECT count(*) FROM `+table+` WHERE "grp" = $1 AND `+readable, where.Grp).Scan(&n); err != nil {
			return nil, err
		}
		return append(strconv.AppendInt([]byte(`{"results":[],"count":`), n, 10), '}'), nil
	}
	found, err := h.rows(q.Context(), true, `SELECT `+columns+`, "writer" FROM `+table+` WHERE "grp" = $1 AND `+readable+` ORDER BY "score" ASC LIMIT 20`, where.Grp)
	if err != nil {
		return nil, err
	}
	var ids []string
	for i := range found {
		ids = append(ids, found[i].writer)
	}
	written, err := h.rows(q.Context(), false, `SELECT `+columns+` FROM "Writer" WHERE "objectId" = ANY($1)`, ids)
	if err != nil {
		return nil, err
	}
	writers := map[string]*row{}
	for i := range written {
		writers[written[i].id] = &written[i]
	}
	b := []byte(`{"results":[`)
	for i := range found {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendRow(b, &found[i]), `,"writer":`...)
		b = append(appendRow(b, writers[found[i].writer]), `,"__type":"Object","className":"Writer"}}`...)
	}
	return append(b, "]}"...), nil
}

func (h handler) rows(ctx context.Context, writer bool, sql string, argument any) ([]row, error) {
	rows, err := h.pool.Query(ctx, sql, argument)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(from pgx.CollectableRow) (r row, err error) {
		targets := r.targets()
		if writer {
			targets = append(targets, &r.writer)
		}
		return r, from.Scan(targets...)
	})
}

func (h handler) create(q *http.Request) ([]byte, error) {
	var in struct {
		Title, Body, Category, Email string
		Grp, Score, Ratio            float64
		Open                         bool
		At                           struct{ ISO time.Time }
		Meta                         json.RawMessage
	}
	if err := json.NewDecoder(q.Body).Decode(&in); err != nil {
		return nil, err
	}
	id, now := rand.Text()[:10], time.Now().UTC().Truncate(time.Millisecond)
	table := pgx.Identifier{q.PathValue("class")}.Sanitize()
	_, err := h.pool.Exec(q.Context(), `INSERT INTO `+table+` ("objectId","createdAt","updatedAt","title","body","category","email","grp","score","ratio","open","at","meta")`+
		` VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13)`, id, now, now, in.Title, in.Body, in.Category, in.Email, in.Grp, in.Score, in.Ratio, in.Open, in.At.ISO, in.Meta)
	if err != nil {
		return nil, err
	}
	return append(appendTime(append(appendString([]byte(`{"objectId":`), id), `,"createdAt":"`...), now), `"}`...), nil
}

func (h handler) increment(q *http.Request) ([]byte, error) {
	var in struct{ Ratio struct{ Amount float64 } }
	if err := json.NewDecoder(q.Body).Decode(&in); err != nil {
		return nil, err
	}
	var ratio float64
	now := time.Now().UTC().Truncate(time.Millisecond)
	table := pgx.Identifier{q.PathValue("class")}.Sanitize()
	err := h.pool.QueryRow(q.Context(), `UPDATE `+table+` SET "ratio" = COALESCE("ratio", 0) + $1, "updatedAt" = $2 WHERE "objectId" = $3 RETURNING "ratio"`,
		in.Ratio.Amount, now, q.PathValue("id")).Scan(&ratio)
	if err != nil {
		return nil, err
	}
	b := append(appendTime([]byte(`{"updatedAt":"`), now), `","ratio":`...)
	return append(strconv.AppendFloat(b, ratio, 'f', -1, 64), '}'), nil
}

// appendRow appends an object without its last brace.
func appendRow(b []byte, r *row) []byte {
	b = appendString(append(b, `{"objectId":`...), r.id)
	b = appendTime(append(b, `,"createdAt":"`...), r.created)
	b = appendTime(append(b, `","updatedAt":"`...), r.updated)
	b = appendTime(append(b, `","at":{"__type":"Date","iso":"`...), r.at)
	b = appendString(append(b, `"},"body":`...), r.body)
	b = appendString(append(b, `,"category":`...), r.category)
	b = appendString(append(b, `,"email":`...), r.email)
	b = strconv.AppendFloat(append(b, `,"grp":`...), r.group, 'f', -1, 64)
	b = append(append(b, `,"meta":`...), r.meta...)
	b = strconv.AppendBool(append(b, `,"open":`...), r.open)
	b = strconv.AppendFloat(append(b, `,"ratio":`...), r.ratio, 'f', -1, 64)
	b = strconv.AppendFloat(append(b, `,"score":`...), r.score, 'f', -1, 64)
	return appendString(append(b, `,"title":`...), r.title)
}

func appendTime(b []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
}

func appendString(b []byte, s string) []byte {
	quoted, _ := json.Marshal(s) // a string always has a JSON form
	return append(b, quoted...)
}

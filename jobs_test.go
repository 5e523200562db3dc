package parley_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/parley-backend/parley"
	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/storage"
)

// Jobs and schedules over HTTP.
func TestJobsOverHTTP(t *testing.T) { onEach(t, testJobsOverHTTP) }

func testJobsOverHTTP(t *testing.T, store func() storage.Adapter) {
	var code cloud.Code
	code.Job("good", func(ctx context.Context, req *cloud.JobRequest) error { return req.Message(ctx, "half") })
	code.Job("bad", func(context.Context, *cloud.JobRequest) error { return errors.New("broken") })
	code.Job("waits", func(ctx context.Context, _ *cloud.JobRequest) error { <-ctx.Done(); return ctx.Err() })
	s := hookServer(t, with(store), func(c *parley.Config) { c.Cloud = &code })
	mk := []string{"X-Parse-Master-Key", hookMaster}
	for _, c := range []struct{ method, path, body, want string }{
		{"POST", "/jobs/nope", `{}`, `400 {"code":141,"error":"Invalid job."}`},
		{"POST", "/jobs", `{}`, `400 {"code":141,"error":"Invalid job."}`},
		{"GET", "/cloud_code/jobs", ``, `200 []`},
		{"GET", "/cloud_code/jobs/data", ``, `200 {"in_use":[],"jobs":["bad","good","waits"]}`},
		{"POST", "/cloud_code/jobs", `{"job_schedule":{"jobName":"nope"}}`, `500 {"code":1,"error":"Cannot Schedule a job that is not deployed"}`},
		{"POST", "/cloud_code/jobs", `{"job_schedule":{"jobName":"good","repeatMinutes":"x"}}`, `400 {"code":111,"error":"schema mismatch for _JobSchedule.repeatMinutes; expected Number but got String"}`},
		{"PUT", "/cloud_code/jobs/none", `{"job_schedule":{"description":"new"}}`, `404 {"code":101,"error":"Object not found."}`},
		{"DELETE", "/cloud_code/jobs/none", ``, `404 {"code":101,"error":"Object not found."}`},
		{"DELETE", "/jobs/none", ``, `404 {"code":101,"error":"Object not found."}`},
	} {
		if got := hookAsk(t, s, c.method, c.path, c.body, mk...); got != c.want {
			t.Errorf("%s %s %s = %s, want %s", c.method, c.path, c.body, got, c.want)
		}
	}
	if got, want := hookAsk(t, s, "POST", "/jobs/good", `{}`), `403 {"error":"Permission denied"}`; got != want {
		t.Errorf("a job without the master key = %s, want %s", got, want)
	}
	if got, want := hookAsk(t, s, "POST", "/jobs/good", `{}`, "X-Parse-Master-Key", "ro-canary-0123456789"), `400 {"code":119,"error":"Permission denied"}`; got != want {
		t.Errorf("a job with the read-only key = %s, want %s", got, want)
	}
	start := func(name string) string {
		w := ask(t, s, "POST", "/jobs/"+name, `{"a":1}`, append(mk, restKey...)...)
		id := w.Header().Get("X-Parse-Job-Status-Id")
		if w.Code != 200 || w.Body.String() != "{}" || id == "" {
			t.Fatalf("POST /jobs/%s = %d %s with the id %q", name, w.Code, w.Body, id)
		}
		return id
	}
	ends := func(id string, wants ...string) {
		t.Helper()
		eventually(t, func() bool {
			row := hookAsk(t, s, "GET", "/classes/_JobStatus/"+id, "", mk...)
			for _, want := range wants {
				if !strings.Contains(row, want) {
					return false
				}
			}
			return strings.Contains(row, `"finishedAt":{"__type":"Date"`)
		})
	}
	ends(start("good"), `"status":"succeeded"`, `"message":"half"`, `"source":"api"`, `"jobName":"good"`, `"params":{"a":1}`)
	ends(start("bad"), `"status":"failed"`, `"message":"broken"`)
	id := start("waits")
	if got, want := hookAsk(t, s, "DELETE", "/jobs/"+id, "", mk...), `200 {}`; got != want {
		t.Errorf("DELETE = %s, want %s", got, want)
	}
	ends(id, `"status":"failed"`, `"message":"The job was cancelled."`)
	// A schedule of a time that has come.
	created := hookAsk(t, s, "POST", "/cloud_code/jobs", `{"job_schedule":{"jobName":"good","description":"d","params":"{}"}}`, mk...)
	if !strings.HasPrefix(created, `201 {"objectId":"`) {
		t.Fatalf("POST /cloud_code/jobs = %s", created)
	}
	schedule := strings.Split(created, `"`)[3]
	if got := hookAsk(t, s, "PUT", "/cloud_code/jobs/"+schedule, `{"job_schedule":{"description":"e"}}`, mk...); !strings.HasPrefix(got, `200 {"response":{"updatedAt":"`) {
		t.Errorf("PUT = %s", got)
	}
	if got, want := hookAsk(t, s, "GET", "/cloud_code/jobs/data", "", mk...), `200 {"in_use":["good"],"jobs":["bad","good","waits"]}`; got != want {
		t.Errorf("data = %s, want %s", got, want)
	}
	if got, want := hookAsk(t, s, "DELETE", "/cloud_code/jobs/"+schedule, "", mk...), `200 {}`; got != want {
		t.Errorf("DELETE = %s, want %s", got, want)
	}
}

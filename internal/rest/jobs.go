package rest

import (
	"context"
	"net/http"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
)

// jobRoutes start jobs and keep their schedules (contract parse-api.md, 1.5). DELETE is Parley's own.
var jobRoutes = []route{
	{http.MethodPost, "/jobs", masterWrite, startJob, false},
	{http.MethodPost, "/jobs/:name", masterWrite, startJob, true},
	{http.MethodDelete, "/jobs/:name", masterWrite, cancelJob, false},
	{http.MethodGet, "/cloud_code/jobs", masterKey, listSchedules, false},
	{http.MethodGet, "/cloud_code/jobs/data", masterKey, jobData, false},
	{http.MethodPost, "/cloud_code/jobs", masterWrite, createSchedule, false},
	{http.MethodPut, "/cloud_code/jobs/:id", masterWrite, updateSchedule, false},
	{http.MethodDelete, "/cloud_code/jobs/:id", masterWrite, deleteSchedule, false},
}

const scheduleClass = "_JobSchedule"

func startJob(ctx context.Context, s *Server, r *request) (*reply, error) {
	name := r.params.get("name")
	if name == "" {
		name = r.body.String("jobName")
	}
	params := &parse.Map{}
	for key, v := range withQuery(r).All() {
		params.Set(key, parse.Plain(v))
	}
	id, err := s.cfg.Jobs.Run(ctx, name, "api", params, r.objects.JobRequest(r.caller))
	if err != nil {
		return nil, err
	}
	done := empty()
	done.headers = map[string]string{"X-Parse-Job-Status-Id": id}
	return done, nil
}

// cancelJob asks a job to end that runs; its path names the objectId of its _JobStatus.
func cancelJob(ctx context.Context, s *Server, r *request) (*reply, error) {
	if err := s.cfg.Jobs.Cancel(ctx, r.params.get("name")); err != nil {
		return nil, err
	}
	return empty(), nil
}

func schedules(ctx context.Context, r *request) ([]*parse.Object, error) {
	found, err := r.objects.Find(ctx, r.caller, &query.Find{ClassName: scheduleClass, Limit: -1, Order: []query.Order{{Key: "createdAt"}}})
	if err != nil {
		return nil, err
	}
	return found.Objects, nil
}

func listSchedules(ctx context.Context, _ *Server, r *request) (*reply, error) {
	found, err := schedules(ctx, r)
	if err != nil {
		return nil, err
	}
	body := make([]any, len(found))
	for i, object := range found {
		body[i] = parse.Bare{Object: object}
	}
	return &reply{body: body}, nil
}

func jobData(ctx context.Context, s *Server, r *request) (*reply, error) {
	found, err := schedules(ctx, r)
	if err != nil {
		return nil, err
	}
	used, jobs := make([]any, len(found)), []any{}
	for i, object := range found {
		used[i] = object.Get("jobName")
	}
	for _, name := range s.cfg.Cloud.Jobs() {
		jobs = append(jobs, name)
	}
	return &reply{body: parse.NewMap("in_use", used, "jobs", jobs)}, nil
}

// schedule reads job_schedule of the body: of a job that there is, if it names one.
func (s *Server) schedule(r *request) (*parse.Map, error) {
	schedule, ok := r.body.Get("job_schedule").(*parse.Map)
	if !ok {
		return nil, parse.Errorf(parse.InvalidJSON, "job_schedule must be an object")
	}
	if name := schedule.String("jobName"); name != "" && !s.cfg.Cloud.HasJob(name) {
		return nil, parse.Errorf(parse.InternalServerError, "Cannot Schedule a job that is not deployed")
	}
	return schedule, nil
}

func createSchedule(ctx context.Context, s *Server, r *request) (*reply, error) {
	schedule, err := s.schedule(r)
	if err != nil {
		return nil, err
	}
	if !parse.Truthy(schedule.Get("startAfter")) {
		schedule = schedule.Clone()
		schedule.Set("startAfter", parse.DateOf(s.cfg.Now()).String())
	}
	saved, err := r.objects.Create(ctx, r.caller, scheduleClass, schedule)
	if err != nil {
		return nil, err
	}
	return savedReply(saved), nil
}

func updateSchedule(ctx context.Context, s *Server, r *request) (*reply, error) {
	schedule, err := s.schedule(r)
	if err != nil {
		return nil, err
	}
	saved, err := r.objects.Update(ctx, r.caller, scheduleClass, r.params.get("id"), schedule)
	if err != nil {
		return nil, err
	}
	return &reply{body: parse.NewMap("response", saved.Body)}, nil
}

func deleteSchedule(ctx context.Context, _ *Server, r *request) (*reply, error) {
	if err := r.objects.Delete(ctx, r.caller, scheduleClass, r.params.get("id")); err != nil {
		return nil, err
	}
	return empty(), nil
}

package object

import (
	"context"
	"net/http"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/internal/auth"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
)

// acting is the service on behalf of one caller: what a [cloud.Client] speaks to.
type acting struct {
	objects *Objects
	caller  *auth.Caller
}

// cloudInstallation is the installation id of what cloud code asks, as Parse Server has it: a user that signs up that way gets no session.
const cloudInstallation = "cloud"

// Acting returns the service as a client of cloud code sees it, with the rights of a caller.
func (o *Objects) Acting(caller *auth.Caller) cloud.Server {
	return &acting{objects: o, caller: caller}
}

// asking is who asks through a client: with the rights, and without what belongs to the HTTP request.
func (a *acting) asking() *auth.Caller {
	c := *a.caller
	c.InstallationID, c.Headers = cloudInstallation, nil
	return &c
}

func (a *acting) Get(ctx context.Context, class, id string, q *query.Find) (*parse.Object, error) {
	object, err := a.objects.Get(ctx, a.asking(), class, id, q)
	if err != nil {
		return nil, err
	}
	return a.own(object), nil
}

func (a *acting) Find(ctx context.Context, q *query.Find) ([]*parse.Object, error) {
	found, err := a.objects.Find(ctx, a.asking(), q)
	if err != nil {
		return nil, err
	}
	for i, object := range found.Objects {
		found.Objects[i] = a.own(object)
	}
	return found.Objects, nil
}

// own is an object that its reader may change: parts of what was read may be shared.
func (a *acting) own(object *parse.Object) *parse.Object {
	object = object.Clone()
	object.Delete("className")
	return object
}

func (a *acting) Count(ctx context.Context, q *query.Find) (int64, error) {
	found, err := a.objects.Find(ctx, a.asking(), q)
	if err != nil {
		return 0, err
	}
	return found.Count, nil
}

func (a *acting) Create(ctx context.Context, class string, data *parse.Map) (*parse.Map, error) {
	saved, err := a.objects.Create(ctx, a.asking(), class, data.Clone())
	if err != nil {
		return nil, err
	}
	return saved.Body, nil
}

func (a *acting) Update(ctx context.Context, class, id string, data *parse.Map) (*parse.Map, error) {
	saved, err := a.objects.Update(ctx, a.asking(), class, id, data.Clone())
	if err != nil {
		return nil, err
	}
	return saved.Body, nil
}

func (a *acting) Delete(ctx context.Context, class, id string) error {
	return a.objects.Delete(ctx, a.asking(), class, id)
}

func (a *acting) Call(ctx context.Context, function string, params *parse.Map) (any, error) {
	answer, err := a.objects.Call(ctx, a.asking(), function, params)
	if err != nil {
		return nil, err
	}
	return answer.Result, nil
}

// Ask answers what the REST API answers, where this service works: in its transaction, if there is one.
func (a *acting) Ask(ctx context.Context, ask cloud.Ask) (*cloud.Answer, error) {
	if a.objects.cfg.REST == nil {
		return nil, parse.Errorf(parse.ScriptFailed, "This server has no REST API in process.")
	}
	c := &auth.Caller{Master: ask.Master, InstallationID: ask.InstallationID, IP: a.caller.IP, Context: ask.Context}
	if !ask.Master {
		c.SessionToken = ask.SessionToken
	}
	if c.InstallationID == "" {
		c.InstallationID = cloudInstallation
	}
	return a.objects.cfg.REST(ctx, a.objects, c, ask), nil
}

func (a *acting) AsMaster() cloud.Server {
	c := &auth.Caller{Master: true, IP: a.caller.IP, Context: a.caller.Context}
	return &acting{objects: a.objects, caller: c}
}

func (a *acting) AsUser(ctx context.Context, userID string) (cloud.Server, error) {
	class, ok := a.objects.class(schema.UserClass)
	if !ok {
		return nil, notFound()
	}
	stored, err := a.objects.first(ctx, class, ofID(userID))
	if err != nil {
		return nil, clientError(err)
	}
	if stored == nil || userID == "" {
		return nil, notFound()
	}
	expose(stored)
	c := &auth.Caller{User: shownTo(stored), IP: a.caller.IP, Context: a.caller.Context}
	if a.objects.cfg.RolesOf != nil {
		if c.Roles, err = a.objects.cfg.RolesOf(ctx, userID); err != nil {
			return nil, clientError(err)
		}
	}
	return &acting{objects: a.objects, caller: c}, nil
}

func (a *acting) WithContext(values *parse.Map) cloud.Server {
	c := *a.caller
	c.Context = values.Clone()
	return &acting{objects: a.objects, caller: &c}
}

// Answer is what a function answers.
type Answer struct {
	// Result is a value of package parse. Given tells whether there is one: nothing is not null.
	Result any
	Given  bool
	// Status of the answer, 0 for 200; Header is sent with it.
	Status int
	Header http.Header
}

// Call runs a function of the cloud code. An unknown one is code 141. params are not changed.
func (o *Objects) Call(ctx context.Context, caller *auth.Caller, function string, params *parse.Map) (*Answer, error) {
	req := &cloud.FunctionRequest{Request: o.request(caller, shared(caller)), Function: function, Params: &parse.Map{}, Header: http.Header{}}
	for name, v := range params.All() {
		req.Params.Set(name, parse.Clone(parse.Plain(v)))
	}
	result, given, err := o.cfg.Cloud.Call(ctx, req)
	if err != nil {
		return nil, clientError(err)
	}
	if req.Status != 0 && (req.Status < 200 || req.Status > 599) {
		return nil, parse.Errorf(parse.ScriptFailed, "%d is no status of an answer.", req.Status)
	}
	return &Answer{Result: result, Given: given, Status: req.Status, Header: req.Header}, nil
}

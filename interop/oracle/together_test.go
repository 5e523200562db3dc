package oracle

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/conformance"
)

// TestTogether has Parse Server and Parley serve one database at once: each goes on with what the other wrote, and knows of the
// other's changes of the schema when it is told, or when it meets them.
func TestTogether(t *testing.T) {
	needed(t)
	for _, c := range []struct {
		name, options string
		told          bool // Parse Server listens for changes of the schema
	}{
		{"told", `{"allowClientClassCreation":true,"idempotencyOptions":{"paths":[".*"],"ttl":300},"databaseOptions":{"enableSchemaHooks":true}}`, true},
		{"not told", `{"allowClientClassCreation":true,"idempotencyOptions":{"paths":[".*"],"ttl":300}}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			uri := newDatabase(t, true)
			theirs := startParseServer(t, c.options, uri)
			ours := startParley(t, c.options, uri)
			both := &pair{ours: &peer{ours, newClient(t)}, theirs: &peer{theirs, newClient(t)}}
			for _, test := range []struct {
				name string
				run  func(*testing.T, *pair)
			}{
				{"objects", together.objects}, {"users", together.users}, {"roles", together.roles}, {"names", together.names},
				{"updates", together.updates}, {"fields", together.fields}, {"requests", together.requests}, {"classes", together.classes},
				{"long names", together.longNames},
			} {
				t.Run(test.name, func(t *testing.T) { test.run(t, both) })
			}
			if c.told {
				t.Run("schemas", func(t *testing.T) { together.schemas(t, both) })
			}
		})
	}
}

// together holds the tests of TestTogether.
var together stories

type stories struct{}

// A pair is the two servers; each test is run from both sides.
type pair struct{ ours, theirs *peer }

func (p *pair) eachWay(test func(a, b *peer)) {
	test(p.theirs, p.ours)
	test(p.ours, p.theirs)
}

type peer struct {
	*server
	client *http.Client
}

// reply is an answer: its members, and its status as "status".
type reply map[string]any

func (r reply) text(name string) string { return fmt.Sprint(r[name]) }

func (r reply) String() string {
	text, _ := json.Marshal(map[string]any(r))
	return string(text)
}

// call sends a request; as says who does: nobody if empty, "master", or whose session token it is.
func (p *peer) call(t *testing.T, as, method, path, body string, headers ...string) reply {
	t.Helper()
	r, err := p.try(t, as, method, path, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (p *peer) try(t *testing.T, as, method, path, body string, headers ...string) (reply, error) {
	request, err := http.NewRequestWithContext(t.Context(), method, p.url+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("X-Parse-Application-Id", conformance.ApplicationID)
	request.Header.Set("Content-Type", "application/json")
	switch {
	case as == "master":
		request.Header.Set("X-Parse-Master-Key", conformance.MasterKey)
	case as != "":
		request.Header.Set("X-Parse-Session-Token", as)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := p.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	r := reply{}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &r); err != nil {
			r["list"] = string(text)
		}
	}
	r["status"] = response.StatusCode
	return r, nil
}

// want sends a request and wants a status.
func (p *peer) want(t *testing.T, status int, as, method, path, body string, headers ...string) reply {
	t.Helper()
	r := p.call(t, as, method, path, body, headers...)
	if r["status"] != status {
		t.Fatalf("%s: %s %s %s = %v, want %d", p.name, method, path, body, r, status)
	}
	return r
}

// soon sends a request until it is answered with a status: what the other did may be in a cache for some seconds.
func (p *peer) soon(t *testing.T, status int, as, method, path, body string) reply {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		r := p.call(t, as, method, path, body)
		if r["status"] == status {
			return r
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %s %s %s = %v, want %d", p.name, method, path, body, r, status)
		}
	}
}

// alike wants the same answer from both, once each has heard of what the other did.
func (p *pair) alike(t *testing.T, as, path string) reply {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		theirs, ours := p.theirs.call(t, as, "GET", path, ""), p.ours.call(t, as, "GET", path, "")
		diff := cmp.Diff(theirs, ours)
		if diff == "" {
			return ours
		}
		if time.Now().After(deadline) {
			t.Errorf("GET %s: Parley answers other than Parse Server (-Parse Server +Parley):\n%s", path, diff)
			return ours
		}
	}
}

// objects: what one creates the other reads, changes and deletes.
func (stories) objects(t *testing.T, p *pair) {
	p.eachWay(func(a, b *peer) {
		id := a.want(t, 201, "", "POST", "/classes/Shared", `{"n":1,"s":"by `+a.name+`","at":{"__type":"Date","iso":"2020-01-02T03:04:05.678Z"},"g":{"__type":"GeoPoint","latitude":1,"longitude":2},"o":{"k":[1]},"l":[1,"a"]}`).text("objectId")
		b.soon(t, 200, "", "GET", "/classes/Shared/"+id, "")
		p.alike(t, "", "/classes/Shared/"+id)
		b.want(t, 200, "", "PUT", "/classes/Shared/"+id, `{"n":{"__op":"Increment","amount":2},"s":"changed","o.x":true,"l":{"__op":"Add","objects":["b"]}}`)
		if got := p.alike(t, "", "/classes/Shared/"+id); got["n"] != 3.0 || got["s"] != "changed" {
			t.Errorf("after %s changed it: %v", b.name, got)
		}
		a.want(t, 200, "", "DELETE", "/classes/Shared/"+id, "")
		b.want(t, 404, "", "GET", "/classes/Shared/"+id, "")
	})
	p.alike(t, "", "/classes/Shared?order=objectId")
	p.alike(t, "master", "/schemas/Shared")
}

// users: who signs up with one logs in with the other, sessions are good for both, and end for both.
func (stories) users(t *testing.T, p *pair) {
	p.eachWay(func(a, b *peer) {
		name := strings.ToLower(strings.ReplaceAll(a.name, " ", ""))
		up := a.want(t, 201, "", "POST", "/users", `{"username":"`+name+`","password":"first","email":"`+name+`@example.com"}`)
		id, token := up.text("objectId"), up.text("sessionToken")
		b.want(t, 200, token, "GET", "/users/me", "")
		p.alike(t, token, "/users/"+id)
		second := b.want(t, 200, "", "POST", "/login", `{"username":"`+name+`","password":"first"}`).text("sessionToken")
		a.want(t, 200, second, "GET", "/users/me", "")
		b.want(t, 200, second, "POST", "/logout", "{}")
		a.soon(t, 400, second, "GET", "/users/me", "")
		third := b.want(t, 200, token, "PUT", "/users/"+id, `{"password":"second","note":"by `+b.name+`"}`).text("sessionToken")
		a.soon(t, 400, token, "GET", "/users/me", "")
		a.want(t, 200, third, "GET", "/users/me", "")
		a.want(t, 404, "", "POST", "/login", `{"username":"`+name+`","password":"first"}`)
		a.want(t, 200, "", "POST", "/login", `{"username":"`+name+`","password":"second"}`)
		b.want(t, 400, "", "POST", "/users", `{"username":"`+strings.ToUpper(name)+`","password":"x"}`)
		b.want(t, 400, "", "POST", "/users", `{"username":"other","password":"x","email":"`+strings.ToUpper(name)+`@example.com"}`)
		anonymous := a.want(t, 201, "", "POST", "/users", `{"authData":{"anonymous":{"id":"`+name+`"}}}`).text("objectId")
		if got := b.want(t, 200, "", "POST", "/users", `{"authData":{"anonymous":{"id":"`+name+`"}}}`); got.text("objectId") != anonymous {
			t.Errorf("%s: who is anonymous logs in as %v, want %s", b.name, got, anonymous)
		}
	})
	p.alike(t, "master", "/users?order=objectId")
	p.alike(t, "master", "/sessions?order=objectId")
}

// roles: members that one adds or removes may, or may no longer, with the other.
func (stories) roles(t *testing.T, p *pair) {
	p.eachWay(func(a, b *peer) {
		name := "of" + strings.ReplaceAll(a.name, " ", "")
		up := a.want(t, 201, "", "POST", "/users", `{"username":"member `+name+`","password":"p"}`)
		user, token := `{"__type":"Pointer","className":"_User","objectId":"`+up.text("objectId")+`"}`, up.text("sessionToken")
		secret := a.want(t, 201, "master", "POST", "/classes/Secret", `{"ACL":{"role:`+name+`":{"read":true}}}`).text("objectId")
		b.want(t, 404, token, "GET", "/classes/Secret/"+secret, "")
		role := a.want(t, 201, "master", "POST", "/roles", `{"name":"`+name+`","ACL":{},"users":{"__op":"AddRelation","objects":[`+user+`]}}`).text("objectId")
		a.want(t, 200, token, "GET", "/classes/Secret/"+secret, "")
		b.soon(t, 200, token, "GET", "/classes/Secret/"+secret, "")
		b.want(t, 200, "master", "PUT", "/roles/"+role, `{"users":{"__op":"RemoveRelation","objects":[`+user+`]}}`)
		b.want(t, 404, token, "GET", "/classes/Secret/"+secret, "")
		a.soon(t, 404, token, "GET", "/classes/Secret/"+secret, "")
	})
	p.alike(t, "master", "/roles?order=objectId")
}

// atOnce runs work on both servers, n times each.
func (p *pair) atOnce(n int, work func(at *peer, i int)) {
	var wg sync.WaitGroup
	for _, at := range []*peer{p.theirs, p.ours} {
		for i := range n {
			wg.Go(func() { work(at, i) })
		}
	}
	wg.Wait()
}

// names: of those who take a name at the same time with both, one gets it.
func (stories) names(t *testing.T, p *pair) {
	var mu sync.Mutex
	made := map[string]int{}
	const users = 8
	p.atOnce(users, func(at *peer, i int) {
		body := fmt.Sprintf(`{"username":"taken%d","password":"p"}`, i)
		r, err := at.try(t, "", "POST", "/users", body)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil:
			t.Errorf("%s: %v", at.name, err)
		case r["status"] == 201:
			made[fmt.Sprint("taken", i)]++
		case r["code"] != 202.0:
			t.Errorf("%s: POST /users %s = %v, want it made, or code 202", at.name, body, r)
		}
	})
	for i := range users {
		if n := made[fmt.Sprint("taken", i)]; n != 1 {
			t.Errorf("%d users are called taken%d, want 1", n, i)
		}
	}
}

// updates: what both change at the same time is all there.
func (stories) updates(t *testing.T, p *pair) {
	id := p.ours.want(t, 201, "", "POST", "/classes/Counter", `{"n":0,"list":[]}`).text("objectId")
	p.theirs.soon(t, 200, "", "GET", "/classes/Counter/"+id, "")
	const times = 25
	p.atOnce(times, func(at *peer, i int) {
		member := fmt.Sprintf("%s %d", at.name, i)
		r, err := at.try(t, "", "PUT", "/classes/Counter/"+id, `{"n":{"__op":"Increment","amount":1},"list":{"__op":"AddUnique","objects":["`+member+`"]}}`)
		if err != nil || r["status"] != 200 {
			t.Errorf("%s: PUT = %v, %v", at.name, r, err)
		}
	})
	got := p.ours.want(t, 200, "", "GET", "/classes/Counter/"+id, "")
	if list, _ := got["list"].([]any); got["n"] != 2.0*times || len(list) != 2*times {
		t.Errorf("after %d updates with each: %v", times, got)
	}
	p.alike(t, "", "/classes/Counter/"+id)
}

// fields: both add fields to one class at the same time, and members to one relation.
func (stories) fields(t *testing.T, p *pair) {
	id := p.ours.want(t, 201, "", "POST", "/classes/Growing", `{"n":0}`).text("objectId")
	const each = 5
	var mu sync.Mutex
	made := map[string]string{}
	p.atOnce(each, func(at *peer, i int) {
		field := fmt.Sprintf("%s%d", strings.ReplaceAll(at.name, " ", ""), i)
		body := fmt.Sprintf(`{"%s":%d,"all":{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"Growing","objectId":"%s"}]}}`, field, i, id)
		r, err := at.try(t, "", "POST", "/classes/Growing", body)
		if err != nil || r["status"] != 201 {
			t.Errorf("%s: POST %s = %v, %v", at.name, body, r, err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		made[field] = r.text("objectId")
	})
	for field, object := range made {
		if got := p.alike(t, "", "/classes/Growing/"+object); got[field] == nil {
			t.Errorf("the object of %s = %v", field, got)
		}
	}
	p.alike(t, "", "/classes/Growing?order=objectId")
	where := `?where={"all":{"__type":"Pointer","className":"Growing","objectId":"` + id + `"}}&order=objectId`
	if got, _ := p.alike(t, "", "/classes/Growing"+strings.NewReplacer("{", "%7B", "}", "%7D", `"`, "%22").Replace(where))["results"].([]any); len(got) != 2*each {
		t.Errorf("%d objects have the member that all added, want %d", len(got), 2*each)
	}
}

// requests: a request that one answered the other does not make again.
func (stories) requests(t *testing.T, p *pair) {
	p.eachWay(func(a, b *peer) {
		id := "request of " + a.name
		a.want(t, 201, "", "POST", "/classes/Once", `{"by":"`+a.name+`"}`, "X-Parse-Request-Id", id)
		if r := b.want(t, 400, "", "POST", "/classes/Once", `{"by":"`+b.name+`"}`, "X-Parse-Request-Id", id); r["code"] != 159.0 {
			t.Errorf("%s: a request again = %v, want code 159", b.name, r)
		}
	})
	p.alike(t, "", "/classes/Once?order=objectId")
}

// classes: one uses the class and the field that the other made, and the types are those that the first value gave, told of them or not.
func (stories) classes(t *testing.T, p *pair) {
	p.eachWay(func(a, b *peer) {
		class := "New" + strings.ReplaceAll(a.name, " ", "")
		a.want(t, 201, "", "POST", "/classes/"+class, `{"n":1,"s":"x"}`)
		b.want(t, 201, "", "POST", "/classes/"+class, `{"n":2,"s":"y"}`)
		b.want(t, 400, "", "POST", "/classes/"+class, `{"n":"text"}`)
		b.want(t, 201, "", "POST", "/classes/"+class, `{"later":true}`)
		a.want(t, 201, "", "POST", "/classes/"+class, `{"later":false}`)
		a.want(t, 400, "", "POST", "/classes/"+class, `{"later":"text"}`)
		a.want(t, 201, "", "POST", "/classes/"+class, `{"at":{"__type":"Date","iso":"2020-01-02T03:04:05.678Z"},"list":[1]}`)
		b.soon(t, 201, "", "POST", "/classes/"+class, `{"at":{"__type":"Date","iso":"2021-01-02T03:04:05.678Z"},"list":[2]}`)
		p.alike(t, "", "/classes/"+class+"?order=objectId")
	})
}

// longNames: PostgreSQL cuts off a name after 63 bytes, and Parse Server lets it. Parley's own tables are not cut off, so that classes which
// begin alike stay apart; Parse Server sees nothing in them. What Parse Server made is found by both.
func (stories) longNames(t *testing.T, p *pair) {
	class := "Long" + strings.Repeat("g", 70)
	p.ours.want(t, 201, "", "POST", "/classes/"+class, `{"n":1}`)
	p.ours.want(t, 200, "", "GET", "/classes/"+class, "")
	if r := p.theirs.want(t, 200, "", "GET", "/classes/"+class, ""); len(r["results"].([]any)) != 0 {
		t.Errorf("%s: a class with a long name = %v, want nothing", p.theirs.name, r)
	}
}

// schemas: permissions, indexes, fields and classes that one changes are changed for the other, when it is told.
func (stories) schemas(t *testing.T, p *pair) {
	p.eachWay(func(a, b *peer) {
		class := "Schema" + strings.ReplaceAll(a.name, " ", "")
		path, objects := "/schemas/"+class, "/classes/"+class
		a.want(t, 200, "master", "POST", path, `{"className":"`+class+`","fields":{"n":{"type":"Number"},"s":{"type":"String","defaultValue":"d"}},"indexes":{"i_`+class+`":{"n":1}}}`)
		b.soon(t, 200, "master", "GET", path, "")
		p.alike(t, "master", path)
		if r := b.want(t, 201, "", "POST", objects, `{"n":1}`); r["s"] != "d" {
			t.Errorf("%s: an object without a value = %v, want the default", b.name, r)
		}
		const closed = `{"classLevelPermissions":{"find":{},"get":{"*":true},"count":{},"create":{"*":true},"update":{},"delete":{},"addField":{},"protectedFields":{}}}`
		a.want(t, 200, "master", "PUT", path, closed)
		b.soon(t, 400, "", "GET", objects, "")
		b.want(t, 400, "", "POST", objects, `{"unheard":1}`)
		b.want(t, 200, "master", "PUT", path, `{"fields":{"s":{"__op":"Delete"},"more":{"type":"Array"}}}`)
		a.soon(t, 400, "", "POST", objects, `{"s":"x"}`)
		a.soon(t, 201, "", "POST", objects, `{"more":[1]}`)
		p.alike(t, "master", path)
		p.alike(t, "master", objects+"?order=objectId")
		b.want(t, 200, "master", "DELETE", "/purge/"+class, "")
		b.want(t, 200, "master", "DELETE", path, "")
		a.soon(t, 400, "master", "GET", path, "")
		a.want(t, 201, "", "POST", objects, `{"n":"text"}`)
		b.soon(t, 201, "", "POST", objects, `{"n":"text too"}`)
		p.alike(t, "", objects+"?order=objectId")
	})
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// launchCloud starts the same cloud code in each way: Go, JavaScript and webhooks in Parley, JavaScript in Parse Server. The webhooks are
// answered by this process.
func launchCloud(ctx context.Context, dir string, o options) (peers []*peer, end func() error, err error) {
	node, modules, err := nodeAndModules(o)
	if err != nil {
		return nil, nil, err
	}
	say("building")
	if err := errors.Join(
		build(ctx, "..", "./cmd/parley", filepath.Join(dir, "parley")),
		build(ctx, ".", "./peer/parleygo", filepath.Join(dir, "parleygo")),
		copyFile("peer/parseserver/server.js", filepath.Join(dir, "server.js")),
		copyFile("peer/cloud/main.js", filepath.Join(dir, "main.js")),
		os.Symlink(modules, filepath.Join(dir, "node_modules")), // where both find the SDK
	); err != nil {
		return nil, nil, err
	}
	hooks, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	sink := &http.Server{Handler: http.HandlerFunc(answerHook)}
	go sink.Serve(hooks) // ends with Close
	pg, stop, err := openPostgres(ctx, dir, o.postgres)
	end = func() error {
		err := sink.Close()
		if stop != nil {
			err = errors.Join(err, stop())
		}
		return err
	}
	if err != nil {
		return nil, end, err
	}
	for i, way := range []string{"Go", "JavaScript", "webhooks", "Parse Server"} {
		name := fmt.Sprintf("bench_cloud_%d", i)
		if err := pg.fresh(ctx, name); err != nil {
			return nil, end, err
		}
		p := parleyOnPostgres(dir, pg, nil)
		p.name = "Parley, " + way
		p.args[len(p.args)-3], p.args[len(p.args)-1] = filepath.Join(dir, "home-"+way), pg.uri(name)
		switch way {
		case "Go":
			p.binary, p.args = filepath.Join(dir, "parleygo"), []string{"-listen", "{address}", "-db", pg.uri(name)}
		case "JavaScript":
			p.args = append(p.args, "--cloud", filepath.Join(dir, "main.js"))
		case "Parse Server":
			p = parseServerPeer(dir, node, pg, nil)
			p.args[len(p.args)-1] = pg.uri(name)
			p.env = append(p.env, "BENCH_CLOUD="+filepath.Join(dir, "main.js"))
		}
		p.works = cloudWorks
		p.prepare = prepareCloud("")
		if way == "webhooks" {
			p.prepare = prepareCloud("http://" + hooks.Addr().String())
		}
		peers = append(peers, p)
	}
	return peers, end, nil
}

// cloudWorks are the requests of each operation, the same for all.
func cloudWorks([]string) map[string]work {
	save := func(class string) work {
		return func(r *rand.Rand, b []byte) []byte {
			return request(b, "POST", "/parse/classes/"+class, parleyHeaders, object(r.IntN(1<<20), parseDate))
		}
	}
	return map[string]work{
		"plain": save("Plain"), "checked": save("Checked"),
		"call": func(_ *rand.Rand, b []byte) []byte {
			return request(b, "POST", "/parse/functions/empty", parleyHeaders, []byte("{}"))
		},
	}
}

// prepareCloud makes the classes, and the webhooks if there is an address for them.
func prepareCloud(hooks string) func(ctx context.Context, s *server, n int) ([]string, error) {
	return func(ctx context.Context, s *server, _ int) ([]string, error) {
		c := caller{base: "http://" + s.address, header: http.Header{"X-Parse-Application-Id": {"bench"}, "X-Parse-Master-Key": {masterKey}}}
		for _, class := range []string{"Plain", "Checked"} {
			err := c.call(ctx, "POST", "/parse/schemas/"+class, fmt.Sprintf(`{"className":%q,"fields":{"title":{"type":"String"},"body":{"type":"String"},`+
				`"category":{"type":"String"},"email":{"type":"String"},"grp":{"type":"Number"},"score":{"type":"Number"},"ratio":{"type":"Number"},`+
				`"open":{"type":"Boolean"},"at":{"type":"Date"},"meta":{"type":"Object"}}}`, class), nil)
			if err != nil {
				return nil, err
			}
		}
		if hooks == "" {
			return nil, nil
		}
		return nil, errors.Join(
			c.call(ctx, "POST", "/parse/hooks/functions", fmt.Sprintf(`{"functionName":"empty","url":"%s/empty"}`, hooks), nil),
			c.call(ctx, "POST", "/parse/hooks/triggers", fmt.Sprintf(`{"className":"Checked","triggerName":"beforeSave","url":"%s/checked"}`, hooks), nil),
		)
	}
}

// answerHook is what main.js is, as a webhook.
func answerHook(w http.ResponseWriter, q *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if q.URL.Path == "/empty" {
		fmt.Fprint(w, `{"success":"ok"}`)
		return
	}
	var in struct{ Object map[string]any }
	if err := json.NewDecoder(q.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	title, _ := in.Object["title"].(string)
	in.Object["category"] = strings.ToUpper(title)
	_ = json.NewEncoder(w).Encode(map[string]any{"success": in.Object}) // a reader that went away hears nothing
}

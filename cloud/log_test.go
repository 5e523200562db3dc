package cloud_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/parse"
)

// lines keeps what is logged, without the time that it took.
type lines struct {
	slog.Handler
	all *[]string
}

func (l lines) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

func (l lines) Handle(_ context.Context, r slog.Record) error {
	text := []string{r.Level.String()}
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != "took" {
			text = append(text, fmt.Sprint(a.Key, "=", a.Value))
		}
		return true
	})
	*l.all = append(*l.all, strings.Join(text, " "))
	return nil
}

func TestLevels(t *testing.T) {
	user := parse.NewObject("_User")
	user.Set("objectId", "u1")
	run := func(levels cloud.Levels) []string {
		var code cloud.Code
		code.Define("good", func(context.Context, *cloud.FunctionRequest) (any, error) { return "a secret", nil })
		code.Define("bad", func(context.Context, *cloud.FunctionRequest) (any, error) {
			return nil, parse.Errorf(parse.ObjectNotFound, "none")
		})
		code.BeforeSave("A", func(_ context.Context, req *cloud.SaveRequest) error {
			if req.Master {
				return nil
			}
			return errors.New("no")
		})
		code.AfterSave("A", func(context.Context, *cloud.SaveRequest) error { return nil })
		var told []string
		h, err := code.Compile(cloud.Options{Log: slog.New(lines{slog.DiscardHandler, &told}), Levels: levels})
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		h.Call(ctx, &cloud.FunctionRequest{Request: cloud.Request{User: user}, Function: "good"})
		h.Call(ctx, &cloud.FunctionRequest{Function: "bad"})
		h.Run(ctx, cloud.BeforeSave, "A", &cloud.SaveRequest{Request: cloud.Request{Master: true}})
		h.Run(ctx, cloud.BeforeSave, "A", &cloud.SaveRequest{})
		h.Run(ctx, cloud.AfterSave, "A", &cloud.SaveRequest{})
		return told
	}
	all := cloud.Levels{
		cloud.FunctionSuccess: slog.LevelInfo, cloud.FunctionError: slog.LevelError, cloud.BeforeSuccess: slog.LevelInfo,
		cloud.BeforeError: slog.LevelWarn, cloud.After: slog.LevelInfo,
	}
	for _, c := range []struct {
		name   string
		levels cloud.Levels
		want   []string
	}{
		{"none", nil, nil},
		{"below what the log takes", cloud.Levels{cloud.FunctionSuccess: slog.LevelDebug}, nil},
		{"errors", cloud.Levels{cloud.FunctionError: slog.LevelError}, []string{"ERROR event=cloudFunctionError cloud=function bad code=101 error=none"}},
		{"all", all, []string{
			"INFO event=cloudFunctionSuccess cloud=function good user=u1",
			"ERROR event=cloudFunctionError cloud=function bad code=101 error=none",
			"INFO event=triggerBeforeSuccess cloud=beforeSave of A master=true",
			"WARN event=triggerBeforeError cloud=beforeSave of A code=141 error=no",
			"INFO event=triggerAfter cloud=afterSave of A",
		}},
	} {
		if got := run(c.levels); strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

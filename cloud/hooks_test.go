package cloud

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/parley-backend/parley/parse"
)

// answering is code whose function f answers a text, and whose beforeSave of A sets it.
func answering(text string) *Code {
	var code Code
	code.Define("f", func(context.Context, *FunctionRequest) (any, error) { return text, nil })
	code.BeforeSave("A", func(_ context.Context, req *SaveRequest) error { req.Object.Set("by", text); return nil })
	return &code
}

func TestLayers(t *testing.T) {
	h, err := answering("go").Compile(Options{})
	if err != nil {
		t.Fatal(err)
	}
	look := func() string {
		save := &SaveRequest{Object: parse.NewObject("A")}
		if err := h.Run(t.Context(), BeforeSave, "A", save); err != nil {
			return err.Error()
		}
		result, _, err := h.Call(t.Context(), &FunctionRequest{Function: "f"})
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(save.Object.Get("by"), " ", result)
	}
	var changes int
	h.OnChange(func() { changes++ })
	var broken Code
	broken.BeforeSave("_Session", save)
	for i, c := range []struct {
		layer string
		code  *Code
		want  string // of look
		fails string
	}{
		{layer: WebhooksLayer, code: answering("webhook"), want: "go go"},
		{layer: GoLayer, want: "webhook webhook"},
		{layer: JavaScriptLayer, code: answering("js"), want: "js js"},
		{layer: JavaScriptLayer, code: answering("js2"), want: "js2 js2"},
		{layer: JavaScriptLayer, code: &broken, want: "js2 js2", fails: "Only the afterLogout"},
		{layer: "other", code: answering("x"), want: "js2 js2", fails: "there is no layer \"other\""},
		{layer: GoLayer, code: answering("go2"), want: "go2 go2"},
		{layer: GoLayer, code: &Code{}, want: "js2 js2"},
		{layer: JavaScriptLayer, want: "webhook webhook"},
		{layer: WebhooksLayer, want: "<nil> 141 Invalid function: \"f\""},
	} {
		err := h.SetLayer(c.layer, c.code)
		if (err != nil) != (c.fails != "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%d: SetLayer(%s) = %v, want %q", i, c.layer, err, c.fails)
		}
		got := look()
		if c.want[0] == '<' {
			got = "<nil> " + got
		}
		if got != c.want {
			t.Errorf("%d: after SetLayer(%s): %s, want %s", i, c.layer, got, c.want)
		}
	}
	if changes != 8 || h.Any() {
		t.Errorf("%d changes, Any %v; want 8, false", changes, h.Any())
	}
}

// A run sees all of one layer: its trigger and its function are of the same code.
func TestLayersChangeAtOnce(t *testing.T) {
	h, err := (*Code)(nil).Compile(Options{})
	if err != nil {
		t.Fatal(err)
	}
	pair := func(n int) *Code {
		var code Code
		code.Define(fmt.Sprint("only", n), call)
		code.Job(fmt.Sprint("only", n), func(context.Context, *JobRequest) error { return nil })
		return &code
	}
	done := make(chan struct{})
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				now := h.now()
				for name := range now.functions {
					if now.jobs[name] == nil {
						t.Errorf("function %s without its job", name)
					}
				}
			}
		})
	}
	for i := range 500 {
		if err := h.SetLayer(JavaScriptLayer, pair(i%2)); err != nil {
			t.Error(err)
		}
	}
	close(done)
	wait.Wait()
	if got, want := h.Functions(), []string{"only1"}; !slices.Equal(got, want) {
		t.Errorf("Functions() = %v, want %v", got, want)
	}
	if got, want := h.Jobs(), []string{"only1"}; !slices.Equal(got, want) || !h.HasJob("only1") || h.HasJob("only0") {
		t.Errorf("Jobs() = %v, want %v", got, want)
	}
}

// What a server asks at each trigger point when there is nothing to run.
func BenchmarkNoCode(b *testing.B) {
	h, err := (*Code)(nil).Compile(Options{})
	if err != nil {
		b.Fatal(err)
	}
	for range b.N {
		if h.Has(BeforeSave, "A") {
			b.Fatal("there is a trigger")
		}
	}
}

func BenchmarkOtherCode(b *testing.B) {
	h, err := answering("go").Compile(Options{})
	if err != nil {
		b.Fatal(err)
	}
	for range b.N {
		if h.Has(BeforeSave, "B") {
			b.Fatal("there is a trigger")
		}
	}
}

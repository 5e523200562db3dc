package node

import (
	"context"

	"github.com/parley-backend/parley/cloud"
	"github.com/parley-backend/parley/parse"
)

// asked answers what the code asks of the server: with the rights that it names, through the client of the call that it belongs to.
func (w *process) asked(m *parse.Map) {
	ask := cloud.Ask{
		Method: m.String("method"), Path: m.String("path"), Master: m.Get("master") == true,
		SessionToken: m.String("sessionToken"), InstallationID: m.String("installationId"),
	}
	ask.Body, _ = m.Get("body").(*parse.Map)
	ask.Context, _ = m.Get("context").(*parse.Map)
	client, ctx := w.pool.server(), context.Background()
	if n, ok := m.Get("call").(float64); ok {
		w.mu.Lock()
		if c := w.calls[uint64(n)]; c != nil {
			client, ctx = c.client, c.ctx
		}
		w.mu.Unlock()
	}
	// Code may ask without waiting for the answer: that the call has ended does not end what it asked for.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(w.pool.ctx, cancel)
	w.pool.aside.Go(func() {
		defer cancel()
		defer stop()
		answer, ok := told(ctx, ask)
		if ok {
			w.answer(id(m), answer)
			return
		}
		answer, err := client.Ask(ctx, ask)
		if err != nil {
			code, text := parse.ScriptFailed, err.Error()
			if told, ok := err.(*parse.Error); ok {
				code, text = told.Code, told.Message
			}
			answer = &cloud.Answer{Status: 400, Body: parse.NewMap("code", float64(code), "error", text)}
		}
		w.answer(id(m), answer)
	})
}

// answer sends the answer to an ask.
func (w *process) answer(id uint64, a *cloud.Answer) {
	message := parse.NewMap("t", "answer", "id", float64(id), "status", float64(a.Status), "body", a.Body)
	if len(a.Header) > 0 {
		headers := &parse.Map{}
		for name, values := range a.Header {
			headers.Set(name, values[len(values)-1])
		}
		message.Set("headers", headers)
	}
	frame, err := encode(message)
	if err != nil {
		frame, _ = encode(parse.NewMap("t", "answer", "id", float64(id), "status", 400.0, "body",
			parse.NewMap("code", float64(parse.ExceededQuota), "error", "The answer is too large for cloud code: "+err.Error())))
	}
	w.send(context.Background(), frame)
}

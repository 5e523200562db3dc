package node

import (
	"context"
	"log/slog"

	"github.com/parley-backend/parley/cloud"
)

// Report is what there is to say of a file without a server to run it.
type Report struct {
	File          string         `json:"file"`
	Node          string         `json:"node"`
	SDK           string         `json:"sdk"`
	Registrations []Registration `json:"registrations"`
	// Problems keep a server from using the code; Warnings do not.
	Problems []string `json:"problems"`
	Warnings []string `json:"warnings"`
}

// Check loads the code in one worker and tells what it registers. The error says why it cannot be loaded. What the code asks of its server
// while it is loaded fails: there is none.
func Check(ctx context.Context, o Options) (*Report, error) {
	o.Workers, o.Watch, o.OnChange, o.Log = 1, false, nil, slog.New(slog.DiscardHandler)
	r, err := Start(ctx, cloud.NewClient(nil), o)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	p := r.pool.Load()
	report := &Report{File: r.main, Registrations: []Registration{}, Problems: []string{}, Warnings: []string{}}
	p.mu.Lock()
	report.Node, report.SDK = p.node1, p.sdk
	report.Warnings = append(report.Warnings, p.odds...)
	for _, v := range p.list {
		report.Registrations = append(report.Registrations, registrationOf(v))
	}
	p.mu.Unlock()
	if _, err := r.Code().Compile(cloud.Options{}); err != nil {
		joined, ok := err.(interface{ Unwrap() []error })
		if !ok {
			report.Problems = append(report.Problems, err.Error())
			return report, nil
		}
		for _, e := range joined.Unwrap() {
			report.Problems = append(report.Problems, e.Error())
		}
	}
	return report, nil
}

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/parley-backend/parley/config"
	"github.com/parley-backend/parley/internal/migrate"
	"github.com/parley-backend/parley/storage"
)

// migrateCommand works on databases, without a server.
type migrateCommand struct {
	Check checkCommand `cmd:"" help:"Look at a database of Parse Server, or of Parley, and tell what would not carry over. It is not changed. Exit status 1 when something would be lost."`
	Copy  copyCommand  `cmd:"" help:"Copy a database into an empty one. A copy that was interrupted goes on when it is run again."`
}

func (c *migrateCommand) run(env environment, command string) error {
	if command == "check" {
		return c.Check.run(env)
	}
	return c.Copy.run(env)
}

type checkCommand struct {
	Database    string `arg:"" help:"The database: postgres://…, a reference to one such as env:NAME, or sqlite://PATH, which is checked for a move to PostgreSQL."`
	Credentials string `help:"Login, as databaseCredentials." placeholder:"REF"`
	JSON        bool   `name:"json" help:"Print what was found as JSON."`
}

func (c *checkCommand) run(env environment) error {
	log := slog.New(slog.NewTextHandler(env.errs, &slog.HandlerOptions{Level: slog.LevelWarn}))
	found, err := config.CheckDatabase(env.ctx, c.Database, c.Credentials, log)
	if err != nil {
		return err
	}
	bad := 0
	for _, f := range found {
		if f.Level == "error" {
			bad++
		}
	}
	if c.JSON {
		encoder := json.NewEncoder(env.out)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(map[string]any{"findings": append([]storage.Finding{}, found...), "errors": bad}); err != nil {
			return err
		}
	} else {
		for _, f := range found {
			fmt.Fprintf(env.out, "%-8s %s: %s\n", f.Level, f.About, f.Text)
		}
	}
	switch {
	case bad > 0:
		return fmt.Errorf("%d things would not carry over", bad)
	case !c.JSON:
		fmt.Fprintln(env.out, "everything carries over")
	}
	return nil
}

type copyCommand struct {
	From            string `arg:"" help:"The database to read: sqlite://PATH, postgres://…, or a reference to the latter such as env:NAME."`
	To              string `arg:"" help:"The database to write; it must be empty."`
	FromCredentials string `help:"Login for FROM, as databaseCredentials." placeholder:"REF"`
	ToCredentials   string `help:"Login for TO, as databaseCredentials." placeholder:"REF"`
	JSON            bool   `name:"json" help:"Print what was copied as JSON."`
}

func (c *copyCommand) run(env environment) error {
	log := slog.New(slog.NewTextHandler(env.errs, &slog.HandlerOptions{Level: slog.LevelWarn}))
	from, source, endFrom, err := config.OpenDatabase(env.ctx, c.From, c.FromCredentials, false, log)
	if err != nil {
		return fmt.Errorf("FROM: %w", err)
	}
	defer endFrom()
	to, _, endTo, err := config.OpenDatabase(env.ctx, c.To, c.ToCredentials, true, log)
	if err != nil {
		return fmt.Errorf("TO: %w", err)
	}
	defer endTo()
	bar := &bar{w: env.errs, moving: terminal(env.errs), began: time.Now()}
	result, err := migrate.Copy(env.ctx, from, to, migrate.Options{Source: source, Progress: bar.show})
	bar.end()
	if err != nil {
		return err
	}
	if c.JSON {
		encoder := json.NewEncoder(env.out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(map[string]any{"classes": result.Classes, "resumed": result.Resumed})
	}
	var objects int64
	for _, class := range result.Classes {
		objects += class.Objects
	}
	fmt.Fprintf(env.out, "%d objects of %d classes were copied and compared\n", objects, len(result.Classes))
	return nil
}

// bar shows how far a copy is: on a terminal as a line that moves, elsewhere as a line for each class.
type bar struct {
	w      io.Writer
	moving bool
	began  time.Time
	last   time.Time
	width  int // of the line that stands
}

// barEvery is how often a line that moves is drawn anew.
const barEvery = 100 * time.Millisecond

func (b *bar) show(p migrate.Progress) {
	if !b.moving {
		if p.Finished && p.Total > 0 {
			fmt.Fprintf(b.w, "%s: %d objects copied and compared, %s of all\n", p.Class, p.Total, percent(p.AllDone, p.AllTotal))
		}
		return
	}
	if now := time.Now(); p.Finished || now.Sub(b.last) >= barEvery {
		b.last = now
		b.draw(p)
	}
}

func (b *bar) draw(p migrate.Progress) {
	const wide = 30
	done := p.AllDone
	if !p.Finished && !p.Verify {
		done += p.Done
	}
	full := 0
	if p.AllTotal > 0 {
		full = int(min(done, p.AllTotal) * wide / p.AllTotal)
	}
	doing := "copying"
	if p.Verify {
		doing = "comparing"
	}
	line := fmt.Sprintf("[%s%s] %s  %s %s %d of %d", strings.Repeat("#", full), strings.Repeat(".", wide-full), percent(done, p.AllTotal), doing, p.Class, p.Done, p.Total)
	if spent := time.Since(b.began); done > 0 && done < p.AllTotal && spent > 2*time.Second {
		line += fmt.Sprintf(", %v left", (time.Duration(float64(spent) * float64(p.AllTotal-done) / float64(done))).Round(time.Second))
	}
	fmt.Fprintf(b.w, "\r%-*s", b.width, line)
	b.width = len(line)
}

// end leaves the line that moves.
func (b *bar) end() {
	if b.width > 0 {
		fmt.Fprintln(b.w)
	}
}

func percent(done, all int64) string {
	if all == 0 {
		return "100 %"
	}
	return fmt.Sprintf("%d %%", min(done, all)*100/all)
}

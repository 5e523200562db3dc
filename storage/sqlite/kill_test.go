package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/storage"
)

// The kill test runs this test binary as a child that writes under load and tells on its standard output what was
// acknowledged. It is killed at a random moment; then everything that it told has to be there.

// childVariable holds the file and the round of a child.
const childVariable = "PARLEY_SQLITE_KILL_TEST"

const childWriters = 12

// childMain writes until it is killed, in a child.
func childMain() {
	file, round, ok := strings.Cut(os.Getenv(childVariable), "|")
	if !ok {
		return
	}
	ctx := context.Background()
	db, err := Open(ctx, Config{Path: file})
	if err == nil {
		err = db.SaveClass(ctx, gameScore())
	}
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	var stdout sync.Mutex
	tell := func(line string, err error) {
		if err != nil {
			line = "error " + err.Error()
		}
		stdout.Lock()
		defer stdout.Unlock()
		fmt.Println(line) // unbuffered
	}
	for w := range childWriters {
		go func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("%s-%d-%d", round, w, n)
				switch w % 3 {
				case 0:
					tell("created "+id, db.Create(ctx, gameScore(), object(id, "player", strings.Repeat("x", 50))))
				case 1:
					_, err := db.Update(ctx, gameScore(), byID("counter"), parse.NewMap("score", parse.Increment{Amount: 1}), 1)
					tell("incremented", err)
				case 2:
					tell("both "+id, db.Transact(ctx, func(ctx context.Context, tx storage.Store) error {
						if err := tx.Create(ctx, gameScore(), object(id+"-a")); err != nil {
							return err
						}
						return tx.Create(ctx, gameScore(), object(id+"-b"))
					}))
				}
			}
		}()
	}
	select {}
}

// lifetime runs a child until it has acknowledged some writes, kills it, and returns all that it acknowledged.
func lifetime(t *testing.T, file string, round, acknowledged int) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%d", childVariable, file, round))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	scan := bufio.NewScanner(out)
	for scan.Scan() {
		line := scan.Text()
		if strings.HasPrefix(line, "error") {
			t.Fatalf("round %d: the child says %s", round, line)
		}
		// What is in the pipe when it is killed was acknowledged too, so reading goes on to the end.
		if lines = append(lines, line); len(lines) == acknowledged {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Fatalf("round %d: the child ended by itself", round)
	}
	if len(lines) < acknowledged {
		t.Fatalf("round %d: the child acknowledged %d writes, want %d", round, len(lines), acknowledged)
	}
	return lines
}

// TestKill kills a hundred children, in two databases side by side.
func TestKill(t *testing.T) {
	for _, name := range []string{"a", "b"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			killRepeatedly(t, filepath.Join(t.TempDir(), "parley.db"), 50)
		})
	}
}

func killRepeatedly(t *testing.T, file string, rounds int) {
	ctx := context.Background()
	class := gameScore()
	// inspect opens the database and closes it, so that the child is the only process.
	inspect := func(look func(db *DB)) {
		db, err := Open(ctx, Config{Path: file, Readers: 1})
		if err != nil {
			t.Fatal(err)
		}
		look(db)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	inspect(func(db *DB) {
		save(t, db, class)
		if err := db.Create(ctx, class, object("counter", "score", 0.0)); err != nil {
			t.Fatal(err)
		}
	})
	counted, total := 0.0, 0
	for round := range rounds {
		lines := lifetime(t, file, round, 1+rand.IntN(150))
		total += len(lines)
		inspect(func(db *DB) { counted = verify(ctx, t, db, round, lines, counted) })
		if t.Failed() {
			return
		}
	}
	t.Logf("%d acknowledged writes, %d kills", total, rounds)
}

// verify checks what a child acknowledged in its round, and returns the new value of the counter.
func verify(ctx context.Context, t *testing.T, db *DB, round int, lines []string, before float64) (counter float64) {
	class := gameScore()
	incremented := 0.0
	stored := map[string]bool{}
	mine := &query.Find{Where: &query.Constraint{Key: "objectId", Op: query.StartsWith, Arg: fmt.Sprintf("%d-", round)}, Limit: -1}
	for _, o := range find(t, db, class, mine) {
		stored[o.ID()] = true
	}
	for _, line := range lines {
		kind, id, _ := strings.Cut(line, " ")
		switch kind {
		case "incremented":
			incremented++
		case "created":
			if !stored[id] {
				t.Errorf("round %d: %s was acknowledged and is gone", round, id)
			}
		case "both":
			if !stored[id+"-a"] || !stored[id+"-b"] {
				t.Errorf("round %d: transaction %s was acknowledged and is gone", round, id)
			}
		default:
			t.Errorf("round %d: the child says %q", round, line)
		}
	}
	for id := range stored {
		if half, ok := strings.CutSuffix(id, "-a"); ok && !stored[half+"-b"] {
			t.Errorf("round %d: half of the transaction %s is stored", round, half)
		}
	}
	counter = find(t, db, class, &query.Find{Where: byID("counter"), Limit: 1})[0].Get("score").(float64)
	// What was stored but not yet told is at most one increment of each writer.
	if counter < before+incremented || counter > before+incremented+childWriters {
		t.Errorf("round %d: counter = %v, want %v plus at most %d", round, counter, before+incremented, childWriters)
	}
	if err := db.read(ctx, func(c *conn) error { return checkWhole(ctx, c) }); err != nil {
		t.Errorf("round %d: %v", round, err)
	}
	return counter
}

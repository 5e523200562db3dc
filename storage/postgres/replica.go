package postgres

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-backend/parley/credential"
	presenter "github.com/parley-backend/parley/credential/presenter/postgres"
	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
	"github.com/parley-backend/parley/schema"
	"github.com/parley-backend/parley/storage"
)

// Replica is a server that follows the database by streaming replication.
type Replica struct {
	// URI and Login are as those of Config. Pools, time-outs and TLS are those of the database.
	URI   string
	Login *credential.Presenter[presenter.Login]
}

// replicas are those of a database, and what is known of them.
type replicas struct {
	list []*node
	// primary is the database itself, for what it measures.
	primary *node
	next    atomic.Uint64
	stop    context.CancelFunc
	running sync.WaitGroup
}

// node is one server to read from.
type node struct {
	db   *DB
	name string
	// usable: it answers, follows the primary, and is not too far behind.
	usable atomic.Bool
	// trip is how long it took to answer, in nanoseconds.
	trip atomic.Int64
}

const (
	// replicaTimeout is how long a replica may take to give a connection, or to answer what it is asked about itself.
	replicaTimeout = 2 * time.Second
	// near is how much longer than the nearest server one may take to answer to be as near.
	near = 15 * time.Millisecond
)

// openReplicas prepares the pools of the replicas and measures them once. One that does not answer is no error.
func (db *DB) openReplicas(ctx context.Context) (*replicas, error) {
	if len(db.cfg.Replicas) == 0 {
		return nil, nil
	}
	all := &replicas{primary: &node{db: db, name: "primary"}}
	for _, replica := range db.cfg.Replicas {
		cfg := db.cfg
		cfg.URI, cfg.Login, cfg.Replicas, cfg.replica = replica.URI, replica.Login, nil, true
		cfg.AcquireTimeout = min(cfg.AcquireTimeout, replicaTimeout)
		config, err := configure(cfg)
		if err != nil {
			all.close()
			return nil, &storage.Error{Kind: storage.Unsupported, Op: "postgres.Open", Err: err}
		}
		own := &DB{cfg: cfg, log: db.log, dialect: db.dialect, long: make(chan struct{}, max(1, int(config.MaxConns)/2))}
		if cfg.Login != nil {
			own.pool, err = presenter.NewPool(ctx, config, cfg.Login, cfg.Rotation)
		} else {
			own.pool, err = pgxpool.NewWithConfig(ctx, config)
		}
		if err != nil {
			all.close()
			return nil, wrap("Open", "", err)
		}
		all.list = append(all.list, &node{db: own, name: config.ConnConfig.Host})
	}
	m := &meter{replicas: all, limit: db.cfg.MaxStaleness}
	m.measure(ctx)
	measuring, stop := context.WithCancel(context.Background())
	all.stop = stop
	all.running.Go(func() { m.run(measuring, db.cfg.Measure) })
	return all, nil
}

// close ends the measuring and closes the pools.
func (r *replicas) close() {
	if r == nil {
		return
	}
	if r.stop != nil {
		r.stop()
		r.running.Wait()
	}
	for _, n := range r.list {
		_ = n.db.Close()
	}
}

// From returns where to read with a preference. SECONDARY and SECONDARY_PREFERRED read from a replica that is not too far behind, NEAREST from
// whichever server answers fastest; where there is none, or it fails before the first object is handed out, the database itself is read.
// PRIMARY_PREFERRED reads from a replica when the database does not answer. See [storage.Replicated].
func (db *DB) From(preference string) storage.Reader {
	if db.replicas == nil {
		return db
	}
	if preference == "" {
		preference = db.cfg.ReadPreference
	}
	nodes := db.replicas.order(strings.ToUpper(preference))
	if len(nodes) == 1 {
		return nodes[0].db
	}
	return reader(nodes)
}

// order returns the servers in the order in which they are to be tried.
func (r *replicas) order(preference string) []*node {
	var usable []*node
	if preference != "" && preference != "PRIMARY" {
		start := r.next.Add(1)
		for i := range r.list {
			if n := r.list[(start+uint64(i))%uint64(len(r.list))]; n.usable.Load() {
				usable = append(usable, n)
			}
		}
	}
	switch preference {
	case "PRIMARY_PREFERRED":
		if !r.primary.usable.Load() { // to find that out may take as long as making a connection
			return append(usable, r.primary)
		}
		return append([]*node{r.primary}, usable...)
	case "SECONDARY", "SECONDARY_PREFERRED":
		return append(usable, r.primary)
	case "NEAREST":
		if !r.primary.usable.Load() {
			return append(usable, r.primary)
		}
		at := int(r.next.Load() % uint64(len(usable)+1))
		all := slices.Insert(usable, at, r.primary)
		least := slices.MinFunc(all, func(a, b *node) int { return int(a.trip.Load() - b.trip.Load()) }).trip.Load() + int64(near)
		slices.SortStableFunc(all, func(a, b *node) int { return int(max(a.trip.Load(), least) - max(b.trip.Load(), least)) })
		return all
	}
	return []*node{r.primary}
}

// reader reads from the first server that can.
type reader []*node

func (r reader) Find(ctx context.Context, class *schema.Class, q *query.Find) iter.Seq2[*parse.Object, error] {
	return func(yield func(*parse.Object, error) bool) {
		for i, n := range r {
			began := false
			var failed error
			for o, err := range n.db.Find(ctx, class, q) {
				if err != nil {
					failed = err
					break
				}
				if began = true; !yield(o, nil) {
					return
				}
			}
			if failed == nil {
				return
			}
			if began || !r.elsewhere(ctx, i, failed) {
				yield(nil, failed)
				return
			}
		}
	}
}

func (r reader) Count(ctx context.Context, class *schema.Class, where query.Node) (n int64, err error) {
	for i, node := range r {
		if n, err = node.db.Count(ctx, class, where); err == nil || !r.elsewhere(ctx, i, err) {
			break
		}
	}
	return n, err
}

// elsewhere tells whether the server after i is to be tried, after an error of that.
func (r reader) elsewhere(ctx context.Context, i int, err error) bool {
	if i == len(r)-1 || ctx.Err() != nil || errors.Is(err, storage.Unsupported) {
		return false
	}
	if broken(err) {
		r[i].usable.Store(false) // until it is measured again
	}
	return r[i].db.cfg.replica || errors.Is(err, storage.Unavailable)
}

// meter measures how far replicas are behind: where in its log the primary was, and when, and how much of it each has replayed.
type meter struct {
	*replicas
	limit   time.Duration
	samples []sample
}

type sample struct {
	at time.Time
	// position in the log of the primary, in bytes
	position int64
}

func (m *meter) run(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			m.measure(ctx)
		}
	}
}

func (m *meter) measure(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, replicaTimeout)
	defer cancel()
	var position int64
	before := time.Now()
	err := m.primary.ask(ctx, "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::int8", &position)
	m.primary.usable.Store(err == nil)
	if err == nil { // an answer was true when it was asked for, at the earliest
		m.samples = append(m.samples, sample{at: before, position: position})
		m.samples = slices.DeleteFunc(m.samples, func(s sample) bool { return before.Sub(s.at) > m.limit+time.Minute })
	}
	var asked sync.WaitGroup
	for _, n := range m.list {
		asked.Go(func() { m.judge(ctx, n) })
	}
	asked.Wait()
}

// judge decides whether a replica is read from.
func (m *meter) judge(ctx context.Context, n *node) {
	var follows bool
	var replayed int64
	err := n.ask(ctx, "SELECT pg_is_in_recovery(), COALESCE(pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0'), 0)::int8", &follows, &replayed)
	if ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	behind, known := m.behind(replayed)
	usable := err == nil && follows && known && behind <= m.limit
	if was := n.usable.Swap(usable); was == usable {
		return
	}
	if usable {
		n.db.log.InfoContext(ctx, "a replica is read from", "host", n.name, "behind", behind)
		return
	}
	attributes := []any{"host", n.name, "follows", follows, "behind", behind}
	if err != nil {
		attributes = append(attributes, "error", err.Error())
	}
	n.db.log.WarnContext(ctx, "a replica is not read from until it has caught up", attributes...)
}

// behind returns how old what was replayed is, measured against the last that is known of the primary.
func (m *meter) behind(replayed int64) (time.Duration, bool) {
	if len(m.samples) == 0 {
		return 0, false
	}
	last := m.samples[len(m.samples)-1]
	for _, s := range slices.Backward(m.samples) {
		if s.position <= replayed {
			return last.at.Sub(s.at), true
		}
	}
	return last.at.Sub(m.samples[0].at), false
}

// ask reads one row and notes how long that took.
func (n *node) ask(ctx context.Context, sql string, targets ...any) error {
	return n.db.outside(ctx, func(ctx context.Context, s *session) error {
		before := time.Now()
		err := s.row(ctx, sql, nil, targets...)
		n.trip.Store(int64(time.Since(before)))
		return err
	})
}

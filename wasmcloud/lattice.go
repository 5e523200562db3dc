package wasmcloud

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/natsconn"
	"github.com/parley-backend/parley/wasmcloud/wrpc"
)

const (
	controlBuffer = 16 << 10                // messages of the host that may wait
	leaveOverlap  = 100 * time.Millisecond  // during which both connections serve calls
	leaveWait     = 500 * time.Millisecond  // for the calls that are on their way to a connection that was replaced
	latticeSpread = 2000 * time.Millisecond // many providers share the login of a lattice
)

// lattice is the connection to the lattice. Its login may rotate: the next connection subscribes to everything and serves what the
// one before does, in one queue group; then that one gets no more calls, and stays until those that it has are over.
//
// What the host says comes on plain subscriptions, so for a moment on both connections. It is handled in the order of one of
// them, first what came on the one before: a message may be handled twice, and the last one is the last.
type lattice struct {
	subjects []string                          // of the host's messages
	handle   func(m *nats.Msg)                 // one of them; it returns soon
	serve    func(*wrpc.Conn) error            // registers what components may call
	around   func(o wrpc.Options) wrpc.Options // adds to the options
	log      *slog.Logger
	conn     *natsconn.Conn
	login    *credential.Credential // nil for none
	set      credential.Set         // of login alone

	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	serving bool          // serve is to be called for each connection
	stopped bool          // there is no hand-over any more
	all     []*generation // that were not left, the oldest first
	change  chan struct{} // closed when all changes
}

// generation is one connection and what is on it.
type generation struct {
	nc      *nats.Conn
	rpc     *wrpc.Conn
	control chan *nats.Msg
	subs    []*nats.Subscription

	mu      sync.Mutex
	calls   int           // invoked
	leaving bool          // no new ones
	idle    chan struct{} // closed when calls is 0 while leaving
}

// latticeLogin is what the lattice is shown: what setting refers to, or else what is in the host data. Nil for none.
func latticeLogin(d *HostData, setting string, sources credential.Registry) (*credential.Config, error) {
	cfg := &credential.Config{
		Name: "lattice", Kind: credential.API, Present: true, Trim: credential.TrimNewline, Startup: credential.Degraded, Check: natsconn.Check,
	}
	if setting != "" {
		if err := sources.ConfigureChain(cfg, []string{setting}); err != nil {
			return nil, fmt.Errorf("lattice_credentials: %w", err)
		}
		return cfg, nil
	}
	fields := map[string]credential.Secret{}
	switch user, password := userOf(d.URL); {
	case d.UserJWT.Len() > 0 && d.UserSeed.Len() > 0:
		fields["jwt"], fields["seed"] = d.UserJWT, d.UserSeed
	case d.UserJWT.Len() > 0:
		return nil, errors.New("the host data has a JWT for the lattice and no seed for it")
	case user != "" && password != "":
		fields["user"], fields["password"] = credential.NewSecret(user), credential.NewSecret(password)
	case user != "":
		fields["token"] = credential.NewSecret(user)
	default:
		return nil, nil
	}
	if err := natsconn.Check(credential.Secret{}, fields); err != nil {
		return nil, fmt.Errorf("the login of the lattice in the host data: %w", err)
	}
	cfg.Source = &given{fields}
	return cfg, nil
}

// given is the source of a login that never changes.
type given struct{ fields map[string]credential.Secret }

func (*given) Info() credential.Info { return credential.Info{Scheme: "hostdata", Immutable: true} }

func (g *given) Fetch(context.Context) (credential.Payload, error) {
	copied := make(map[string]credential.Secret, len(g.fields))
	for name, value := range g.fields { // whoever fetches wipes them
		copied[name] = credential.NewSecret(value.Reveal())
	}
	return credential.Payload{Versions: []credential.Version{{Fields: copied}}}, nil
}

// userOf returns the user in the first of the addresses that has one.
func userOf(addresses string) (user, password string) {
	for _, address := range strings.Split(addresses, ",") {
		if u, err := url.Parse(strings.TrimSpace(address)); err == nil && u.User != nil {
			password, _ = u.User.Password()
			return u.User.Username(), password
		}
	}
	return "", ""
}

// servers are the addresses without users, and with a scheme.
func servers(addresses string) []string {
	var all []string
	for _, address := range strings.Split(addresses, ",") {
		address = strings.TrimSpace(address)
		if address == "" {
			continue
		}
		if !strings.Contains(address, "://") {
			address = "nats://" + address
		}
		if u, err := url.Parse(address); err == nil && u.User != nil {
			u.User = nil
			address = u.String()
		}
		all = append(all, address)
	}
	return all
}

// open connects. That no server answers is no error: the connection goes on trying.
func (l *lattice) open(ctx context.Context, cfg natsconn.Config, login *credential.Config) error {
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.change = make(chan struct{})
	cfg.Log, cfg.OnConn, cfg.Spread = l.log, l.onConn, latticeSpread
	conn, err := l.connect(ctx, cfg, login)
	if err != nil {
		l.close()
		return err
	}
	l.mu.Lock()
	l.conn = conn
	l.mu.Unlock()
	l.work.Go(l.dispatch)
	return nil
}

func (l *lattice) connect(ctx context.Context, cfg natsconn.Config, login *credential.Config) (*natsconn.Conn, error) {
	if login == nil {
		return natsconn.Open(ctx, cfg)
	}
	own := *login
	own.Set = &l.set
	var err error
	if l.login, err = credential.New(own); err != nil {
		return nil, err
	}
	if err = l.login.Start(ctx); err != nil {
		return nil, err
	}
	if cfg.Credential, err = credential.NewPresenter(l.login, natsconn.Decode); err != nil {
		return nil, err
	}
	return natsconn.Open(ctx, cfg)
}

// onConn has a connection do what the others do. See natsconn.Config.OnConn.
func (l *lattice) onConn(nc *nats.Conn) (func(context.Context), error) {
	g := &generation{nc: nc, control: make(chan *nats.Msg, controlBuffer)}
	var err error
	if g.rpc, err = wrpc.New(nc, l.around(wrpc.Options{Log: l.log})); err != nil {
		return nil, err
	}
	for _, subject := range l.subjects {
		sub, err := nc.ChanSubscribe(subject, g.control)
		if err != nil {
			g.end()
			return nil, err
		}
		g.subs = append(g.subs, sub)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		g.end()
		return nil, errors.New("the provider is ending")
	}
	if l.serving {
		if err := l.serve(g.rpc); err != nil {
			g.end()
			return nil, err
		}
	}
	l.all = append(l.all, g)
	l.changed()
	return func(ctx context.Context) { l.leave(ctx, g) }, nil
}

// end is for a connection that is not used.
func (g *generation) end() {
	for _, sub := range g.subs {
		_ = sub.Unsubscribe() // fails only where the connection is closed
	}
	g.rpc.Close()
}

func (l *lattice) changed() {
	close(l.change)
	l.change = make(chan struct{})
}

// ready begins to serve what components may call. Calls come from then on.
func (l *lattice) ready() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serving = true
	for _, g := range l.all {
		if err := l.serve(g.rpc); err != nil {
			return err
		}
	}
	return nil
}

// leave is for a connection that was replaced, and for one that did not take over: the calls that it has go on.
func (l *lattice) leave(ctx context.Context, g *generation) {
	for _, sub := range g.subs { // the other connection has what is missed now
		_ = sub.Unsubscribe()
	}
	l.mu.Lock()
	l.all = slices.DeleteFunc(slices.Clone(l.all), func(other *generation) bool { return other == g })
	l.changed()
	l.mu.Unlock()
	select { // servers that have not heard of the other connection yet still choose this one
	case <-time.After(leaveOverlap):
	case <-ctx.Done():
	}
	wait, cancel := context.WithTimeout(ctx, leaveWait)
	err := g.rpc.StopServing(wait)
	cancel()
	if err != nil && l.ctx.Err() == nil {
		l.log.Warn("calls on a connection to the lattice that was replaced may be lost", "error", err)
	}
	select {
	case <-g.left():
	case <-ctx.Done():
	}
	if err := g.rpc.Drain(ctx); err != nil && l.ctx.Err() == nil {
		l.log.Warn("a connection to the lattice that was replaced is given up while it is used", "error", err)
	}
}

// enter has the connection stay for one call, unless it is being left.
func (g *generation) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.leaving {
		return false
	}
	g.calls++
	return true
}

func (g *generation) exit() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.calls--; g.calls == 0 && g.leaving {
		close(g.idle)
	}
}

// left lets no more calls begin, and returns what is closed when the last of them is over.
func (g *generation) left() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leaving, g.idle = true, make(chan struct{})
	if g.calls == 0 {
		close(g.idle)
	}
	return g.idle
}

// errNotOpen says that there is no connection to the lattice yet.
var errNotOpen = errors.New("wasmcloud: the connection to the lattice is not open")

// enter returns the connection in use, which stays until exit is called.
func (l *lattice) enter() (rpc *wrpc.Conn, exit func(), err error) {
	for {
		l.mu.Lock()
		conn := l.conn
		all := l.all
		l.mu.Unlock()
		if conn == nil {
			return nil, nil, errNotOpen
		}
		nc := conn.NATS()
		i := slices.IndexFunc(all, func(g *generation) bool { return g.nc == nc })
		if i >= 0 && all[i].enter() {
			return all[i].rpc, all[i].exit, nil
		}
		if nc.IsClosed() {
			return nil, nil, wrpc.ErrClosed
		}
		// It was replaced between the two questions: NATS has another one now.
	}
}

// dispatch hands on what the host says: all that came on the oldest connection, then what came on the next.
func (l *lattice) dispatch() {
	for {
		l.mu.Lock()
		change := l.change
		var oldest *generation
		if len(l.all) > 0 {
			oldest = l.all[0]
		}
		l.mu.Unlock()
		var control chan *nats.Msg
		if oldest != nil {
			control = oldest.control
		}
		select {
		case m := <-control:
			l.handle(m)
		case <-change:
			for more := true; more && oldest != nil && l.isLeft(oldest); {
				select {
				case m := <-control:
					l.handle(m)
				default:
					more = false
				}
			}
		case <-l.ctx.Done():
			return
		}
	}
}

func (l *lattice) isLeft(g *generation) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !slices.Contains(l.all, g)
}

// relogin takes another source for the login into use.
func (l *lattice) relogin(ctx context.Context, login *credential.Config) error {
	if l.login == nil || login == nil {
		return errors.New("lattice_credentials: from none to some, or back, is taken into use when the provider starts again")
	}
	own := *login
	own.Set = &l.set
	return l.set.Replace(ctx, []credential.Config{own}, nil)
}

// drain stops serving and waits for the calls that there are, until ctx ends. The connection stays open.
func (l *lattice) drain(ctx context.Context) error {
	l.mu.Lock()
	l.stopped = true
	all := slices.Clone(l.all)
	l.mu.Unlock()
	var failed error
	var work sync.WaitGroup
	var mu sync.Mutex
	for _, g := range all {
		if !g.nc.IsConnected() { // nobody hears of it
			g.rpc.Close()
			continue
		}
		work.Go(func() {
			if err := g.rpc.Drain(ctx); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = errors.Join(failed, err)
			}
		})
	}
	work.Wait()
	return failed
}

// close ends the connection.
func (l *lattice) close() {
	l.mu.Lock()
	conn := l.conn
	l.stopped = true
	l.mu.Unlock()
	l.cancel()
	l.work.Wait()
	if conn != nil {
		conn.Close()
	}
	l.mu.Lock()
	for _, g := range l.all {
		g.rpc.Close()
	}
	l.mu.Unlock()
	if l.login != nil {
		l.login.Stop()
	}
}

package user

import (
	"context"
	"runtime"

	"golang.org/x/crypto/bcrypt"
)

// passwords makes and compares bcrypt hashes. Each takes a core for tens of milliseconds, so no more run at once than there are
// cores: a burst of logins waits in line instead of taking the processor from everything else.
type passwords struct {
	cost  int
	slots chan struct{}
	// hash and compare are bcrypt; tests count them.
	hash    func(password []byte, cost int) ([]byte, error)
	compare func(hash, password []byte) error
}

// hashCost is the cost that Parse Server uses: 2^10 rounds.
const hashCost = 10

// maxPassword is how many bytes of a password bcrypt looks at; Parse Server ignores the rest, and so must whoever shares
// its database.
const maxPassword = 72

// nobody is the hash of a password that nobody knows, of the same cost as all others.
const nobody = "$2a$10$fGTw32egr3oPdJ2hA7hfSudwVQvRzKH7UgwssE8oqF./MIRwHbZk."

func newPasswords() *passwords {
	return &passwords{
		cost:    hashCost,
		slots:   make(chan struct{}, runtime.GOMAXPROCS(0)),
		hash:    bcrypt.GenerateFromPassword,
		compare: bcrypt.CompareHashAndPassword,
	}
}

// Hash returns the hash to be stored for a password.
func (p *passwords) Hash(ctx context.Context, password string) (string, error) {
	if err := p.acquire(ctx); err != nil {
		return "", err
	}
	defer p.release()
	hash, err := p.hash(truncate(password), p.cost)
	return string(hash), err
}

// Matches tells whether a password has a hash, made by whatever bcrypt ($2a$, $2b$, $2y$). Without a hash it is false, after
// the same time: who waits for the answer does not learn whether there is a user, or whether that user has a password.
func (p *passwords) Matches(ctx context.Context, password, hash string) (bool, error) {
	if err := p.acquire(ctx); err != nil {
		return false, err
	}
	defer p.release()
	if hash == "" {
		_ = p.compare([]byte(nobody), truncate(password)) // only its time counts
		return false, nil
	}
	return p.compare([]byte(hash), truncate(password)) == nil && password != "", nil
}

func (p *passwords) acquire(ctx context.Context) error {
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *passwords) release() { <-p.slots }

func truncate(password string) []byte {
	return []byte(password[:min(len(password), maxPassword)])
}

package credential

import (
	"context"
	"crypto/rand"
	"time"
)

// A Writer is a Source whose store takes a new value.
type Writer interface {
	Source

	// Write stores value as the current one, whole or not at all, and returns the
	// store's id of the version, "" if it has none. When it returns nil, a Fetch
	// that begins later sees the value. The Secret belongs to the caller. A
	// source that cannot be written, although its kind can, returns an error that is
	// ErrNotWritable.
	Write(ctx context.Context, value Secret) (id string, err error)
}

// Errors of Rotate. Nothing has been written when one of them is returned.
var (
	// ErrNotWritable: the value is kept where Parley cannot replace it.
	ErrNotWritable error = &notWritable{}
	// ErrInOverlap: a version that was replaced is still accepted, or another
	// Rotate is under way.
	ErrInOverlap error = Errorf(Invalid, "a replaced version is still accepted: wait for its deadline, or force the rotation")
)

// notWritable is why a Writer cannot write; the zero value stands for a source that is
// no Writer at all.
type notWritable struct{ reason string }

// NotWritable returns an error that is ErrNotWritable and says why.
func NotWritable(reason string) error { return &notWritable{reason} }

func (e *notWritable) Error() string {
	if e.reason == "" {
		return "credential: its source cannot be written: replace the value where it is kept"
	}
	return "credential: its source cannot be written: " + e.reason
}

func (e *notWritable) Is(target error) bool { return target == ErrNotWritable }

const (
	generatedLength = 40 // letters and digits of base32: 200 bits
	readBackTries   = 5
)

// Rotation is what Rotate did.
type Rotation struct {
	VersionID string
	// Value is the new value; whoever has no use for it wipes it.
	Value Secret
	// Deadline is until when the replaced version is accepted, zero if it is not.
	Deadline time.Time
}

// Rotate makes a random value of 40 letters and digits, writes it to the source, and
// returns when it is the current version here. What it replaces stays accepted
// for the overlap. Without force it refuses while an earlier version is in its
// overlap: clients that follow one rotation must not be overtaken by the next.
func (c *Credential) Rotate(ctx context.Context, force bool) (Rotation, error) {
	writer, ok := c.cfg().Source.(Writer) // nil for a literal that was read
	if !ok {
		return Rotation{}, ErrNotWritable
	}
	if !c.rotating.TryLock() {
		return Rotation{}, ErrInOverlap
	}
	defer c.rotating.Unlock()
	// What another node or an operator stored a moment ago counts. A store without a value, or with one that
	// cannot be used, is what a rotation mends.
	if failure := c.await(ctx, true, pushGap); failure != nil && (failure.Class == Unavailable || failure.Class == Denied) {
		return Rotation{}, failure
	}
	if _, overlapping := c.overlapping(); overlapping && !force {
		return Rotation{}, ErrInOverlap
	}
	value, made, err := c.generate()
	if err != nil {
		return Rotation{}, err
	}
	id, err := writer.Write(ctx, value)
	if err != nil {
		value.Wipe()
		if _, ours := err.(*notWritable); ours {
			return Rotation{}, err
		}
		return Rotation{}, asError(err).about(c.cfg().Name)
	}
	if id == "" {
		id = made.id
	}
	if err := c.readBack(ctx, &made); err != nil {
		value.Wipe()
		return Rotation{}, err
	}
	deadline, _ := c.overlapping()
	return Rotation{VersionID: id, Value: value, Deadline: deadline}, nil
}

// overlapping returns the last deadline of the replaced versions that are accepted.
func (c *Credential) overlapping() (deadline time.Time, any bool) {
	at := c.now()
	snap := c.snap.Load()
	for i := range snap.live {
		if v := &snap.live[i]; v.state == Previous && !v.until.passed(at) {
			any = true
			if until := v.until.wallTime(); until.After(deadline) {
				deadline = until
			}
		}
	}
	return deadline, any
}

// generate returns a new value that this credential accepts, and the version it will be.
func (c *Credential) generate() (Secret, version, error) {
	var text string
	for length := max(generatedLength, c.cfg().MinLength); len(text) < length; {
		text += rand.Text()
		text = text[:min(len(text), length)]
	}
	value := NewSecret(text)
	checked := NewSecret(text) // checking may keep or change what it is given; a number is what a monotonic source must give
	v, err := c.acceptVersion(&Version{Value: checked, Number: 1}, c.now(), c.marker())
	checked.Wipe()
	return value, v, err
}

// readBack fetches until the new version is current: a replica may lag behind the write.
func (c *Credential) readBack(ctx context.Context, made *version) error {
	var failure error
	for try := range readBackTries {
		failure = c.await(ctx, true, pushGap<<try).orNil()
		snap := c.snap.Load()
		if v, live := snap.match(made.known(snap.atRest)); live && v.state == Current {
			return nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	if failure != nil {
		return Errorf(Unavailable, "the new value was written, but not read back: %s", asError(failure).Reason).about(c.cfg().Name)
	}
	return Errorf(Unavailable, "the new value was written, but not read back").about(c.cfg().Name)
}

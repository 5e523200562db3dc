package cloud

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/parley-backend/parley/parse"
)

// Event is how a run of cloud code ended, by the name that it has among Parse Server's logLevels.
type Event string

// The events.
const (
	FunctionSuccess Event = "cloudFunctionSuccess"
	FunctionError   Event = "cloudFunctionError"
	BeforeSuccess   Event = "triggerBeforeSuccess" // a trigger whose error would refuse something
	BeforeError     Event = "triggerBeforeError"
	After           Event = "triggerAfter" // any other trigger, whatever came of it
)

// Levels are those at which the log tells of each run that ends in an event. What is not in it is not told.
type Levels map[Event]slog.Level

// events of the triggers of a kind.
func (k Kind) events() (done, failed Event) {
	switch k {
	case BeforeSave, BeforeDelete, BeforeFind, BeforeLogin, BeforePasswordResetRequest, BeforeConnect, BeforeSubscribe:
		return BeforeSuccess, BeforeError
	}
	return After, After
}

// tell writes the line of a run. It says what ran, for whom and how it ended; what went in and what came out it leaves out: that is
// the users' data.
func (h *Hooks) tell(ctx context.Context, w work, base *Request, began time.Time, err error) {
	event := w.done
	if err != nil {
		event = w.failed
	}
	level, wanted := h.levels[event]
	if !wanted || !h.log.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 6)
	attrs = append(attrs, slog.String("event", string(event)), slog.String("cloud", w.what), slog.Duration("took", time.Since(began)))
	switch {
	case base.Master:
		attrs = append(attrs, slog.Bool("master", true))
	case base.User != nil:
		attrs = append(attrs, slog.String("user", base.User.ID()))
	}
	var told *parse.Error
	if errors.As(err, &told) {
		attrs = append(attrs, slog.Int("code", int(told.Code)), slog.String("error", told.Message))
	}
	h.log.LogAttrs(ctx, level, "cloud code ran", attrs...)
}

package parley

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/klauspost/compress/gzhttp"
)

// compressFrom is the size in bytes from which an answer is compressed for a client that takes gzip: below it fits one packet anyway.
const compressFrom = 1400

// Run serves the application on a listener until ctx ends: then new connections are refused, requests in flight get
// Timeouts.Shutdown to finish, and Run returns nil. What is still running after that is cut off, and Run says so.
// It closes the listener, not the Server.
func (s *Server) Run(ctx context.Context, listener net.Listener) error {
	compress, err := gzhttp.NewWrapper(gzhttp.MinSize(compressFrom), gzhttp.CompressionLevel(1))
	if err != nil {
		return err
	}
	return Serve(ctx, listener, compress(s), s.cfg.Timeouts, s.log)
}

// Serve is [Server.Run] for a handler of your own, which may hold a Server among others.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, t Timeouts, log *slog.Logger) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	or := func(d, normal time.Duration) time.Duration {
		if d == 0 {
			return normal
		}
		return d
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: or(t.ReadHeader, 10*time.Second),
		ReadTimeout:       or(t.Read, 2*time.Minute),
		WriteTimeout:      or(t.Write, 5*time.Minute),
		IdleTimeout:       or(t.Idle, 2*time.Minute),
		MaxHeaderBytes:    t.MaxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	if server.MaxHeaderBytes == 0 {
		server.MaxHeaderBytes = 32 << 10
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), or(t.Shutdown, 30*time.Second))
	defer cancel()
	err := server.Shutdown(grace)
	if err != nil {
		server.Close()
		err = fmt.Errorf("some requests were still running after the time to finish them: %w", err)
	}
	if e := <-failed; err == nil && !errors.Is(e, http.ErrServerClosed) {
		err = e
	}
	return err
}

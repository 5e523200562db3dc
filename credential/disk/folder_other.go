//go:build !unix

package disk

import "context"

// syncFolder has nothing to do where a rename is durable by itself.
func syncFolder(string) error { return nil }

// lock has nothing to offer: on these systems one data folder belongs to one process.
func lock(context.Context, string) (unlock func(), err error) { return func() {}, nil }

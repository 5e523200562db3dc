package auth

import "github.com/parley-backend/parley/credential"

// Use is what became of one key that a request presented.
type Use struct {
	// Key is the option that holds the key: for a key that was accepted the one that it is, for another one that it was taken for.
	Key      string
	Decision credential.Decision
	// WrongAddress: the key is right, but may not be used from where the request came.
	WrongAddress bool
}

// Accepted reports whether the key opened what it opens.
func (u Use) Accepted() bool { return u.Decision.OK() && !u.WrongAddress }

// Uses are the keys that one request presented, in the order in which they were judged. The zero value has none; nothing is taken by a
// nil *Uses.
type Uses struct{ All []Use }

func (u *Uses) add(use Use) {
	if u != nil && use.Key != "" {
		u.All = append(u.All, use)
	}
}

// Forget empties it: the request is judged anew.
func (u *Uses) Forget() {
	if u != nil {
		u.All = nil
	}
}

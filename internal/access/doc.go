// Package access is MAY: what the rules of an application allow a caller to do with the objects of a class. Its functions are
// pure: they read the caller, the schema and a query, and answer with an error, with a constraint that has to be added to
// the query, or with the fields that have to be left out. They know no database.
//
// class.go what keys and classes forbid before any permission is looked at; operation.go class-level permissions;
// object.go the ACLs of objects; protected.go protected fields; private.go what is never read.
//
// Errors are *parse.Error. Most say "Permission denied" and have the reason for the log ([parse.Denied]).
package access

// Rules are the options that decide. The zero value is the default of Parse Server.
type Rules struct {
	// AllowClassCreation lets clients use classes that do not exist yet (option allowClientClassCreation).
	AllowClassCreation bool
	// ProtectedFields by class and group, added to those of the classes (option protectedFields). The e-mail address
	// of users is protected from everybody besides, unless OwnersLikeOthers is set and they name a group "*" of _User.
	ProtectedFields map[string]map[string][]string
	// OwnersLikeOthers applies protected fields to the user's own object too (option protectedFieldsOwnerExempt, negated).
	OwnersLikeOthers bool
}

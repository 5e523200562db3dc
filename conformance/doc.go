// Package conformance holds recorded exchanges of the Parse REST API and the
// runner that replays them against a server and names every difference.
//
// The corpus is testdata/*.txt. A file is one conversation with one fresh
// server; its first line states the options that the server is started with:
//
//	server {"allowClientClassCreation":true}
//
//	## section
//
//	- name of the exchange
//	  > POST /classes/Obj [master; X-Parse-Request-Id: one] {"a":1}
//	  = id objectId
//	  < 201 {"objectId":"${id}","createdAt":"<date>"} {location: ${url}/classes/Obj/${id}}
//	  ! divergence: why Parley answers something else
//	  <! 400 {"code":107,"error":"…"}
//	  ! postgres: why Parley answers something else again on PostgreSQL
//	  <postgres 400 {"code":111,"error":"…"}
//
// The request line is: method, path (percent-encoding is done by the runner for
// characters that a URL cannot hold), optional caller in brackets, optional
// body. A body is a JSON value, or raw "…" with Go quoting for anything else.
// The application id header and a JSON content type are sent unless the
// brackets say otherwise. The items in brackets are
//
//	master  readonly  maintenance     the key of that name
//	session TOKEN                     X-Parse-Session-Token
//	Name: value                       a header
//	-Name                             do not send that header
//
// "= name path" keeps a string of the answer (results.0.objectId) for later
// use as ${name}; ${url} is the mount point of the server. "~ any order path"
// says that the order of the array at that path means nothing, "~ header name"
// that a response header belongs to the comparison (Location always does).
//
// In an answer, <date> stands for an instant near the time of the run,
// <date+31536000s> for one that far from it, <id> for a generated object id,
// <token> for a session token, <name> for a generated user name and <any> for
// any string. Everything else is compared exactly, numbers as their text; the
// order of object members is not compared. A body that is not JSON is given as
// its media type in parentheses (its content is not compared) or as text "…";
// "-" is an empty body.
package conformance

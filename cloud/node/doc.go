// Package node runs cloud code that is written in JavaScript for Parse Server, unmodified: in processes of Node.js, its workers, which load
// it with the official SDK and speak to this process over a socket that they inherit.
//
// node.go is what a program uses: Start, Close, Status. find.go finds Node, process.go is one worker, pool.go keeps workers running and gives them calls,
// watch.go loads changed code anew, check.go tells what a file registers. register.go makes cloud.Code of what a worker has announced,
// request.go and save.go turn a request into a message and its outcome back, frame.go is the wire.
//
// The side of the worker is in js: main.js is what it runs, wire.js its socket, registry.js Parse.Cloud.define and its kin, validate.js
// the validators, handlers.js and requests.js how a call runs and what its handler gets.
//
// # The wire
//
// A frame is four bytes of length, big endian, and that many bytes of JSON: an object whose member t says what it is. Both sides send when they like.
//
//	to the worker    load      main, appId, serverURL, limit: load the code
//	                 call      id, call ("function", "trigger", …), what, and the request
//	                 cancel    id: nobody waits for that call any more
//	                 answer    id, status, body, headers: to an ask
//	                 ping      id
//	                 bye       end
//	from the worker  ready     list of what is registered, versions
//	                 failed    stage, message, stack: the code cannot be loaded
//	                 registered, odd   a registration that came later; one that is doubtful
//	                 begun     id: the call is with the code; one that is not can be given to another worker
//	                 result    id, and what came of the call, or failed, code, message
//	                 ask       id, call, method, path, body and the rights: what the SDK asks of the server
//	                 log       level, text, what
//	                 exit      code, what: the code ends its process
//	                 pong      id
package node

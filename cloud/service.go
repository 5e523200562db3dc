package cloud

import (
	"context"
	"net/http"

	"github.com/parley-backend/parley/parse"
	"github.com/parley-backend/parley/query"
)

// What the triggers of services get, and what a job gets.

// PasswordResetRequest is what beforePasswordResetRequest gets.
type PasswordResetRequest struct {
	Request
	// Object is the user whose password is to be reset. It is a copy: to change the user, save it.
	Object *parse.Object
}

// ConfigRequest is what the triggers of the config get.
type ConfigRequest struct {
	Request
	// Params are the parameters that the client writes, operators among them. beforeSave may change them.
	Params *parse.Map
	// Original are the parameters before; nil when there were none yet.
	Original *parse.Map
}

// File is a file as its triggers see it.
type File struct {
	Name        string
	ContentType string
	Directory   string
	// URL under which the file is read; "" before it is stored. A beforeSave that sets it makes the upload answer with this
	// file, and nothing is stored.
	URL string
	// Data are the bytes; nil where they were not read.
	Data []byte
	// Metadata and Tags are kept with the file; nil for none.
	Metadata, Tags *parse.Map
}

// FileRequest is what the triggers of files get.
type FileRequest struct {
	Request
	File *File
	// Size in bytes, -1 when it is not known.
	Size int64
	// ForceDownload makes browsers save the file instead of showing it, Header is sent with it: both for reads.
	ForceDownload bool
	Header        http.Header
}

// ConnectRequest is what beforeConnect gets.
type ConnectRequest struct {
	Request
	// Clients is how many are connected, Subscriptions how many live queries they have.
	Clients, Subscriptions int
}

// SubscribeRequest is what beforeSubscribe gets.
type SubscribeRequest struct {
	Request
	// Query may be changed, all but its class: of it, Where, Keys and Watch count.
	Query *query.Find
	// Watch are the fields whose changes are told; none for all.
	Watch []string
	// Clients is how many are connected, Subscriptions how many live queries they have.
	Clients, Subscriptions int
}

// EventRequest is what afterLiveQueryEvent gets.
type EventRequest struct {
	Request
	// Event is create, enter, update, leave or delete.
	Event string
	// Object and Original as the client is about to read them; Original is nil for create.
	Object, Original *parse.Object
	// Send is true; false keeps the event from being sent.
	Send bool
	// Clients is how many are connected, Subscriptions how many live queries they have.
	Clients, Subscriptions int
}

// LiveEventRequest is what onLiveQueryEvent gets.
type LiveEventRequest struct {
	Request
	// Event is connect, subscribe, unsubscribe, update, ws_connect, ws_disconnect or ws_disconnect_error.
	Event string
	// Client is the id of the connection, "" before it has one.
	Client string
	// Clients is how many are connected, Subscriptions how many live queries they have.
	Clients, Subscriptions int
	// Err is what went wrong; nil for nothing.
	Err error
}

// JobRequest is what a job gets. Its context ends when the job is cancelled and when the server stops: a job that has not ended then is
// failed with what it returns.
type JobRequest struct {
	Request
	// Job is its name, ID the objectId of its _JobStatus.
	Job, ID string
	// Params that it was started with.
	Params *parse.Map
	// Outcome becomes the message of a job that succeeds, "" keeps the last that was told. The job may set it.
	Outcome string
	// Tell stores a message; a server sets it.
	Tell func(ctx context.Context, text string) error
}

// Message says how far the job is: text becomes the message of its _JobStatus.
func (r *JobRequest) Message(ctx context.Context, text string) error {
	if r.Tell == nil {
		return nil
	}
	return r.Tell(ctx, text)
}

func (r *PasswordResetRequest) subject() (*parse.Map, *parse.Object, *parse.Object) {
	return nil, r.Object, nil
}
func (r *ConfigRequest) subject() (*parse.Map, *parse.Object, *parse.Object) {
	return r.Params, nil, nil
}
func (r *FileRequest) subject() (*parse.Map, *parse.Object, *parse.Object)      { return nil, nil, nil }
func (r *ConnectRequest) subject() (*parse.Map, *parse.Object, *parse.Object)   { return nil, nil, nil }
func (r *SubscribeRequest) subject() (*parse.Map, *parse.Object, *parse.Object) { return nil, nil, nil }
func (r *EventRequest) subject() (*parse.Map, *parse.Object, *parse.Object) {
	return nil, r.Object, r.Original
}
func (r *LiveEventRequest) subject() (*parse.Map, *parse.Object, *parse.Object) { return nil, nil, nil }
func (r *JobRequest) subject() (*parse.Map, *parse.Object, *parse.Object)       { return r.Params, nil, nil }

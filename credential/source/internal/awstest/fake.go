package awstest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// Fake is the server. Its fields may be changed in With.
type Fake struct {
	mu sync.Mutex
	// Logins are the access keys that are good.
	Logins map[string]bool
	// Fault is asked before each call, by the name of the operation; nil for no fault.
	Fault func(operation string) *Fault
	// Calls are the operations that were called, in order.
	Calls []string
	// Headers are those of the latest call.
	Headers http.Header

	secrets    map[string]*secret
	parameters map[string]*parameter
	keys       map[string]*key
	number     int
}

// Fault is an answer that is no success.
type Fault struct {
	Status     int
	Code       string // of the JSON; Body is sent as it is if this is empty
	Message    string
	Body       string
	RetryAfter string
	Location   string
	Do         func() // runs before the answer, without the lock
	Serve      bool   // the operation is carried out and answered after Do
}

// canaryMessage is in every error of the server: no text of AWS may reach a log.
const canaryMessage = "canary-message-of-aws"

// Start runs a fake until the test ends.
func Start(t *testing.T) *Bed {
	t.Helper()
	f := &Fake{Logins: map[string]bool{AccessKey: true}, secrets: map[string]*secret{}, parameters: map[string]*parameter{}, keys: map[string]*key{}}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return &Bed{URL: server.URL, Fake: f}
}

// With runs change under the lock.
func (f *Fake) With(change func(f *Fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// Fail makes all calls fail, until nil.
func (f *Fake) Fail(fault *Fault) {
	f.With(func(f *Fake) {
		f.Fault = nil
		if fault != nil {
			f.Fault = func(string) *Fault { return fault }
		}
	})
}

// Took returns the operations called since the latest Took.
func (f *Fake) Took() (calls []string) {
	f.With(func(f *Fake) { calls, f.Calls = f.Calls, nil })
	return calls
}

// failure is an error of an operation.
type failure struct{ code, message string }

func fail(code string) *failure { return &failure{code: code} }

// operations are what the server can do, by the name in X-Amz-Target.
var operations = map[string]func(*Fake, map[string]any) (any, *failure){
	"secretsmanager.CreateSecret":             (*Fake).createSecret,
	"secretsmanager.GetSecretValue":           (*Fake).getSecretValue,
	"secretsmanager.DescribeSecret":           (*Fake).describeSecret,
	"secretsmanager.PutSecretValue":           (*Fake).putSecretValue,
	"secretsmanager.UpdateSecretVersionStage": (*Fake).updateSecretVersionStage,
	"secretsmanager.DeleteSecret":             (*Fake).deleteSecret,
	"secretsmanager.RestoreSecret":            (*Fake).restoreSecret,
	"AmazonSSM.GetParameter":                  (*Fake).getParameter,
	"AmazonSSM.PutParameter":                  (*Fake).putParameter,
	"AmazonSSM.DescribeParameters":            (*Fake).describeParameters,
	"AmazonSSM.DeleteParameter":               (*Fake).deleteParameter,
	"AmazonSSM.LabelParameterVersion":         (*Fake).labelParameterVersion,
	"TrentService.CreateKey":                  (*Fake).createKey,
	"TrentService.Encrypt":                    (*Fake).encrypt,
	"TrentService.Decrypt":                    (*Fake).decrypt,
	"TrentService.DisableKey":                 (*Fake).disableKey,
	"TrentService.EnableKey":                  (*Fake).enableKey,
	"TrentService.ScheduleKeyDeletion":        (*Fake).scheduleKeyDeletion,
}

var loginPattern = regexp.MustCompile(`Credential=([^/]+)/`)

func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in map[string]any
	text, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(text, &in)
	target := r.Header.Get("X-Amz-Target")
	_, name, _ := strings.Cut(target, ".")
	f.mu.Lock()
	f.Calls = append(f.Calls, name)
	f.Headers = r.Header.Clone()
	var fault *Fault
	if f.Fault != nil {
		fault = f.Fault(name)
	}
	f.mu.Unlock()
	if fault != nil {
		if fault.Do != nil {
			fault.Do()
		}
		if !fault.Serve {
			fault.write(w)
			return
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	login := loginPattern.FindStringSubmatch(r.Header.Get("Authorization"))
	if login == nil || !f.Logins[login[1]] {
		(&Fault{Status: 400, Code: "UnrecognizedClientException"}).write(w)
		return
	}
	operate, known := operations[target]
	if !known {
		(&Fault{Status: 400, Code: "UnknownOperationException"}).write(w)
		return
	}
	out, failed := operate(f, in)
	if failed != nil {
		(&Fault{Status: 400, Code: failed.code, Message: failed.message}).write(w)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(out)
}

func (fault *Fault) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if fault.RetryAfter != "" {
		w.Header().Set("Retry-After", fault.RetryAfter)
	}
	if fault.Location != "" {
		w.Header().Set("Location", fault.Location)
	}
	w.WriteHeader(fault.Status)
	if fault.Code == "" {
		_, _ = io.WriteString(w, fault.Body)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": fault.Code, "message": fault.Message + " " + canaryMessage})
}

// Leaks reports whether text has words that the server sent, or our own login.
func Leaks(text string) bool {
	return strings.Contains(text, canaryMessage) || strings.Contains(text, SecretKey)
}

func str(in map[string]any, name string) string {
	text, _ := in[name].(string)
	return text
}

func strs(in map[string]any, name string) (list []string) {
	all, _ := in[name].([]any)
	for _, one := range all {
		list = append(list, fmt.Sprint(one))
	}
	return list
}

// epoch is how the protocol writes a time.
func epoch(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

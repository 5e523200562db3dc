package messaging

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// end says on which links a key has an effect.
type end string

const (
	bothEnds     end = "both"
	handlerEnd   end = "handler"  // the provider calls the component
	consumerEnd  end = "consumer" // the component calls the provider
	providerOnly end = "provider" // the provider's own config, for all links
)

// key is one config key.
type key struct {
	name    string
	aliases []string
	end     end
	secret  bool   // belongs into a secret: one warning where it is in config
	group   string // keys of a group are taken from one place together
	value   string // what it is, for the documents
	doc     string
	// set puts a value into the settings; nil for the keys of the login, which login.go chooses.
	set func(s *settings, text string) error
}

// The groups of keys that belong together.
const (
	loginGroup       = "login"
	certificateGroup = "certificate"
)

// keys are all config keys, in the order of the documents.
var keys = []key{
	{name: "cluster_uris", end: bothEnds, value: "list of URLs, `nats://127.0.0.1:4222`", doc: "The servers. All of them are used; each may have a user and a password or a token of its own. Schemes are `nats`, `tls`, `ws` and `wss`; without one it is `nats`.", set: setServers},
	{name: "subscriptions", end: handlerEnd, value: "list", doc: "Subjects that the component gets messages of, with wildcards. `subject|queue` is a member of a queue group.", set: setSubscriptions},
	{name: "consumers", end: handlerEnd, value: "JSON", doc: "Durable JetStream consumers: `[{\"stream\":\"S\",\"consumer\":\"C\",\"max_messages\":100,\"max_bytes\":1048576}]`. A message is acknowledged when the component has handled it, and given back when it failed.", set: setConsumers},
	{name: "custom_inbox_prefix", aliases: []string{"inbox_prefix"}, end: bothEnds, value: "subject, `_INBOX`", doc: "What the subjects for answers begin with.", set: setInboxPrefix},
	{name: "ping_interval_sec", end: bothEnds, value: "seconds, `120`", doc: "How often the server is asked whether it is still there.", set: seconds(func(s *settings) *time.Duration { return &s.ping })},

	{name: "credentials", end: bothEnds, group: loginGroup, value: "reference", doc: "Where the login comes from: `file:///run/nats.creds`, `vault://…`, `nats-kv://…`, `https://…`, `exec:…`. It is read again when it changes. See docs/credentials.md."},
	{name: "nats_creds", aliases: []string{"creds"}, end: bothEnds, secret: true, group: loginGroup, value: "text", doc: "The content of a `.creds` file: JWT and seed in one."},
	{name: "client_jwt", end: bothEnds, secret: true, group: loginGroup, value: "JWT", doc: "The JWT of a user. It needs `client_seed`, from the same place. `<anything>.client_jwt` is the same name."},
	{name: "client_seed", end: bothEnds, secret: true, group: loginGroup, value: "seed", doc: "The seed that belongs to `client_jwt`. `<anything>.client_seed` is the same name."},
	{name: "nkey", aliases: []string{"nkey_seed"}, end: bothEnds, secret: true, group: loginGroup, value: "seed", doc: "The seed of a user, for servers that know users by their nkey."},
	{name: "user", aliases: []string{"username"}, end: bothEnds, group: loginGroup, value: "text", doc: "A user. It needs `password`, from the same place."},
	{name: "password", end: bothEnds, secret: true, group: loginGroup, value: "text", doc: "The password of `user`."},
	{name: "token", end: bothEnds, secret: true, group: loginGroup, value: "text", doc: "A token."},

	{name: "tls_ca", end: bothEnds, value: "PEM", doc: "Certificates of the authorities that the server's certificate may come from: all that are in the text, in the place of the system's. Makes TLS required.", set: setAuthorities},
	{name: "tls_ca_file", end: bothEnds, value: "path", doc: "The same as a file on the host, read when the connection is made.", set: text(func(s *settings) *string { return &s.tls.caFile })},
	{name: "tls_cert", aliases: []string{"client_cert", "tls_client_cert"}, end: bothEnds, group: certificateGroup, value: "PEM", doc: "The certificate that the provider shows. It needs `tls_key`.", set: pemText(func(s *settings) *string { return &s.tls.cert })},
	{name: "tls_cert_file", end: bothEnds, group: certificateGroup, value: "path", doc: "The same as a file, read at each handshake: it is replaced by replacing the file.", set: text(func(s *settings) *string { return &s.tls.certFile })},
	{name: "tls_key", aliases: []string{"client_key", "tls_client_key"}, end: bothEnds, secret: true, group: certificateGroup, value: "PEM", doc: "The key of `tls_cert`.", set: pemText(func(s *settings) *string { return &s.tls.key })},
	{name: "tls_key_file", end: bothEnds, group: certificateGroup, value: "path", doc: "The key of `tls_cert_file`, read at each handshake.", set: text(func(s *settings) *string { return &s.tls.keyFile })},
	{name: "tls_first", end: bothEnds, value: "`true` or `false`", doc: "The handshake comes first. The server must be set up so as well.", set: boolean(func(s *settings) *bool { return &s.tls.first })},
	{name: "tls_server_name", end: bothEnds, value: "name", doc: "The name that the server's certificate must have, if it is not the one in the URL.", set: text(func(s *settings) *string { return &s.tls.serverName })},

	{name: "max_in_flight", end: handlerEnd, value: "number, `256`", doc: "How many messages of the link the component handles at a time. What comes beyond waits.", set: number(1, 65536, func(s *settings) *int { return &s.maxInFlight })},
	{name: "ordered", end: handlerEnd, value: "`true` or `false`", doc: "The messages of a subscription or consumer are handled one after the other.", set: boolean(func(s *settings) *bool { return &s.ordered })},
	{name: "max_pending", end: handlerEnd, value: "number, `524288`", doc: "How many messages of a subscription may wait. What comes beyond is dropped, counted, and told by health.", set: number(1, 1<<30, func(s *settings) *int { return &s.maxPending })},
	{name: "max_pending_bytes", end: handlerEnd, value: "bytes, `67108864`", doc: "How many bytes of a subscription may wait.", set: number(1024, 1<<40, func(s *settings) *int { return &s.maxPendingBytes })},
	{name: "handler_timeout", end: handlerEnd, value: "duration, `60s`", doc: "How long the component may take for a message, from the call to its answer.", set: duration(time.Millisecond, 24*time.Hour, func(s *settings) *time.Duration { return &s.handlerTimeout })},
	{name: "handler_error", end: handlerEnd, value: "`log` or `reply`", doc: "What follows when a message could not be handled: a line of the log and a count, or also an answer with the headers `Nats-Service-Error` and `Nats-Service-Error-Code` to whom the message names for answers.", set: setErrorPolicy},
	{name: "handler_retries", end: handlerEnd, value: "number, `0`", doc: "How often a message that could not be handled is tried again. Messages of JetStream are given back to the stream instead, whose consumer says how often they come.", set: number(0, 100, func(s *settings) *int { return &s.retries })},
	{name: "handler_retry_wait", end: handlerEnd, value: "duration, `200ms`", doc: "How long to wait before the first retry. It doubles each time, up to 30 s. For JetStream it is the delay of what is given back.", set: duration(0, time.Hour, func(s *settings) *time.Duration { return &s.retryWait })},

	{name: "publish_flush", end: consumerEnd, value: "`buffer` or `server`", doc: "`publish` returns when the message is handed to the connection, or when the server has it. With `server` an error says that it could not be confirmed.", set: setFlush},
	{name: "max_request_timeout", end: consumerEnd, value: "duration, none", doc: "No `request` waits longer, whatever the component asks for.", set: duration(time.Millisecond, 50*24*time.Hour, func(s *settings) *time.Duration { return &s.maxRequest })},

	{name: "allow_duplicates", end: handlerEnd, value: "`true` or `false`", doc: "Where the server refuses the queue group of a plain subscription: a rotation may bring a message twice. Without it the connection is made again instead, and messages are missed meanwhile.", set: boolean(func(s *settings) *bool { return &s.allowDuplicates })},
	{name: "grace", end: bothEnds, value: "duration, `1s`", doc: "How long a deleted link goes on working, so that a new link of the same name takes over from it and no message is lost.", set: duration(0, time.Minute, func(s *settings) *time.Duration { return &s.grace })},
	{name: "strict_compat", end: providerOnly, value: "`true` or `false`", doc: "Config and secrets are merged, and requests are bounded, as the original does. See the differences. Read at the start.", set: boolean(func(s *settings) *bool { return &s.strict })},
}

// named finds a key by its name or an alias, in any case.
func named(name string) (key, bool) {
	name = strings.ToLower(strings.TrimSpace(name))
	at := slices.IndexFunc(keys, func(k key) bool { return k.name == name || slices.Contains(k.aliases, name) })
	if at < 0 {
		return key{}, false
	}
	return keys[at], true
}

// closest is the name that is spelled most like one that is unknown, "" if none is.
func closest(name string) string {
	best, least := "", 1+len(name)/3
	for _, k := range keys {
		for _, n := range append([]string{k.name}, k.aliases...) {
			if d := distance(name, n); d < least {
				best, least = n, d
			}
		}
	}
	return best
}

// distance is how many letters have to be changed, added or taken away.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := before
			if a[i] != b[j] {
				cost++
			}
			before = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// WriteKeys writes the table of config keys, as docs/wasmcloud.md has it.
func WriteKeys(w io.Writer) error {
	_, err := io.WriteString(w, "| key | links | value | |\n|---|---|---|---|\n")
	for _, k := range keys {
		names := "`" + k.name + "`"
		for _, a := range k.aliases {
			names += ", `" + a + "`"
		}
		doc := k.doc
		if k.secret {
			doc += " Belongs into a secret."
		}
		if err == nil {
			_, err = fmt.Fprintf(w, "| %s | %s | %s | %s |\n", escaped(names), k.end, escaped(k.value), escaped(doc))
		}
	}
	return err
}

// WriteHelp writes the same for a terminal.
func WriteHelp(w io.Writer) error {
	for _, k := range keys {
		value := strings.ReplaceAll(k.value, "`", "")
		if k.end != bothEnds {
			value += "; " + map[end]string{handlerEnd: "handler links", consumerEnd: "consumer links", providerOnly: "of the provider"}[k.end]
		}
		doc := strings.NewReplacer("`", "", "**", "").Replace(k.doc)
		if k.secret {
			doc += " Belongs into a secret."
		}
		if _, err := fmt.Fprintf(w, "  %s (%s)\n%s", strings.Join(append([]string{k.name}, k.aliases...), ", "), value, wrapped(doc, "      ", 80)); err != nil {
			return err
		}
	}
	return nil
}

// wrapped breaks a text into lines that begin with indent.
func wrapped(text, indent string, width int) string {
	var out strings.Builder
	line := indent
	for word := range strings.FieldsSeq(text) {
		if len(line)+len(word) >= width && line != indent {
			out.WriteString(strings.TrimRight(line, " ") + "\n")
			line = indent
		}
		line += word + " "
	}
	return out.String() + strings.TrimRight(line, " ") + "\n"
}

func escaped(cell string) string { return strings.ReplaceAll(cell, "|", `\|`) }

// items are the parts of a comma list: trimmed, without empty ones and repetitions.
func items(text string) []string {
	var all []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" && !slices.Contains(all, item) {
			all = append(all, item)
		}
	}
	return all
}

func text(field func(*settings) *string) func(*settings, string) error {
	return func(s *settings, text string) error {
		*field(s) = text
		return nil
	}
}

// pemText takes \n for a line break as well: config values lose them easily.
func pemText(field func(*settings) *string) func(*settings, string) error {
	return func(s *settings, text string) error {
		*field(s) = strings.ReplaceAll(text, `\n`, "\n")
		return nil
	}
}

func boolean(field func(*settings) *bool) func(*settings, string) error {
	return func(s *settings, text string) error {
		switch strings.ToLower(text) {
		case "true", "yes", "on", "1":
			*field(s) = true
		case "false", "no", "off", "0":
			*field(s) = false
		default:
			return errors.New("must be true or false")
		}
		return nil
	}
}

func number(low, high int, field func(*settings) *int) func(*settings, string) error {
	return func(s *settings, text string) error {
		n, err := strconv.Atoi(text)
		if err != nil || n < low || n > high {
			return fmt.Errorf("must be a number from %d to %d", low, high)
		}
		*field(s) = n
		return nil
	}
}

func seconds(field func(*settings) *time.Duration) func(*settings, string) error {
	return func(s *settings, text string) error {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 86400 {
			return errors.New("must be a number of seconds from 1 to 86400")
		}
		*field(s) = time.Duration(n) * time.Second
		return nil
	}
}

func duration(low, high time.Duration, field func(*settings) *time.Duration) func(*settings, string) error {
	return func(s *settings, text string) error {
		d, err := time.ParseDuration(text)
		if err != nil || d < low || d > high {
			return fmt.Errorf("must be a duration like 500ms or 30s, from %v to %v", low, high)
		}
		*field(s) = d
		return nil
	}
}

func setErrorPolicy(s *settings, text string) error {
	switch strings.ToLower(text) {
	case "log":
		s.replyErrors = false
	case "reply":
		s.replyErrors = true
	default:
		return errors.New("must be log or reply")
	}
	return nil
}

func setFlush(s *settings, text string) error {
	switch strings.ToLower(text) {
	case "buffer":
		s.flush = false
	case "server":
		s.flush = true
	default:
		return errors.New("must be buffer or server")
	}
	return nil
}

func setInboxPrefix(s *settings, text string) error {
	if strings.ContainsAny(text, " \t\r\n*>") || strings.HasSuffix(text, ".") || strings.HasPrefix(text, ".") {
		return errors.New("must be a subject without wildcards")
	}
	s.inboxPrefix = text
	return nil
}

// subscription is one of the list subscriptions.
type subscription struct{ subject, queue string }

func setSubscriptions(s *settings, text string) error {
	s.subscriptions = nil
	for item := range strings.SplitSeq(text, ",") {
		subject, queue, _ := strings.Cut(item, "|")
		one := subscription{strings.TrimSpace(subject), strings.TrimSpace(queue)}
		switch {
		case one == subscription{}:
			continue
		case !validSubject(one.subject) || strings.ContainsAny(one.queue, " \t\r\n"):
			return fmt.Errorf("has %q, which is no subject or subject|queue", strings.TrimSpace(item))
		}
		if s.strict || !slices.Contains(s.subscriptions, one) {
			s.subscriptions = append(s.subscriptions, one)
		}
	}
	return nil
}

func validSubject(subject string) bool {
	tokens := strings.Split(subject, ".")
	for i, token := range tokens {
		if token == "" || strings.ContainsAny(token, " \t\r\n") || token == ">" && i < len(tokens)-1 {
			return false
		}
	}
	return true
}

// consumer is one of the list consumers.
type consumer struct {
	Stream      string `json:"stream"`
	Consumer    string `json:"consumer"`
	MaxMessages int    `json:"max_messages"`
	MaxBytes    int    `json:"max_bytes"`
}

func setConsumers(s *settings, text string) error {
	var all []consumer
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return errors.New(`must be JSON like [{"stream":"S","consumer":"C"}]`)
	}
	s.consumers = nil
	for _, c := range all {
		if c.Stream == "" || c.Consumer == "" || c.MaxMessages < 0 || c.MaxBytes < 0 {
			return errors.New("has one without stream and consumer, or with a negative limit")
		}
		if !slices.ContainsFunc(s.consumers, func(o consumer) bool { return o.Stream == c.Stream && o.Consumer == c.Consumer }) {
			s.consumers = append(s.consumers, c)
		}
	}
	return nil
}

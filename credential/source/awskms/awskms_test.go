package awskms_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"go.uber.org/goleak"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/source/awskms"
	"github.com/parley-backend/parley/credential/source/internal/awstest"
)

const (
	keyA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	keyB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func TestMain(m *testing.M) {
	awstest.Isolate()
	goleak.VerifyTestMain(m)
}

// owner is whose KMS key encrypts in a test.
type owner struct {
	*kms.Client
	key, arn string
}

func newOwner(t *testing.T, b *awstest.Bed) owner {
	t.Helper()
	client := b.Keys()
	out, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	return owner{client, *out.KeyMetadata.KeyId, *out.KeyMetadata.Arn}
}

func (o owner) encrypt(t *testing.T, plain string, context map[string]string) []byte {
	t.Helper()
	out, err := o.Encrypt(t.Context(), &kms.EncryptInput{KeyId: &o.key, Plaintext: []byte(plain), EncryptionContext: context})
	if err != nil {
		t.Fatal(err)
	}
	return out.CiphertextBlob
}

func inBase64(blob []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(blob) + "\n") }

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func value(t *testing.T, s credential.Source) string {
	t.Helper()
	payload, err := s.Fetch(t.Context())
	if err != nil {
		t.Fatalf("Fetch failed: %v", err)
	}
	return string(payload.Versions[0].Value.Reveal())
}

func fails(t *testing.T, when string, s credential.Source, want credential.Class) {
	t.Helper()
	_, err := s.Fetch(t.Context())
	if !errors.Is(err, want) || awstest.Leaks(fmt.Sprintf("%v %+v %#v", err, err, err)) {
		t.Errorf("%s, Fetch says %v, want %v", when, err, want)
	}
}

func TestSource(t *testing.T) {
	awstest.OnEach(t, func(t *testing.T, b *awstest.Bed) {
		o := newOwner(t, b)
		credentialtest.TestSource(t, credentialtest.Harness{Open: func(t *testing.T, value string) credentialtest.Store {
			path := filepath.Join(t.TempDir(), "master.enc")
			put := func(t *testing.T, value string) { write(t, path, inBase64(o.encrypt(t, value, nil))) }
			put(t, value)
			store := credentialtest.Store{
				Source: b.Open(t, awskms.Opener(), "awskms://"+path),
				Put:    put,
				Remove: func(*testing.T) { _ = os.Remove(path) },
			}
			if b.Fake != nil {
				store.Break = func(*testing.T) func() {
					b.Fake.Fail(&awstest.Fault{Status: 400, Code: "ThrottlingException", Message: "canary-first-4f1c9d2e77a05b36"})
					return func() { b.Fake.Fail(nil) }
				}
			}
			return store
		}})
	})
}

// The ciphertext may be written in any way that people come by it.
func TestCiphertexts(t *testing.T) {
	awstest.OnEach(t, func(t *testing.T, b *awstest.Bed) {
		o := newOwner(t, b)
		blob := o.encrypt(t, `{"masterKey":"`+keyA+`"}`, nil)
		text := base64.StdEncoding.EncodeToString(blob)
		path := filepath.Join(t.TempDir(), "x")
		for name, content := range map[string][]byte{
			"base64":   []byte(text),
			"newline":  []byte(text + "\n"),
			"lines":    []byte(text[:40] + "\r\n" + text[40:] + "\r\n"),
			"raw":      blob,
			"URL":      []byte(base64.URLEncoding.EncodeToString(blob)),
			"unpadded": []byte(base64.RawStdEncoding.EncodeToString(blob)),
		} {
			write(t, path, content)
			if got := value(t, b.Open(t, awskms.Opener(), "awskms://"+path+"#masterKey")); got != keyA {
				t.Errorf("%s: the value is %q, want %q", name, got, keyA)
			}
		}
		for _, text := range []string{text, base64.RawURLEncoding.EncodeToString(blob)} {
			s := b.Open(t, awskms.Opener(), "awskms:"+text+"#masterKey")
			if got := value(t, s); got != keyA {
				t.Errorf("in the reference: the value is %q, want %q", got, keyA)
			}
			if place := s.Info().Location; !strings.HasPrefix(place, "ciphertext ") || strings.Contains(place, text[:40]) {
				t.Errorf("Location = %q, want a digest of the ciphertext", place)
			}
		}
	})
}

func TestEncryptionContextAndKey(t *testing.T) {
	awstest.OnEach(t, func(t *testing.T, b *awstest.Bed) {
		o, other := newOwner(t, b), newOwner(t, b)
		path := filepath.Join(t.TempDir(), "x")
		write(t, path, inBase64(o.encrypt(t, keyA, map[string]string{"app": "parley", "stage": "prod"})))
		right := "awskms://" + path + "?context.app=parley&context.stage=prod"
		for _, reference := range []string{right, right + "&key=" + o.key, right + "&key=" + o.arn} {
			if got := value(t, b.Open(t, awskms.Opener(), reference)); got != keyA {
				t.Errorf("%s: the value is %q, want %q", reference, got, keyA)
			}
		}
		fails(t, "with half of the context", b.Open(t, awskms.Opener(), "awskms://"+path+"?context.app=parley"), credential.Invalid)
		if b.Fake != nil { // moto says AccessDenied
			fails(t, "with another key", b.Open(t, awskms.Opener(), right+"&key="+other.arn), credential.Invalid)
		}
	})
}

// On the fake only: moto decrypts with keys in any state.
func TestKeyStates(t *testing.T) {
	b := awstest.Start(t)
	o := newOwner(t, b)
	path := filepath.Join(t.TempDir(), "x")
	write(t, path, inBase64(o.encrypt(t, keyA, nil)))
	s := b.Open(t, awskms.Opener(), "awskms://"+path)
	if _, err := o.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &o.key}); err != nil {
		t.Fatal(err)
	}
	fails(t, "with a disabled key", s, credential.Denied)
	if _, err := o.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: &o.key}); err != nil {
		t.Fatal(err)
	}
	if got := value(t, s); got != keyA {
		t.Errorf("with the key enabled again the value is %q, want %q", got, keyA)
	}
	if _, err := o.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: &o.key, PendingWindowInDays: aws.Int32(7)}); err != nil {
		t.Fatal(err)
	}
	fails(t, "with a key whose deletion is pending", s, credential.Denied)
	b.Fake.Fail(&awstest.Fault{Status: 400, Code: "NotFoundException"})
	fails(t, "with a key that was deleted", s, credential.Denied)
}

func TestFiles(t *testing.T) {
	b := awstest.Start(t)
	o := newOwner(t, b)
	dir := t.TempDir()
	path := filepath.Join(dir, "x")
	s := b.Open(t, awskms.Opener(), "awskms://"+path)
	fails(t, "without the file", s, credential.Missing)
	for name, content := range map[string][]byte{
		"an empty file":   {},
		"white space":     []byte(" \n"),
		"text":            []byte("this is a key\n"),
		"a cut file":      inBase64(o.encrypt(t, keyA, nil))[:60],
		"a damaged file":  append(o.encrypt(t, keyA, nil), 1),
		"too much":        []byte(strings.Repeat("QUJD", 3000)),
		"too much of raw": append([]byte{1, 2}, make([]byte, 7000)...),
	} {
		write(t, path, content)
		fails(t, "with "+name, s, credential.Invalid)
	}
	write(t, path, inBase64(o.encrypt(t, keyB, nil)))
	if got := value(t, s); got != keyB {
		t.Errorf("after the file was written the value is %q, want %q", got, keyB)
	}
	fails(t, "with a folder", b.Open(t, awskms.Opener(), "awskms://"+dir), credential.Invalid)
	b.Fake.Fail(&awstest.Fault{Status: 500, Code: "KMSInternalException"})
	fails(t, "when KMS fails", s, credential.Unavailable)
}

func TestReferences(t *testing.T) {
	for text, want := range map[string]string{
		"awskms:///etc/parley/x?context.app=p&region=eu-west-1&key=alias/parley":     "",
		"awskms:AQID?region=eu-west-1#masterKey":                                     "",
		"awskms:///x?key=arn:aws:kms:eu-west-1:1:key/1&algorithm=RSAES_OAEP_SHA_256": "",
		"awskms://host/x":                           "write awskms:///path with three slashes",
		"awskms:not base64!":                        "what follows the scheme is not a ciphertext in base64",
		"awskms:" + strings.Repeat("QUJD", 3000):    "what follows the scheme is not a ciphertext in base64",
		"awskms:///x?algorithm=RSAES_OAEP_SHA_256":  "option algorithm wants the option key",
		"awskms:///x?key=1&algorithm=ROT13":         "option algorithm is none of KMS",
		"awskms:///x?context.=1":                    `unknown option "context."`,
		"awskms:///x?context.a=1&context.a=2":       `option "context.a" is given twice`,
		"awskms:///x?colour=red":                    `unknown option "colour"`,
		"awskms:///x?key=arn:aws:s3:eu-west-1:1:x":  "the ARN is not one of kms",
		"awskms:///x?format=raw#field":              "format raw has no field",
		"awskms:///x?region=eu-west-1%2F":           "option region is not the name of a region",
		"awskms:///x?endpoint=http://kms.internal/": "plain HTTP to kms.internal would show the secret to the network; write https, or allow_http=kms.internal",
	} {
		ref, err := credential.ParseReference(text)
		if err == nil {
			_, err = awskms.Opener()(ref)
		}
		got := ""
		if err != nil {
			got = strings.TrimPrefix(err.Error(), "credential: config: reference awskms: ")
		}
		if got != want {
			t.Errorf("opening %.60s says %q, want %q", text, got, want)
		}
	}
}

func FuzzCiphertextFile(f *testing.F) {
	for _, seed := range []string{"", "AQID", "AQID\n", "A-_=", "\x01\x02\x03", "AQ ID", "====", "\xff"} {
		f.Add([]byte(seed))
	}
	b := &awstest.Bed{URL: "http://127.0.0.1:1"} // nobody is there: no file may pass for a value
	path := filepath.Join(f.TempDir(), "x")
	f.Fuzz(func(t *testing.T, content []byte) {
		write(t, path, content)
		payload, err := b.Open(t, awskms.Opener(), "awskms://"+path).Fetch(t.Context())
		if !errors.Is(err, credential.Invalid) && !errors.Is(err, credential.Unavailable) {
			t.Errorf("Fetch = %v, %v, want Invalid or Unavailable", payload, err)
		}
	})
}

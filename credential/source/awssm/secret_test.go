package awssm_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/source/awssm"
	"github.com/parley-backend/parley/credential/source/internal/awstest"
)

// operator is who changes secrets in a test.
type operator struct {
	*secretsmanager.Client
	name string
}

func newOperator(t *testing.T, b *awstest.Bed) operator {
	return operator{b.Secrets(), unique(t)}
}

// put makes text the current version, and the secret if there is none. It returns the version's id.
func (o operator) put(t *testing.T, text string) string {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	_, _ = o.RestoreSecret(ctx, &secretsmanager.RestoreSecretInput{SecretId: &o.name})
	out, err := o.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &o.name, SecretString: &text})
	if err == nil {
		return *out.VersionId
	}
	made, err := o.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &o.name, SecretString: &text})
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(made.VersionId)
}

func (o operator) delete(t *testing.T, forGood bool) {
	t.Helper()
	in := &secretsmanager.DeleteSecretInput{SecretId: &o.name}
	if forGood {
		in.ForceDeleteWithoutRecovery = aws.Bool(true)
	}
	if _, err := o.DeleteSecret(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}

// current returns the id of the current version.
func (o operator) current(t *testing.T) string {
	t.Helper()
	out, err := o.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &o.name, VersionStage: aws.String("AWSCURRENT")})
	if err != nil {
		t.Fatal(err)
	}
	return *out.VersionId
}

func (o operator) move(t *testing.T, stage, to, from string) {
	t.Helper()
	in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: &o.name, VersionStage: &stage, MoveToVersionId: &to}
	if from != "" {
		in.RemoveFromVersionId = &from
	}
	if _, err := o.UpdateSecretVersionStage(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}

func TestSecretIsASource(t *testing.T) {
	awstest.OnEach(t, func(t *testing.T, b *awstest.Bed) {
		for name, forGood := range map[string]bool{"Scheduled": false, "Removed": true} {
			t.Run(name, func(t *testing.T) { testSecret(t, b, forGood) })
		}
	})
}

// testSecret runs the suite; a secret is removed by scheduling its deletion, or for good.
func testSecret(t *testing.T, b *awstest.Bed, forGood bool) {
	credentialtest.TestSource(t, credentialtest.Harness{Open: func(t *testing.T, value string) credentialtest.Store {
		o := newOperator(t, b)
		o.put(t, value)
		store := credentialtest.Store{
			Source: b.Open(t, awssm.Opener(), "awssm://"+o.name),
			Put:    func(t *testing.T, value string) { o.put(t, value) },
			Remove: func(t *testing.T) { o.delete(t, forGood) },
		}
		if b.Fake != nil {
			store.Break = func(*testing.T) func() {
				b.Fake.Fail(&awstest.Fault{Status: 503, Body: "canary-first-4f1c9d2e77a05b36"})
				return func() { b.Fake.Fail(nil) }
			}
		}
		return store
	}})
}

func TestSecretVersions(t *testing.T) {
	awstest.OnEach(t, func(t *testing.T, b *awstest.Bed) {
		o := newOperator(t, b)
		o.put(t, keyA)
		open := func() credential.Source { return b.Open(t, awssm.Opener(), "awssm://"+o.name) }
		warm := open()
		onlyA := []version{{Value: keyA, Created: true}}
		if got := fetch(t, warm); !cmp.Equal(got, onlyA) {
			t.Errorf("a secret with one version is %v, want %v", got, onlyA)
		}
		o.put(t, keyB)
		both := []version{{Value: keyB, Created: true}, {State: credential.Previous, Value: keyA, Created: true}}
		for name, s := range map[string]credential.Source{"warm": warm, "cold": open()} {
			if got := fetch(t, s); !cmp.Equal(got, both) {
				t.Errorf("%s, after a rotation the secret is %v, want %v", name, got, both)
			}
		}
		if got, want := fetch(t, warm), both[:1]; !cmp.Equal(got, want) {
			t.Errorf("what has been told is told again: %v, want %v", got, want)
		}
		o.put(t, keyC)
		if got, want := fetch(t, warm), []version{{Value: keyC, Created: true}, {State: credential.Previous, Value: keyB, Created: true}}; !cmp.Equal(got, want) {
			t.Errorf("after two rotations the secret is %v, want %v", got, want)
		}
	})
}

// AWSPENDING is a value that a rotation is still at work on.
func TestSecretPendingIsNotRead(t *testing.T) {
	awstest.OnEach(t, func(t *testing.T, b *awstest.Bed) {
		o := newOperator(t, b)
		o.put(t, keyA)
		_, err := o.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &o.name, SecretString: aws.String(keyB), VersionStages: []string{"AWSPENDING"}})
		if err != nil {
			t.Fatal(err)
		}
		s := b.Open(t, awssm.Opener(), "awssm://"+o.name)
		if got, want := fetch(t, s), []version{{Value: keyA, Created: true}}; !cmp.Equal(got, want) {
			t.Errorf("with a pending version the secret is %v, want %v", got, want)
		}
		s = b.Open(t, awssm.Opener(), "awssm://"+o.name+"?stage=AWSPENDING")
		if got, want := fetch(t, s), []version{{Value: keyB, Created: true}}; !cmp.Equal(got, want) {
			t.Errorf("with stage=AWSPENDING the secret is %v, want %v", got, want)
		}
	})
}

func TestSecretPinned(t *testing.T) {
	awstest.OnEach(t, func(t *testing.T, b *awstest.Bed) {
		o := newOperator(t, b)
		o.put(t, keyA)
		first := o.current(t)
		o.put(t, keyB)
		for query, want := range map[string]string{"version=" + first: keyA, "stage=AWSPREVIOUS": keyA, "stage=AWSCURRENT": keyB} {
			s := b.Open(t, awssm.Opener(), "awssm://"+o.name+"?"+query)
			if got, want := fetch(t, s), []version{{Value: want, Created: true}}; !cmp.Equal(got, want) {
				t.Errorf("with %s the secret is %v, want %v", query, got, want)
			}
			_, err := s.(credential.Writer).Write(t.Context(), credential.NewSecret(keyC))
			if !errors.Is(err, credential.ErrNotWritable) {
				t.Errorf("with %s, Write says %v, want ErrNotWritable", query, err)
			}
		}
		fails(t, b.Open(t, awssm.Opener(), "awssm://"+o.name+"?stage=nowhere"), credential.Missing)
	})
}

func TestSecretNamesAndContents(t *testing.T) {
	awstest.OnEach(t, func(t *testing.T, b *awstest.Bed) {
		o := newOperator(t, b)
		o.name = "/" + o.name
		o.put(t, `{"masterKey":"`+keyA+`","user":"parley"}`)
		about, err := o.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &o.name})
		if err != nil {
			t.Fatal(err)
		}
		binary := newOperator(t, b)
		if _, err := binary.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &binary.name, SecretBinary: []byte(keyB)}); err != nil {
			t.Fatal(err)
		}
		for reference, want := range map[string]version{
			"awssm://" + o.name + "#masterKey":      {Value: keyA, Created: true},
			"awssm://" + *about.ARN + "#/masterKey": {Value: keyA, Created: true},
			"awssm://" + binary.name:                {Value: keyB, Created: true},
		} {
			if got, want := fetch(t, b.Open(t, awssm.Opener(), reference)), []version{want}; !cmp.Equal(got, want) {
				t.Errorf("%s is %v, want %v", reference, got, want)
			}
		}
		fails(t, b.Open(t, awssm.Opener(), "awssm://"+o.name+"#other"), credential.Missing)
		fails(t, b.Open(t, awssm.Opener(), "awssm://"+binary.name+"#masterKey"), credential.Invalid)
	})
}

func TestSecretGroupChangesAsOne(t *testing.T) {
	awstest.OnEach(t, func(t *testing.T, b *awstest.Bed) {
		o := newOperator(t, b)
		o.put(t, `{"password":"`+keyA+`"}`)
		o.put(t, `{"password":"`+keyB+`","port":5432}`)
		s := b.Open(t, awssm.Opener(), "awssm://"+o.name+"?format=json")
		want := []version{{Fields: "password=" + keyB, Created: true}, {State: credential.Previous, Fields: "password=" + keyA, Created: true}}
		if got := fetch(t, s); !cmp.Equal(got, want) {
			t.Errorf("the group is %v, want %v", got, want)
		}
	})
}

func TestSecretDeletedAndRestored(t *testing.T) {
	awstest.OnEach(t, func(t *testing.T, b *awstest.Bed) {
		o := newOperator(t, b)
		o.put(t, keyA)
		s := b.Open(t, awssm.Opener(), "awssm://"+o.name)
		fetch(t, s)
		o.delete(t, false)
		fails(t, s, credential.Gone)
		if _, err := o.RestoreSecret(t.Context(), &secretsmanager.RestoreSecretInput{SecretId: &o.name}); err != nil {
			t.Fatal(err)
		}
		if got, want := fetch(t, s), []version{{Value: keyA, Created: true}}; !cmp.Equal(got, want) {
			t.Errorf("restored, the secret is %v, want %v", got, want)
		}
		o.delete(t, true)
		fails(t, s, credential.Missing)
	})
}

// A reading is one call, and one more only where it can tell something new.
func TestSecretCalls(t *testing.T) {
	b := awstest.Start(t)
	o := newOperator(t, b)
	o.put(t, keyA)
	s := b.Open(t, awssm.Opener(), "awssm://"+o.name)
	one, two := []string{"GetSecretValue"}, []string{"GetSecretValue", "GetSecretValue"}
	reads := func(when string, want []string) {
		t.Helper()
		b.Fake.Took()
		fetch(t, s)
		if got := b.Fake.Took(); !cmp.Equal(got, want) {
			t.Errorf("%s a reading is %v, want %v", when, got, want)
		}
	}
	reads("first", two)
	reads("second", one)
	o.put(t, keyB)
	reads("after a rotation", two)
	reads("then", one)
	b.Fake.Fail(&awstest.Fault{Status: 500, Code: "InternalServiceError"})
	fails(t, s, credential.Unavailable)
	b.Fake.Fail(nil)
	reads("after a failure", two)
}

// The deadline of a version counts from when its value was replaced, also when another field changed since.
func TestSecretCreatedWhenTheFieldChanged(t *testing.T) {
	b := awstest.Start(t)
	o := newOperator(t, b)
	o.put(t, `{"masterKey":"`+keyA+`","other":"1"}`)
	b.Fake.Backdate(o.name, "", time.Hour)
	o.put(t, `{"masterKey":"`+keyA+`","other":"2"}`)
	s := b.Open(t, awssm.Opener(), "awssm://"+o.name+"#masterKey")
	for range 2 { // also when AWSPREVIOUS is not read again
		if age := time.Since(created(t, s)); age < time.Hour {
			t.Errorf("the value is said to be %v old, want an hour", age)
		}
	}
}

// Labels that go back: what replaced the newer version is older than it.
func TestSecretLabelsGoBack(t *testing.T) {
	b := awstest.Start(t)
	o := newOperator(t, b)
	o.put(t, keyA)
	first := o.current(t)
	b.Fake.Backdate(o.name, first, 48*time.Hour)
	o.put(t, keyB)
	second := o.current(t)
	warm := b.Open(t, awssm.Opener(), "awssm://"+o.name)
	fetch(t, warm)
	o.move(t, "AWSCURRENT", first, second)
	cold := b.Open(t, awssm.Opener(), "awssm://"+o.name)
	want := []version{{Value: keyA, Created: true}, {State: credential.Previous, Value: keyB, Created: true}}
	for name, s := range map[string]credential.Source{"warm": warm, "cold": cold} {
		if got := fetch(t, s); !cmp.Equal(got, want) {
			t.Errorf("%s, the secret is %v, want %v", name, got, want)
		}
		if age := time.Since(created(t, s)); age > time.Hour {
			t.Errorf("%s, the version is current since %v, want since the label was moved", name, age)
		}
	}
	t.Run("DescribeSecretDenied", func(t *testing.T) {
		b.Fake.With(func(f *awstest.Fake) {
			f.Fault = func(operation string) *awstest.Fault {
				if operation == "DescribeSecret" {
					return &awstest.Fault{Status: 400, Code: "AccessDeniedException"}
				}
				return nil
			}
		})
		defer b.Fake.Fail(nil)
		want := []version{{Value: keyA}}
		if got := fetch(t, b.Open(t, awssm.Opener(), "awssm://"+o.name)); !cmp.Equal(got, want) {
			t.Errorf("the secret is %v, want %v", got, want)
		}
	})
}

// Between the two calls of a reading the labels may move: the reading is of one moment nevertheless.
func TestSecretReadingIsConsistent(t *testing.T) {
	for _, rotations := range []int{1, 2} {
		b := awstest.Start(t)
		o := newOperator(t, b)
		o.put(t, keyA)
		b.Fake.Backdate(o.name, "", time.Hour)
		left, calls := rotations, 0
		b.Fake.With(func(f *awstest.Fake) {
			f.Fault = func(operation string) *awstest.Fault {
				if calls++; operation != "GetSecretValue" || calls != 2 {
					return nil
				}
				return &awstest.Fault{Serve: true, Do: func() { // before AWSPREVIOUS is answered
					for _, key := range []string{keyB, keyC}[:left] {
						o.put(t, key)
						time.Sleep(2 * time.Millisecond) // dates of AWS have milliseconds
					}
				}}
			}
		})
		want := []version{{Value: keyB, Created: true}, {State: credential.Previous, Value: keyA, Created: true}}
		if rotations == 2 {
			want = []version{{Value: keyC, Created: true}, {State: credential.Previous, Value: keyB, Created: true}}
		}
		if got := fetch(t, b.Open(t, awssm.Opener(), "awssm://"+o.name)); !cmp.Equal(got, want) {
			t.Errorf("with %d rotations during the reading it is %v, want %v", rotations, got, want)
		}
	}
}

func TestSecretThatNeverRests(t *testing.T) {
	b := awstest.Start(t)
	o := newOperator(t, b)
	o.put(t, keyA)
	calls := 0
	b.Fake.With(func(f *awstest.Fake) {
		f.Fault = func(operation string) *awstest.Fault {
			if operation != "GetSecretValue" {
				return nil
			}
			if calls++; calls%2 == 1 {
				return nil
			}
			return &awstest.Fault{Serve: true, Do: func() { o.put(t, strings.Repeat("x", 20+calls)) }}
		}
	})
	fails(t, b.Open(t, awssm.Opener(), "awssm://"+o.name), credential.Unavailable)
}

func TestSecretFailures(t *testing.T) {
	for _, test := range []struct {
		fault awstest.Fault
		want  credential.Class
		after time.Duration
	}{
		{awstest.Fault{Status: 400, Code: "ResourceNotFoundException"}, credential.Missing, 0},
		{awstest.Fault{Status: 400, Code: "DecryptionFailure"}, credential.Denied, 0},
		{awstest.Fault{Status: 400, Code: "AccessDeniedException"}, credential.Denied, 0},
		{awstest.Fault{Status: 400, Code: "UnrecognizedClientException"}, credential.Denied, 0},
		{awstest.Fault{Status: 400, Code: "com.amazonaws.secretsmanager#ExpiredTokenException"}, credential.Denied, 0},
		{awstest.Fault{Status: 403, Body: "<html>no</html>"}, credential.Denied, 0},
		{awstest.Fault{Status: 400, Code: "ThrottlingException", RetryAfter: "7"}, credential.Unavailable, 7 * time.Second},
		{awstest.Fault{Status: 429, Body: "{}", RetryAfter: "3"}, credential.Unavailable, 3 * time.Second},
		{awstest.Fault{Status: 500, Code: "InternalServiceError"}, credential.Unavailable, 0},
		{awstest.Fault{Status: 503, Body: "<html>busy</html>"}, credential.Unavailable, 0},
		{awstest.Fault{Status: 200, Body: "not JSON"}, credential.Unavailable, 0},
		{awstest.Fault{Status: 200, Body: "{}"}, credential.Unavailable, 0},
		{awstest.Fault{Status: 400, Code: "canary-message-of-aws"}, credential.Unavailable, 0},
		{awstest.Fault{Status: 400, Code: "InvalidParameterException"}, credential.Misconfigured, 0},
		{awstest.Fault{Status: 400, Code: "InvalidRequestException", Message: "something else"}, credential.Unavailable, 0},
		{awstest.Fault{Status: 307, Location: "http://127.0.0.1:1/"}, credential.Unavailable, 0},
	} {
		b := awstest.Start(t)
		o := newOperator(t, b)
		o.put(t, keyA)
		s := b.Open(t, awssm.Opener(), "awssm://"+o.name)
		b.Fake.Took()
		b.Fake.With(func(f *awstest.Fake) {
			f.Fault = func(operation string) *awstest.Fault {
				if operation == "DescribeSecret" {
					return nil
				}
				return &test.fault
			}
		})
		if failure := fails(t, s, test.want); failure.RetryAfter != test.after {
			t.Errorf("after %d %s, RetryAfter = %v, want %v", test.fault.Status, test.fault.Code, failure.RetryAfter, test.after)
		}
		if calls := len(b.Fake.Took()); calls > 2 {
			t.Errorf("after %d %s AWS was asked %d times: the engine retries", test.fault.Status, test.fault.Code, calls)
		}
	}
}

// Whether a deletion is scheduled is asked for; where that is not allowed, the words of the error count.
func TestSecretGoneWithoutDescribe(t *testing.T) {
	for _, test := range []struct {
		describe string
		message  string
		want     credential.Class
	}{
		{"AccessDeniedException", "because it was marked for deletion.", credential.Gone},
		{"AccessDeniedException", "something else", credential.Denied},
		{"ThrottlingException", "because it was marked for deletion.", credential.Unavailable},
	} {
		b := awstest.Start(t)
		b.Fake.With(func(f *awstest.Fake) {
			f.Fault = func(operation string) *awstest.Fault {
				if operation == "DescribeSecret" {
					return &awstest.Fault{Status: 400, Code: test.describe}
				}
				return &awstest.Fault{Status: 400, Code: "InvalidRequestException", Message: test.message}
			}
		})
		fails(t, b.Open(t, awssm.Opener(), "awssm://x"), test.want)
	}
}

// A secret, and a parameter, may hold several keys.
func TestSeveralKeys(t *testing.T) {
	awstest.OnEach(t, func(t *testing.T, b *awstest.Bed) {
		o, c := newOperator(t, b), newClerk(t, b)
		for range 2 {
			o.put(t, keyA+"\n"+keyB+"\n")
			c.put(t, keyA+"\n"+keyB+"\n")
		}
		for _, s := range []credential.Source{
			b.Open(t, awssm.Opener(), "awssm://"+o.name+"?format=lines"),
			b.Open(t, awssm.ParameterOpener(), "awsssm://"+c.name+"?format=lines"),
		} {
			payload, err := s.Fetch(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, v := range payload.Versions {
				got = append(got, string(v.Value.Reveal()))
			}
			if want := []string{keyA, keyB}; payload.Form != credential.List || !cmp.Equal(got, want) {
				t.Errorf("%s holds %v, want %v", s.Info().Scheme, got, want)
			}
		}
	})
}

package awssm_test

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/credentialtest"
	"github.com/parley-backend/parley/credential/source/awssm"
	"github.com/parley-backend/parley/credential/source/internal/awstest"
)

// clerk is who changes parameters in a test.
type clerk struct {
	*ssm.Client
	name string
}

func newClerk(t *testing.T, b *awstest.Bed) clerk {
	return clerk{b.Parameters(), "/" + unique(t)}
}

func (c clerk) put(t *testing.T, value string) {
	t.Helper()
	_, err := c.PutParameter(t.Context(), &ssm.PutParameterInput{Name: &c.name, Value: &value, Type: types.ParameterTypeSecureString, Overwrite: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
}

func (c clerk) delete(t *testing.T) {
	t.Helper()
	if _, err := c.DeleteParameter(t.Context(), &ssm.DeleteParameterInput{Name: &c.name}); err != nil {
		t.Fatal(err)
	}
}

func TestParameterIsASource(t *testing.T) {
	awstest.OnEach(t, func(t *testing.T, b *awstest.Bed) {
		credentialtest.TestSource(t, credentialtest.Harness{Open: func(t *testing.T, value string) credentialtest.Store {
			c := newClerk(t, b)
			c.put(t, value)
			store := credentialtest.Store{Source: b.Open(t, awssm.ParameterOpener(), "awsssm://"+c.name), Put: c.put, Remove: c.delete}
			if b.Fake != nil {
				store.Break = func(*testing.T) func() {
					b.Fake.Fail(&awstest.Fault{Status: 400, Code: "AccessDeniedException", Message: "canary-first-4f1c9d2e77a05b36"})
					return func() { b.Fake.Fail(nil) }
				}
			}
			return store
		}})
	})
}

func TestParameterVersions(t *testing.T) {
	awstest.OnEach(t, func(t *testing.T, b *awstest.Bed) {
		c := newClerk(t, b)
		c.put(t, keyA)
		open := func() credential.Source { return b.Open(t, awssm.ParameterOpener(), "awsssm://"+c.name) }
		warm := open()
		a := version{Value: keyA, Number: 1, Created: true}
		if got, want := fetch(t, warm), []version{a}; !cmp.Equal(got, want) {
			t.Errorf("a parameter with one version is %v, want %v", got, want)
		}
		c.put(t, keyB)
		a.State = credential.Previous
		both := []version{{Value: keyB, Number: 2, Created: true}, a}
		for name, s := range map[string]credential.Source{"warm": warm, "cold": open()} {
			if got := fetch(t, s); !cmp.Equal(got, both) {
				t.Errorf("%s, after a rotation the parameter is %v, want %v", name, got, both)
			}
		}
		if got, want := fetch(t, warm), both[:1]; !cmp.Equal(got, want) {
			t.Errorf("what has been told is told again: %v, want %v", got, want)
		}
	})
}

// A parameter that was removed and made anew begins at version 1: its numbers go on here.
func TestParameterMadeAnew(t *testing.T) {
	b := awstest.Start(t)
	c := newClerk(t, b)
	s := b.Open(t, awssm.ParameterOpener(), "awsssm://"+c.name)
	c.put(t, keyA)
	c.put(t, keyB)
	fetch(t, s)
	c.delete(t)
	fails(t, s, credential.Missing)
	time.Sleep(2 * time.Millisecond) // dates of AWS have milliseconds
	c.put(t, keyC)
	for range 2 {
		if got, want := fetch(t, s), []version{{Value: keyC, Number: 3, Created: true}}; !cmp.Equal(got, want) {
			t.Errorf("made anew, the parameter is %v, want %v", got, want)
		}
	}
	c.delete(t)
	time.Sleep(2 * time.Millisecond)
	c.put(t, keyB) // version 1 once more
	if got, want := fetch(t, s), []version{{Value: keyB, Number: 4, Created: true}}; !cmp.Equal(got, want) {
		t.Errorf("made anew once more, the parameter is %v, want %v", got, want)
	}
	c.put(t, keyA)
	want := []version{{Value: keyA, Number: 5, Created: true}, {State: credential.Previous, Value: keyB, Number: 4, Created: true}}
	if got := fetch(t, s); !cmp.Equal(got, want) {
		t.Errorf("written again, the parameter is %v, want %v", got, want)
	}
}

// A parameter with several fields has versions in which this one did not change.
func TestParameterLooksBack(t *testing.T) {
	awstest.OnEach(t, func(t *testing.T, b *awstest.Bed) {
		c := newClerk(t, b)
		c.put(t, `{"masterKey":"`+keyA+`"}`)
		c.put(t, `{"masterKey":"`+keyB+`"}`)
		for i := range 3 {
			c.put(t, `{"masterKey":"`+keyB+`","other":"`+strconv.Itoa(i)+`"}`)
		}
		s := b.Open(t, awssm.ParameterOpener(), "awsssm://"+c.name+"#masterKey")
		want := []version{{Value: keyB, Number: 5, Created: true}, {State: credential.Previous, Value: keyA, Number: 1, Created: true}}
		if got := fetch(t, s); !cmp.Equal(got, want) {
			t.Errorf("the parameter is %v, want %v", got, want)
		}
	})
}

func TestParameterPinned(t *testing.T) {
	awstest.OnEach(t, func(t *testing.T, b *awstest.Bed) {
		c := newClerk(t, b)
		c.put(t, keyA)
		c.put(t, keyB)
		if _, err := c.LabelParameterVersion(t.Context(), &ssm.LabelParameterVersionInput{Name: &c.name, ParameterVersion: aws.Int64(1), Labels: []string{"live"}}); err != nil {
			t.Fatal(err)
		}
		for _, query := range []string{"version=1", "label=live"} {
			s := b.Open(t, awssm.ParameterOpener(), "awsssm://"+c.name+"?"+query)
			if got, want := fetch(t, s), []version{{Value: keyA, Number: 1, Created: true}}; !cmp.Equal(got, want) {
				t.Errorf("with %s the parameter is %v, want %v", query, got, want)
			}
			if s.Info().Monotonic {
				t.Errorf("with %s the source says that it is monotonic", query)
			}
			if _, err := s.(credential.Writer).Write(t.Context(), credential.NewSecret(keyC)); !errors.Is(err, credential.ErrNotWritable) {
				t.Errorf("with %s, Write says %v, want ErrNotWritable", query, err)
			}
		}
		fails(t, b.Open(t, awssm.ParameterOpener(), "awsssm://"+c.name+"?version=7"), credential.Missing)
	})
}

func TestParameterByARN(t *testing.T) {
	b := awstest.Start(t)
	c := newClerk(t, b)
	c.put(t, keyA)
	s := b.Open(t, awssm.ParameterOpener(), "awsssm://arn:aws:ssm:eu-west-1:123456789012:parameter"+c.name)
	if got, want := fetch(t, s), []version{{Value: keyA, Number: 1, Created: true}}; !cmp.Equal(got, want) {
		t.Errorf("by its ARN the parameter is %v, want %v", got, want)
	}
	if _, err := s.(credential.Writer).Write(t.Context(), credential.NewSecret(keyC)); !errors.Is(err, credential.ErrNotWritable) {
		t.Errorf("by its ARN, Write says %v, want ErrNotWritable", err)
	}
}

func TestParameterFailures(t *testing.T) {
	for _, test := range []struct {
		fault awstest.Fault
		want  credential.Class
	}{
		{awstest.Fault{Status: 400, Code: "ParameterNotFound"}, credential.Missing},
		{awstest.Fault{Status: 400, Code: "ParameterVersionNotFound"}, credential.Missing},
		{awstest.Fault{Status: 400, Code: "InvalidKeyId"}, credential.Denied},
		{awstest.Fault{Status: 400, Code: "AccessDeniedException"}, credential.Denied},
		{awstest.Fault{Status: 400, Code: "ThrottlingException"}, credential.Unavailable},
		{awstest.Fault{Status: 500, Code: "InternalServerError"}, credential.Unavailable},
		{awstest.Fault{Status: 200, Body: "{}"}, credential.Unavailable},
		{awstest.Fault{Status: 400, Code: "ValidationException"}, credential.Misconfigured},
	} {
		b := awstest.Start(t)
		c := newClerk(t, b)
		c.put(t, keyA)
		b.Fake.Fail(&test.fault)
		fails(t, b.Open(t, awssm.ParameterOpener(), "awsssm://"+c.name), test.want)
	}
}

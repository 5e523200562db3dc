package awssm_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/google/go-cmp/cmp"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/awssm"
	"github.com/parley-backend/parley/credential/source/internal/awstest"
)

func write(t *testing.T, s credential.Source, value string) (id string) {
	t.Helper()
	id, err := s.(credential.Writer).Write(t.Context(), credential.NewSecret(value))
	if err != nil {
		t.Fatalf("Write failed: %v", err)
	}
	return id
}

// The engine rotates both, and what it replaced is accepted for the overlap.
func TestRotate(t *testing.T) {
	awstest.OnEach(t, func(t *testing.T, b *awstest.Bed) {
		o, c := newOperator(t, b), newClerk(t, b)
		o.put(t, `{"masterKey":"`+keyA+`","other":"x"}`)
		c.put(t, keyA)
		for name, s := range map[string]credential.Source{
			"awssm":  b.Open(t, awssm.Opener(), "awssm://"+o.name+"#masterKey"),
			"awsssm": b.Open(t, awssm.ParameterOpener(), "awsssm://"+c.name),
		} {
			key, err := credential.New(credential.Config{Name: "masterKey", Source: s})
			if err != nil {
				t.Fatal(err)
			}
			if err := key.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			made, err := key.Rotate(t.Context(), false)
			if err != nil {
				t.Fatalf("%s: Rotate failed: %v", name, err)
			}
			if d := key.Verify(string(made.Value.Reveal())); !d.OK() || d.VersionID != made.VersionID {
				t.Errorf("%s: Verify(the new value) = %+v, want Accept of version %s", name, d, made.VersionID)
			}
			if d := key.Verify(keyA); !d.OK() || d.State != credential.Previous {
				t.Errorf("%s: Verify(the old value) = %+v, want Accept as previous", name, d)
			}
			key.Stop()
		}
		out, err := o.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &o.name, VersionStage: aws.String("AWSCURRENT")})
		if err != nil {
			t.Fatal(err)
		}
		if text := *out.SecretString; !strings.HasPrefix(text, `{"masterKey":"`) || !strings.HasSuffix(text, `","other":"x"}`) || strings.Contains(text, keyA) {
			t.Errorf("after the rotation of a field the secret is %d bytes that are not the document", len(text))
		}
		if want := []string{"AWSCURRENT"}; !cmp.Equal(out.VersionStages, want) {
			t.Errorf("the labels of the new version are %v, want %v", out.VersionStages, want)
		}
	})
}

func TestWriteSecretKeepsItsKind(t *testing.T) {
	awstest.OnEach(t, func(t *testing.T, b *awstest.Bed) {
		o := newOperator(t, b)
		if _, err := o.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &o.name, SecretBinary: []byte(keyA)}); err != nil {
			t.Fatal(err)
		}
		s := b.Open(t, awssm.Opener(), "awssm://"+o.name)
		id := write(t, s, keyB)
		out, err := o.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &o.name, VersionStage: aws.String("AWSCURRENT")})
		if err != nil {
			t.Fatal(err)
		}
		if *out.VersionId != id || string(out.SecretBinary) != keyB || out.SecretString != nil {
			t.Errorf("after Write the secret is not the new value in bytes")
		}
		want := []version{{Value: keyB, Created: true}, {State: credential.Previous, Value: keyA, Created: true}}
		if got := fetch(t, s); !cmp.Equal(got, want) {
			t.Errorf("after Write the secret is %v, want %v", got, want)
		}
	})
}

func TestWriteFirstValue(t *testing.T) {
	b := awstest.Start(t)
	o, c := newOperator(t, b), newClerk(t, b)
	secret := b.Open(t, awssm.Opener(), "awssm://"+o.name)
	if _, err := secret.(credential.Writer).Write(t.Context(), credential.NewSecret(keyA)); !errors.Is(err, credential.Missing) {
		t.Errorf("Write to a secret that does not exist says %v, want Missing", err)
	}
	if _, err := o.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &o.name}); err != nil {
		t.Fatal(err)
	}
	write(t, secret, keyA)
	if got, want := fetch(t, secret), []version{{Value: keyA, Created: true}}; !cmp.Equal(got, want) {
		t.Errorf("the secret is %v, want %v", got, want)
	}
	parameter := b.Open(t, awssm.ParameterOpener(), "awsssm://"+c.name+"?key=alias/parley")
	write(t, parameter, keyA)
	if got, want := fetch(t, parameter), []version{{Value: keyA, Number: 1, Created: true}}; !cmp.Equal(got, want) {
		t.Errorf("the parameter is %v, want %v", got, want)
	}
	if got, want := b.Fake.Key(c.name), "alias/parley"; got != want {
		t.Errorf("the parameter is encrypted with %s, want %s", got, want)
	}
}

// Somebody else makes another version current between our reading and our writing: theirs stays.
func TestWriteSecretIsCompareAndSwap(t *testing.T) {
	b := awstest.Start(t)
	o := newOperator(t, b)
	o.put(t, `{"masterKey":"`+keyA+`","other":"x"}`)
	s := b.Open(t, awssm.Opener(), "awssm://"+o.name+"#masterKey")
	theirs := `{"masterKey":"` + keyC + `","other":"y"}`
	b.Fake.With(func(f *awstest.Fake) {
		f.Fault = func(operation string) *awstest.Fault {
			if operation != "PutSecretValue" {
				return nil
			}
			f.Fault = nil
			return &awstest.Fault{Serve: true, Do: func() { o.put(t, theirs) }}
		}
	})
	if _, err := s.(credential.Writer).Write(t.Context(), credential.NewSecret(keyB)); !errors.Is(err, credential.Unavailable) {
		t.Fatalf("Write says %v, want Unavailable", err)
	}
	out, err := o.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &o.name, VersionStage: aws.String("AWSCURRENT")})
	if err != nil {
		t.Fatal(err)
	}
	if *out.SecretString != theirs {
		t.Error("what somebody else wrote was overwritten")
	}
	if _, err := o.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &o.name, VersionStage: aws.String("PARLEYPENDING")}); err == nil {
		t.Error("the version that did not become current still has its label")
	}
}

// The answer to the move is lost, but the move was made.
func TestWriteSecretLostAnswer(t *testing.T) {
	b := awstest.Start(t)
	o := newOperator(t, b)
	o.put(t, keyA)
	first := o.current(t)
	s := b.Open(t, awssm.Opener(), "awssm://"+o.name)
	b.Fake.With(func(f *awstest.Fake) {
		f.Fault = func(operation string) *awstest.Fault {
			if operation != "UpdateSecretVersionStage" {
				return nil
			}
			f.Fault = nil
			return &awstest.Fault{Status: 500, Code: "InternalServiceError", Do: func() {
				staged, err := o.GetSecretValue(context.WithoutCancel(t.Context()), &secretsmanager.GetSecretValueInput{SecretId: &o.name, VersionStage: aws.String("PARLEYPENDING")})
				if err != nil {
					t.Error(err)
					return
				}
				o.move(t, "AWSCURRENT", *staged.VersionId, first)
			}}
		}
	})
	if id := write(t, s, keyB); id != o.current(t) {
		t.Errorf("Write = %s, which is not the current version", id)
	}
}

func TestWriteSecretFails(t *testing.T) {
	for _, test := range []struct {
		operation string
		fault     awstest.Fault
		want      error
	}{
		{"GetSecretValue", awstest.Fault{Status: 400, Code: "AccessDeniedException"}, credential.Denied},
		{"PutSecretValue", awstest.Fault{Status: 400, Code: "AccessDeniedException"}, credential.Denied},
		{"PutSecretValue", awstest.Fault{Status: 400, Code: "LimitExceededException"}, credential.Unavailable},
		{"UpdateSecretVersionStage", awstest.Fault{Status: 400, Code: "AccessDeniedException"}, credential.Denied},
		{"UpdateSecretVersionStage", awstest.Fault{Status: 500, Code: "InternalServiceError"}, credential.Unavailable},
		{"UpdateSecretVersionStage", awstest.Fault{Status: 400, Code: "InvalidParameterException"}, credential.Unavailable},
		{"UpdateSecretVersionStage", awstest.Fault{Status: 400, Code: "InvalidRequestException"}, credential.Unavailable},
	} {
		b := awstest.Start(t)
		o := newOperator(t, b)
		o.put(t, keyA)
		first := o.current(t)
		s := b.Open(t, awssm.Opener(), "awssm://"+o.name)
		b.Fake.With(func(f *awstest.Fake) {
			f.Fault = func(operation string) *awstest.Fault {
				if operation == test.operation {
					return &test.fault
				}
				return nil
			}
		})
		if _, err := s.(credential.Writer).Write(t.Context(), credential.NewSecret(keyB)); !errors.Is(err, test.want) || awstest.Leaks(err.Error()) {
			t.Errorf("when %s says %s, Write says %v, want %v", test.operation, test.fault.Code, err, test.want)
		}
		b.Fake.Fail(nil)
		if o.current(t) != first {
			t.Errorf("when %s says %s, another version is current", test.operation, test.fault.Code)
		}
	}
}

// The KMS key, the type and the description of a parameter stay as the operator chose them.
func TestWriteParameterKeepsItsKey(t *testing.T) {
	awstest.OnEach(t, func(t *testing.T, b *awstest.Bed) {
		c := newClerk(t, b)
		_, err := c.PutParameter(t.Context(), &ssm.PutParameterInput{Name: &c.name, Value: aws.String(keyA), Type: types.ParameterTypeSecureString,
			KeyId: aws.String("alias/parley"), Description: aws.String("of the tests")})
		if err != nil {
			t.Fatal(err)
		}
		s := b.Open(t, awssm.ParameterOpener(), "awsssm://"+c.name)
		if got, want := write(t, s, keyB), "2"; got != want {
			t.Errorf("Write = %s, want %s", got, want)
		}
		about, err := newDescription(t, c)
		if err != nil {
			t.Fatal(err)
		}
		got := []string{string(about.Type), aws.ToString(about.KeyId), aws.ToString(about.Description)}
		if want := []string{"SecureString", "alias/parley", "of the tests"}; !cmp.Equal(got, want) {
			t.Errorf("after Write the parameter is %v, want %v", got, want)
		}
	})
}

func newDescription(t *testing.T, c clerk) (types.ParameterMetadata, error) {
	in := &ssm.DescribeParametersInput{ParameterFilters: []types.ParameterStringFilter{{Key: aws.String("Name"), Option: aws.String("Equals"), Values: []string{c.name}}}}
	for pages := ssm.NewDescribeParametersPaginator(c.Client, in); pages.HasMorePages(); {
		out, err := pages.NextPage(t.Context())
		if err != nil {
			return types.ParameterMetadata{}, err
		}
		if len(out.Parameters) > 0 {
			return out.Parameters[0], nil
		}
	}
	return types.ParameterMetadata{}, errors.New("not described")
}

func TestWriteParameterWithoutDescribe(t *testing.T) {
	for _, test := range []struct {
		query string
		kind  types.ParameterType
		key   string
	}{
		{"", types.ParameterTypeSecureString, "not writable"},
		{"?key=alias/mine", types.ParameterTypeSecureString, "alias/mine"},
		{"", types.ParameterTypeString, ""},
	} {
		b := awstest.Start(t)
		c := newClerk(t, b)
		if _, err := c.PutParameter(t.Context(), &ssm.PutParameterInput{Name: &c.name, Value: aws.String(keyA), Type: test.kind}); err != nil {
			t.Fatal(err)
		}
		b.Fake.With(func(f *awstest.Fake) {
			f.Fault = func(operation string) *awstest.Fault {
				if operation == "DescribeParameters" {
					return &awstest.Fault{Status: 400, Code: "AccessDeniedException"}
				}
				return nil
			}
		})
		s := b.Open(t, awssm.ParameterOpener(), "awsssm://"+c.name+test.query)
		_, err := s.(credential.Writer).Write(t.Context(), credential.NewSecret(keyB))
		if test.key == "not writable" {
			if !errors.Is(err, credential.ErrNotWritable) {
				t.Errorf("with an unknown KMS key, Write says %v, want ErrNotWritable", err)
			}
			continue
		}
		if err != nil {
			t.Errorf("Write to a %s%s failed: %v", test.kind, test.query, err)
		}
		if got := b.Fake.Key(c.name); got != test.key {
			t.Errorf("a %s%s is encrypted with %q, want %q", test.kind, test.query, got, test.key)
		}
	}
}

// Two fields of one parameter are written at the same time: both changes are there in the end.
func TestWriteParameterTogether(t *testing.T) {
	b := awstest.Start(t)
	c := newClerk(t, b)
	c.put(t, `{"masterKey":"`+keyA+`","other":"x"}`)
	s := b.Open(t, awssm.ParameterOpener(), "awsssm://"+c.name+"#masterKey")
	b.Fake.With(func(f *awstest.Fake) {
		f.Fault = func(operation string) *awstest.Fault {
			if operation != "PutParameter" {
				return nil
			}
			f.Fault = nil
			return &awstest.Fault{Serve: true, Do: func() { c.put(t, `{"masterKey":"`+keyA+`","other":"y"}`) }}
		}
	})
	if got, want := write(t, s, keyB), "4"; got != want {
		t.Errorf("Write = %s, want %s", got, want)
	}
	out, err := c.GetParameter(t.Context(), &ssm.GetParameterInput{Name: &c.name, WithDecryption: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := *out.Parameter.Value, `{"masterKey":"`+keyB+`","other":"y"}`; got != want {
		t.Errorf("the parameter is %s, want %s", got, want)
	}
}

func TestWriteParameterThatNeverRests(t *testing.T) {
	b := awstest.Start(t)
	c := newClerk(t, b)
	c.put(t, `{"masterKey":"`+keyA+`"}`)
	s := b.Open(t, awssm.ParameterOpener(), "awsssm://"+c.name+"#masterKey")
	theirs := false
	b.Fake.With(func(f *awstest.Fake) {
		f.Fault = func(operation string) *awstest.Fault {
			if operation != "PutParameter" || theirs {
				return nil
			}
			return &awstest.Fault{Serve: true, Do: func() {
				theirs = true
				c.put(t, `{"masterKey":"`+keyC+`"}`)
				theirs = false
			}}
		}
	})
	if _, err := s.(credential.Writer).Write(t.Context(), credential.NewSecret(keyB)); !errors.Is(err, credential.Unavailable) {
		t.Errorf("Write says %v, want Unavailable", err)
	}
}

// Of several who rotate one secret at the same time each either makes its value current, or changes nothing and says so.
func TestWriteSecretTogether(t *testing.T) {
	b := awstest.Start(t)
	o := newOperator(t, b)
	o.put(t, keyA)
	const writers = 6
	ids, failed := make(chan string, writers), make(chan error, writers)
	var group sync.WaitGroup
	for range writers {
		s := b.Open(t, awssm.Opener(), "awssm://"+o.name)
		group.Go(func() {
			if id, err := s.(credential.Writer).Write(t.Context(), credential.NewSecret(keyB)); err != nil {
				failed <- err
			} else {
				ids <- id
			}
		})
	}
	group.Wait()
	close(ids)
	close(failed)
	for err := range failed {
		if !errors.Is(err, credential.Unavailable) {
			t.Errorf("Write says %v, want Unavailable", err)
		}
	}
	current, known := o.current(t), false
	for id := range ids {
		known = known || id == current
	}
	if !known {
		t.Error("the current version is of nobody whose Write succeeded")
	}
}

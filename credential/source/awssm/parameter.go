package awssm

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/credential/source/internal/awsapi"
)

// lookBack is how many versions before the latest are looked at to find the value before. A parameter with several
// fields has versions in which this one did not change.
const lookBack = 4

// parameter is one parameter of Systems Manager Parameter Store.
type parameter struct {
	name     string // or ARN
	selector string // the version or the label that the reference names
	key      string
	decoder  credential.Decoder
	client   *awsapi.Client[*ssm.Client]
	location string

	instance string

	mu sync.Mutex
	// latest is the newest version read. A lower number that was written later is of another parameter under the same
	// name, and counts from base on.
	latest edition
	base   int64
	last   *since
}

// edition is what AWS says of a version besides its value.
type edition struct {
	number  int64
	written time.Time
}

// since is how long the value of the reading before has been there; nil after a failure.
type since struct {
	number  int64 // from base on
	created time.Time
}

// Info: version numbers only grow. A label may be moved back.
func (p *parameter) Info() credential.Info {
	return credential.Info{Scheme: "awsssm", Location: p.location, Instance: p.instance, Monotonic: p.selector == ""}
}

// Fetch reads the latest version, and the value before it as (*secret).Fetch does: at the first reading, after a
// failure, and when there is a new version.
func (p *parameter) Fetch(ctx context.Context) (credential.Payload, error) {
	p.mu.Lock()
	last := p.last
	p.last = nil
	p.mu.Unlock()
	payload, latest, err := p.get(ctx, p.selector)
	if err != nil || p.selector != "" {
		return payload, err
	}
	base := p.advance(latest)
	for i := range payload.Versions {
		payload.Versions[i].Number += uint64(base)
	}
	if p.decoder.Several() { // several keys say themselves what they are
		return payload, nil
	}
	if last != nil && last.number == base+latest.number {
		payload.Versions[0].Created = last.created
	} else if payload.Versions, err = p.before(ctx, payload.Versions, latest.number, base); err != nil {
		return credential.Payload{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = &since{number: base + latest.number, created: payload.Versions[0].Created}
	return payload, nil
}

// before adds the value before the current one, and sees since when that is there.
func (p *parameter) before(ctx context.Context, versions []credential.Version, number, base int64) ([]credential.Version, error) {
	for back := int64(1); back <= lookBack && back < number; back++ {
		payload, _, err := p.get(ctx, strconv.FormatInt(number-back, 10))
		switch {
		case errors.Is(err, credential.Unavailable) || ctx.Err() != nil:
			return nil, err
		case err != nil:
			return versions, nil // it was removed, or cannot be used
		}
		v := payload.Versions[0]
		if same(versions[0], v) {
			versions[0].Created = v.Created
			wipe(v)
			continue
		}
		v.State = credential.Previous
		v.Number += uint64(base)
		return append(versions, v), nil
	}
	return versions, nil
}

// advance notes the latest version and returns what to add to its number, so that numbers grow beyond the life of a parameter.
func (p *parameter) advance(e edition) (base int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.number <= p.latest.number && e.written.After(p.latest.written) {
		p.base += p.latest.number
		p.latest = e
	} else if e.number >= p.latest.number {
		p.latest = e
	}
	return p.base
}

// get reads one version: the latest for "".
func (p *parameter) get(ctx context.Context, selector string) (credential.Payload, edition, error) {
	found, err := p.read(ctx, selector)
	if err != nil {
		return credential.Payload{}, edition{}, err
	}
	content := []byte(aws.ToString(found.Value))
	defer clear(content)
	e := edition{number: found.Version, written: aws.ToTime(found.LastModifiedDate)}
	payload, err := p.decoder.Payload(content, credential.Version{ID: strconv.FormatInt(e.number, 10), Number: uint64(e.number), Created: e.written})
	return payload, e, err
}

func (p *parameter) read(ctx context.Context, selector string) (*types.Parameter, error) {
	name := p.name
	if selector != "" {
		name += ":" + selector
	}
	var out *ssm.GetParameterOutput
	err := p.client.Do(ctx, func(api *ssm.Client) (err error) {
		out, err = api.GetParameter(ctx, &ssm.GetParameterInput{Name: &name, WithDecryption: aws.Bool(true)})
		return err
	})
	if err != nil {
		return nil, err
	}
	if out.Parameter == nil || out.Parameter.Version < 1 {
		return nil, credential.Errorf(credential.Unavailable, "an answer that is not AWS's")
	}
	return out.Parameter, nil
}

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

	mu sync.Mutex
	// latest is the newest version read, written when it was. A lower number that was written later is another parameter
	// under the same name, and counts from base on.
	latest, base int64
	written      time.Time
	last         *since
}

// since is how long the value of the reading before has been there, nil after a failure.
type since struct {
	number  int64
	created time.Time
}

// Info: version numbers only grow. A label may be moved back.
func (p *parameter) Info() credential.Info {
	return credential.Info{Scheme: "awsssm", Location: p.location, Monotonic: p.selector == ""}
}

// Fetch reads the latest version, and the value before it as (*secret).Fetch does: at the first reading, after a
// failure, and when there is a new version.
func (p *parameter) Fetch(ctx context.Context) (credential.Payload, error) {
	p.mu.Lock()
	last := p.last
	p.last = nil
	p.mu.Unlock()
	now, err := p.get(ctx, p.selector)
	if err != nil {
		return credential.Payload{}, err
	}
	if p.selector != "" {
		return credential.Payload{Versions: []credential.Version{now}}, nil
	}
	number := int64(now.Number)
	base := p.advance(&now)
	versions := []credential.Version{now}
	if last != nil && last.number == number && base == 0 {
		versions[0].Created = last.created
	} else if versions, err = p.before(ctx, versions, number, base); err != nil {
		return credential.Payload{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = &since{number: number, created: versions[0].Created}
	return credential.Payload{Versions: versions}, nil
}

// before adds the value before the current one, and sees since when that is there.
func (p *parameter) before(ctx context.Context, versions []credential.Version, number, base int64) ([]credential.Version, error) {
	for back := int64(1); back <= lookBack && back < number; back++ {
		v, err := p.get(ctx, strconv.FormatInt(number-back, 10))
		switch {
		case errors.Is(err, credential.Unavailable) || ctx.Err() != nil:
			return nil, err
		case err != nil:
			return versions, nil // it was removed, or cannot be used
		case same(versions[0], v):
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

// advance notes the latest version, gives it its number among all that were under this name, and returns what was
// added to it.
func (p *parameter) advance(v *credential.Version) (base int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	number := int64(v.Number)
	if number < p.latest && v.Created.After(p.written) {
		p.base += p.latest
		p.latest, p.written = number, v.Created
	} else if number >= p.latest {
		p.latest, p.written = number, v.Created
	}
	v.Number += uint64(p.base)
	return p.base
}

// get reads one version: the latest for "".
func (p *parameter) get(ctx context.Context, selector string) (credential.Version, error) {
	found, err := p.read(ctx, selector)
	if err != nil {
		return credential.Version{}, err
	}
	content := []byte(aws.ToString(found.Value))
	defer clear(content)
	v := credential.Version{ID: strconv.FormatInt(found.Version, 10), Number: uint64(found.Version), Created: aws.ToTime(found.LastModifiedDate)}
	return v, p.decoder.Decode(content, &v)
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

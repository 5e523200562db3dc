package awssm

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/parley-backend/parley/credential"
)

// rewrites is how often a field is written again because somebody else wrote the parameter at the same time.
const rewrites = 3

// Write implements credential.Writer. Parameter Store has no compare and swap, but it numbers versions without gaps: when another version
// came in between, what that changed in other fields is put together with ours in one more version.
func (p *parameter) Write(ctx context.Context, value credential.Secret) (string, error) {
	switch {
	case p.selector != "":
		return "", credential.NotWritable("the reference names a version or a label")
	case strings.HasPrefix(p.name, "arn:"):
		return "", credential.NotWritable("AWS writes parameters by their path, and the reference has an ARN")
	}
	found, err := p.read(ctx, "")
	if errors.Is(err, credential.Missing) && p.decoder.Whole() {
		found, err = &types.Parameter{Type: types.ParameterTypeSecureString}, nil
	}
	if err != nil {
		return "", err
	}
	in, err := p.as(ctx, found)
	if err != nil {
		return "", err
	}
	expected := found.Version + 1
	written, err := p.put(ctx, in, found, value)
	for tries := 0; err == nil && written != expected && !p.decoder.Whole(); tries++ {
		if tries == rewrites {
			return "", credential.Errorf(credential.Unavailable, "%s changes faster than it can be written", p.name)
		}
		if found, err = p.read(ctx, strconv.FormatInt(written-1, 10)); err != nil {
			return "", err
		}
		expected = written + 1
		written, err = p.put(ctx, in, found, value)
	}
	if err != nil {
		return "", err
	}
	return strconv.FormatInt(written, 10), nil
}

// as says how the parameter is stored, so that a new version is stored in the same way: what is left out AWS sets to
// defaults, and the default key is not the one that the operator chose.
func (p *parameter) as(ctx context.Context, found *types.Parameter) (ssm.PutParameterInput, error) {
	exists := found.Version > 0
	in := ssm.PutParameterInput{Name: &p.name, Overwrite: &exists, Type: found.Type, DataType: found.DataType}
	if found.Type == types.ParameterTypeSecureString && p.key != "" {
		in.KeyId = &p.key
	}
	if !exists {
		return in, nil
	}
	about, err := p.describe(ctx)
	switch {
	case errors.Is(err, credential.Denied) && (found.Type != types.ParameterTypeSecureString || p.key != ""):
		return in, nil
	case errors.Is(err, credential.Denied):
		return in, credential.NotWritable("allow ssm:DescribeParameters, or name the KMS key by the option key: AWS would encrypt it with another one")
	case err != nil:
		return in, err
	}
	if in.KeyId == nil && found.Type == types.ParameterTypeSecureString {
		in.KeyId = about.KeyId
	}
	in.Tier, in.Description, in.AllowedPattern = about.Tier, about.Description, about.AllowedPattern
	return in, nil
}

// describe asks how the parameter is stored. A page may be empty although more follow.
func (p *parameter) describe(ctx context.Context) (*types.ParameterMetadata, error) {
	in := ssm.DescribeParametersInput{ParameterFilters: []types.ParameterStringFilter{{Key: aws.String("Name"), Option: aws.String("Equals"), Values: []string{p.name}}}}
	for {
		var out *ssm.DescribeParametersOutput
		err := p.client.Do(ctx, func(api *ssm.Client) (err error) {
			out, err = api.DescribeParameters(ctx, &in)
			return err
		})
		switch {
		case err != nil:
			return nil, err
		case len(out.Parameters) > 0:
			return &out.Parameters[0], nil
		case aws.ToString(out.NextToken) == "":
			return nil, credential.Errorf(credential.Missing, "%s was removed meanwhile", p.name)
		}
		in.NextToken = out.NextToken
	}
}

// put stores what was found with the value in it, and returns the number of the version.
func (p *parameter) put(ctx context.Context, in ssm.PutParameterInput, found *types.Parameter, value credential.Secret) (int64, error) {
	content := []byte(aws.ToString(found.Value))
	defer clear(content)
	changed, err := p.decoder.Replace(content, value)
	if err != nil {
		return 0, err
	}
	defer clear(changed)
	in.Value = aws.String(string(changed))
	var out *ssm.PutParameterOutput
	err = p.client.Do(ctx, func(api *ssm.Client) (err error) {
		out, err = api.PutParameter(ctx, &in)
		return err
	})
	if err != nil {
		return 0, err
	}
	return out.Version, nil
}

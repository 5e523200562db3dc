package awsapi

import (
	"net"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/parley-backend/parley/credential"
)

// Name returns what stands between // and the options: a name, a path, or an ARN. An ARN has
// colons, which a host could have as well, so the place is taken together again.
func Name(ref credential.Reference) (string, error) {
	first, err := url.PathUnescape(ref.Authority)
	if err != nil || ref.Opaque != "" || strings.ContainsFunc(first, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", Wrong(ref, "write %s://name", ref.Scheme)
	}
	return first + ref.Path, nil
}

// At returns the place that the options of a reference ask for, and checks name if it is an ARN: it
// is one of the service, and its region is the region.
func At(ref credential.Reference, name, service string) (Place, error) {
	at := Place{Region: ref.Options["region"], Profile: ref.Options["profile"],
		Endpoint: strings.TrimSuffix(ref.Options["endpoint"], "/"), AllowHTTP: ref.Options["allow_http"]}
	if strings.HasPrefix(name, "arn:") {
		parsed, err := arn.Parse(name)
		switch {
		case err != nil || parsed.Service != service || parsed.Region == "" || parsed.Resource == "":
			return Place{}, Wrong(ref, "the ARN is not one of %s", service)
		case at.Region != "" && at.Region != parsed.Region:
			return Place{}, Wrong(ref, "option region is not the region of the ARN")
		}
		at.Region = parsed.Region
	}
	if strings.Trim(at.Region, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return Place{}, Wrong(ref, "option region is not the name of a region")
	}
	if at.Endpoint == "" {
		return at, nil
	}
	where, err := url.Parse(at.Endpoint)
	if err != nil || where.Scheme != "http" && where.Scheme != "https" || where.Hostname() == "" || where.User != nil || where.RawQuery != "" || where.Path != "" {
		return Place{}, Wrong(ref, "option endpoint is https://host:port and no more")
	}
	host := where.Hostname()
	ip := net.ParseIP(host)
	loopback := strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
	if where.Scheme == "http" && !loopback && !strings.EqualFold(host, at.AllowHTTP) {
		return Place{}, Wrong(ref, "plain HTTP to %s would show the secret to the network; write https, or allow_http=%s", host, host)
	}
	return at, nil
}

// Location names a secret for people, and tells it from one of the same name in another place.
func (at Place) Location(name string) string {
	region := at.Region
	if strings.HasPrefix(name, "arn:") {
		region = "" // it has it
	}
	var where []string
	for _, part := range []string{region, at.Profile, at.Endpoint} {
		if part != "" {
			where = append(where, part)
		}
	}
	if len(where) == 0 {
		return name
	}
	return name + " (" + strings.Join(where, ", ") + ")"
}

// Instance names the service of a place.
func (at Place) Instance(service string) string {
	return strings.Join([]string{"aws", service, at.Region, at.Profile, at.Endpoint}, " ")
}

// Wrong is an error of a reference.
func Wrong(ref credential.Reference, format string, args ...any) error {
	return credential.Errorf(credential.Misconfigured, "reference "+ref.Scheme+": "+format, args...)
}

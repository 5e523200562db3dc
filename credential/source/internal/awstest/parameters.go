package awstest

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

type parameter struct {
	name     string
	versions []*parameterVersion
}

type parameterVersion struct {
	number                 int
	value, kind, key, tier string
	description, pattern   any
	labels                 []string
	written                time.Time
}

// Key returns the KMS key that the latest version of a parameter is encrypted with.
func (f *Fake) Key(name string) (key string) {
	f.With(func(f *Fake) { key = f.parameters[name].latest().key })
	return key
}

func (p *parameter) latest() *parameterVersion { return p.versions[len(p.versions)-1] }

func (f *Fake) getParameter(in map[string]any) (any, *failure) {
	name, selector, selected := strings.Cut(str(in, "Name"), ":")
	if arn, ok := strings.CutPrefix(str(in, "Name"), "arn:aws:ssm:"+Region+":123456789012:parameter"); ok {
		name, selector, selected = strings.Cut(arn, ":")
	}
	p, known := f.parameters[name]
	if !known {
		return nil, fail("ParameterNotFound")
	}
	v := p.latest()
	if selected {
		at := slices.IndexFunc(p.versions, func(v *parameterVersion) bool {
			return strconv.Itoa(v.number) == selector || slices.Contains(v.labels, selector)
		})
		if at < 0 {
			return nil, fail("ParameterVersionNotFound")
		}
		v = p.versions[at]
	}
	value := v.value
	if v.kind == "SecureString" && in["WithDecryption"] != true {
		value = "AQICAHhFAKE"
	}
	return map[string]any{"Parameter": map[string]any{"Name": name, "Type": v.kind, "Value": value, "Version": v.number,
		"LastModifiedDate": epoch(v.written), "DataType": "text", "ARN": "arn:aws:ssm:" + Region + ":123456789012:parameter" + name}}, nil
}

func (f *Fake) putParameter(in map[string]any) (any, *failure) {
	name := str(in, "Name")
	p, known := f.parameters[name]
	if known && in["Overwrite"] != true {
		return nil, fail("ParameterAlreadyExists")
	}
	v := &parameterVersion{number: 1, value: str(in, "Value"), kind: str(in, "Type"), key: str(in, "KeyId"), tier: str(in, "Tier"),
		description: in["Description"], pattern: in["AllowedPattern"], written: time.Now()}
	if !known {
		p = &parameter{name: name}
		f.parameters[name] = p
	} else {
		v.number = p.latest().number + 1
		if v.kind == "" {
			v.kind = p.latest().kind
		}
	}
	if v.kind == "SecureString" && v.key == "" {
		v.key = "alias/aws/ssm"
	}
	p.versions = append(p.versions, v)
	return map[string]any{"Version": v.number, "Tier": "Standard"}, nil
}

// describeParameters answers with an empty page first, as AWS may.
func (f *Fake) describeParameters(in map[string]any) (any, *failure) {
	if str(in, "NextToken") == "" {
		return map[string]any{"Parameters": []any{}, "NextToken": "2"}, nil
	}
	filters, _ := in["ParameterFilters"].([]any)
	found := []any{}
	for _, filter := range filters {
		for _, name := range strs(filter.(map[string]any), "Values") {
			p, known := f.parameters[name]
			if !known {
				continue
			}
			v := p.latest()
			about := map[string]any{"Name": name, "Type": v.kind, "Version": v.number, "Tier": "Standard"}
			if v.kind == "SecureString" {
				about["KeyId"] = v.key
			}
			if v.description != nil {
				about["Description"] = v.description
			}
			found = append(found, about)
		}
	}
	return map[string]any{"Parameters": found}, nil
}

func (f *Fake) deleteParameter(in map[string]any) (any, *failure) {
	if _, known := f.parameters[str(in, "Name")]; !known {
		return nil, fail("ParameterNotFound")
	}
	delete(f.parameters, str(in, "Name"))
	return map[string]any{}, nil
}

func (f *Fake) labelParameterVersion(in map[string]any) (any, *failure) {
	p, known := f.parameters[str(in, "Name")]
	number, _ := in["ParameterVersion"].(float64)
	if !known || int(number) > len(p.versions) {
		return nil, fail("ParameterVersionNotFound")
	}
	for _, label := range strs(in, "Labels") {
		for _, v := range p.versions {
			v.labels = slices.DeleteFunc(v.labels, func(have string) bool { return have == label })
			if v.number == int(number) {
				v.labels = append(v.labels, label)
			}
		}
	}
	return map[string]any{"ParameterVersion": int(number)}, nil
}

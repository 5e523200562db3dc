package awstest

import (
	"fmt"
	"slices"
	"time"
)

type secret struct {
	name     string
	versions []*secretVersion
	deleted  time.Time
	changed  time.Time
}

type secretVersion struct {
	id      string
	text    any // string, or nil
	binary  any // base64, or nil
	stages  []string
	created time.Time
}

func (s *secret) arn() string {
	return "arn:aws:secretsmanager:" + Region + ":123456789012:secret:" + s.name + "-AbCdEf"
}

// at returns the version with the label or the id.
func (s *secret) at(stage, id string) *secretVersion {
	for _, v := range s.versions {
		if id != "" && v.id == id || id == "" && slices.Contains(v.stages, stage) {
			return v
		}
	}
	return nil
}

// take moves a label to a version, and AWSPREVIOUS with AWSCURRENT.
func (s *secret) take(stage string, to *secretVersion) {
	s.changed = time.Now()
	for _, v := range s.versions {
		if v == to || !slices.Contains(v.stages, stage) {
			continue
		}
		v.stages = slices.DeleteFunc(v.stages, func(have string) bool { return have == stage })
		if stage == "AWSCURRENT" {
			s.take("AWSPREVIOUS", v)
		}
	}
	if to != nil && !slices.Contains(to.stages, stage) {
		to.stages = append(to.stages, stage)
		if stage == "AWSCURRENT" {
			to.stages = slices.DeleteFunc(to.stages, func(have string) bool { return have == "AWSPREVIOUS" })
		}
	}
}

// Backdate changes when a version of a secret was made; id "" is the current one.
func (f *Fake) Backdate(name, id string, by time.Duration) {
	f.With(func(f *Fake) {
		v := f.secrets[name].at("AWSCURRENT", id)
		v.created = v.created.Add(-by)
	})
}

func (f *Fake) secret(in map[string]any) (*secret, *failure) {
	id := str(in, "SecretId")
	for _, s := range f.secrets {
		if s.name == id || s.arn() == id {
			return s, nil
		}
	}
	return nil, fail("ResourceNotFoundException")
}

func (f *Fake) createSecret(in map[string]any) (any, *failure) {
	name := str(in, "Name")
	if _, known := f.secrets[name]; known {
		return nil, fail("ResourceExistsException")
	}
	s := &secret{name: name, changed: time.Now()}
	f.secrets[name] = s
	if in["SecretString"] != nil || in["SecretBinary"] != nil {
		s.take("AWSCURRENT", f.addVersion(s, in))
	}
	return map[string]any{"ARN": s.arn(), "Name": name}, nil
}

func (f *Fake) addVersion(s *secret, in map[string]any) *secretVersion {
	f.number++
	id := str(in, "ClientRequestToken")
	if id == "" {
		id = fmt.Sprintf("11111111-2222-3333-4444-%012d", f.number)
	}
	v := &secretVersion{id: id, text: in["SecretString"], binary: in["SecretBinary"], created: time.Now()}
	s.versions = append(s.versions, v)
	return v
}

func (f *Fake) getSecretValue(in map[string]any) (any, *failure) {
	s, failed := f.secret(in)
	if failed != nil {
		return nil, failed
	}
	if !s.deleted.IsZero() {
		return nil, &failure{"InvalidRequestException", "You can't perform this operation on the secret because it was marked for deletion."}
	}
	stage := str(in, "VersionStage")
	if stage == "" {
		stage = "AWSCURRENT"
	}
	v := s.at(stage, str(in, "VersionId"))
	if v == nil {
		return nil, fail("ResourceNotFoundException")
	}
	out := map[string]any{"ARN": s.arn(), "Name": s.name, "VersionId": v.id, "VersionStages": v.stages, "CreatedDate": epoch(v.created)}
	if v.text != nil {
		out["SecretString"] = v.text
	} else {
		out["SecretBinary"] = v.binary
	}
	return out, nil
}

func (f *Fake) describeSecret(in map[string]any) (any, *failure) {
	s, failed := f.secret(in)
	if failed != nil {
		return nil, failed
	}
	stages := map[string][]string{}
	for _, v := range s.versions {
		if len(v.stages) > 0 {
			stages[v.id] = v.stages
		}
	}
	out := map[string]any{"ARN": s.arn(), "Name": s.name, "VersionIdsToStages": stages, "LastChangedDate": epoch(s.changed)}
	if !s.deleted.IsZero() {
		out["DeletedDate"] = epoch(s.deleted)
	}
	return out, nil
}

func (f *Fake) putSecretValue(in map[string]any) (any, *failure) {
	s, failed := f.secret(in)
	if failed != nil {
		return nil, failed
	}
	if !s.deleted.IsZero() {
		return nil, fail("InvalidRequestException")
	}
	id := str(in, "ClientRequestToken")
	v := s.at("", id)
	if v != nil && (v.text != in["SecretString"] || v.binary != in["SecretBinary"]) {
		return nil, fail("ResourceExistsException")
	}
	if v == nil {
		v = f.addVersion(s, in)
		stages := strs(in, "VersionStages")
		if len(stages) == 0 {
			stages = []string{"AWSCURRENT"}
		}
		for _, stage := range stages {
			s.take(stage, v)
		}
	}
	return map[string]any{"ARN": s.arn(), "Name": s.name, "VersionId": v.id, "VersionStages": v.stages}, nil
}

// updateSecretVersionStage fails if the label is not where the caller thinks it is.
func (f *Fake) updateSecretVersionStage(in map[string]any) (any, *failure) {
	s, failed := f.secret(in)
	if failed != nil {
		return nil, failed
	}
	stage := str(in, "VersionStage")
	holder := s.at(stage, "")
	if from := str(in, "RemoveFromVersionId"); holder != nil && holder.id != from || holder == nil && from != "" {
		return nil, fail("InvalidParameterException")
	}
	to := s.at("", str(in, "MoveToVersionId"))
	if str(in, "MoveToVersionId") == "" {
		to = nil
	} else if to == nil {
		return nil, fail("ResourceNotFoundException")
	}
	s.take(stage, to)
	return map[string]any{"ARN": s.arn(), "Name": s.name}, nil
}

func (f *Fake) deleteSecret(in map[string]any) (any, *failure) {
	s, failed := f.secret(in)
	if failed != nil {
		return nil, failed
	}
	if in["ForceDeleteWithoutRecovery"] == true {
		delete(f.secrets, s.name)
	} else {
		s.deleted = time.Now()
	}
	return map[string]any{"ARN": s.arn(), "Name": s.name, "DeletionDate": epoch(time.Now().Add(30 * 24 * time.Hour))}, nil
}

func (f *Fake) restoreSecret(in map[string]any) (any, *failure) {
	s, failed := f.secret(in)
	if failed != nil {
		return nil, failed
	}
	s.deleted = time.Time{}
	return map[string]any{"ARN": s.arn(), "Name": s.name}, nil
}

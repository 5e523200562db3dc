package messaging

import (
	"errors"
	"maps"
	"slices"

	"github.com/parley-backend/parley/credential"
	"github.com/parley-backend/parley/wasmcloud"
)

// strictMerge is merge as the original does it:
//
//   - a link without config has the provider's settings, and its secrets are not looked at; the provider's secrets never are;
//   - a link with config and without cluster_uris goes to 0.0.0.0:4222, whatever the provider's are;
//   - of cluster_uris only the first counts, and of tls_ca the first certificate;
//   - the names of keys are lower case;
//   - client_jwt and client_seed are chosen each for itself, so that they may come from two places, and each that is not in a
//     secret is warned of, whether config has it or not;
//   - a provider's config that contradicts itself is passed over;
//   - the provider's subscriptions are those of its consumer links too, and a subject that is named twice is subscribed to twice;
//   - tls_ca_file and ping_interval_sec do nothing, and consumers is an error.
func strictMerge(link, provider level, role wasmcloud.Role) (*settings, error) {
	provider.secrets = nil
	base := provider
	if half(base.config["client_jwt"], base.config["client_seed"]) {
		base.config = nil
	}
	effective := level{name: link.name, config: maps.Clone(base.config), secrets: map[string]credential.Secret{}}
	if effective.config == nil {
		effective.config = map[string]string{}
	}
	s := defaults(true)
	if len(link.config) > 0 {
		if err := s.strictLink(&effective, link, role); err != nil {
			return nil, err
		}
	}
	for _, dead := range []string{"tls_ca_file", "ping_interval_sec"} {
		delete(effective.config, dead)
	}
	if effective.config["consumers"] != "" {
		return nil, errors.New("JetStream consumers not supported by this provider")
	}
	if uris := items(effective.config["cluster_uris"]); len(uris) > 0 {
		effective.config["cluster_uris"] = uris[0]
	} else {
		effective.config["cluster_uris"] = strictServer
	}
	return s.strictParse(effective, role)
}

// strictLink puts the values of a link over those of the provider.
func (s *settings) strictLink(effective *level, link level, role wasmcloud.Role) error {
	own := maps.Clone(link.config)
	if role == wasmcloud.Target {
		delete(own, "subscriptions")
	}
	for _, name := range []string{"client_jwt", "client_seed"} {
		if secret := link.secrets[name]; secret.Len() > 0 {
			raw := secret.Reveal()
			own[name] = string(raw)
			clear(raw)
		} else {
			s.supplied(name, link)
		}
	}
	if own["client_jwt"] != "" && own["client_seed"] == "" {
		return errors.New("if you specify jwt, you must also specify a seed")
	}
	if own["cluster_uris"] == "" {
		own["cluster_uris"] = strictServer
	}
	for name, value := range own {
		if value != "" {
			effective.config[name] = value
		}
	}
	if half(effective.config["client_jwt"], effective.config["client_seed"]) {
		return errors.New("must provide both jwt and seed for jwt authentication")
	}
	return nil
}

// strictParse makes settings of the one config that counts. The keys that only Parley has work as ever.
func (s *settings) strictParse(effective level, role wasmcloud.Role) (*settings, error) {
	warned := s.fromConfig
	for _, k := range keys {
		value := effective.config[k.name]
		if k.set == nil || value == "" || k.end == consumerEnd && role == wasmcloud.Source {
			continue
		}
		if err := k.set(s, value); err != nil {
			return nil, errors.Join(errors.New(k.name+" is malformed"), err)
		}
	}
	s.strict, s.tls.onlyFirstOfBundle = true, true
	if err := s.tls.check(); err != nil {
		return nil, err
	}
	if err := s.chooseLogin([]level{effective}, effective.name, ""); err != nil {
		return nil, err
	}
	s.fromConfig = warned
	s.ofProvider = slices.DeleteFunc(s.ofProvider, func(string) bool { return true })
	s.seal()
	return s, nil
}

func half(a, b string) bool { return (a == "") != (b == "") }

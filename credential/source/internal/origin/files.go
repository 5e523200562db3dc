package origin

import (
	"os"

	"github.com/parley-backend/parley/credential"
)

// files is what the files of a Config hold, empty for those that are not named.
type files struct {
	ca, cert, key []byte
}

// readFiles reads them. Our own certificate is our login; the others are how the server
// is configured.
func (o *Origin) readFiles() (files, error) {
	var f files
	for _, file := range []struct {
		path  string
		to    *[]byte
		class credential.Class
	}{
		{o.cfg.CAFile, &f.ca, credential.Misconfigured}, {o.cfg.CertFile, &f.cert, credential.Denied}, {o.cfg.KeyFile, &f.key, credential.Denied},
	} {
		if file.path == "" {
			continue
		}
		var err error
		if *file.to, err = os.ReadFile(file.path); err != nil {
			f.wipe()
			return files{}, credential.Errorf(file.class, "%s: cannot be read", file.path)
		}
	}
	return f, nil
}

func (f files) digest(d *credential.Digester) [32]byte {
	var sums []byte
	for _, content := range [][]byte{f.ca, f.cert, f.key} {
		sum := d.Bytes(content)
		sums = append(sums, sum[:]...)
	}
	return d.Bytes(sums)
}

func (f files) wipe() {
	clear(f.cert)
	clear(f.key)
}

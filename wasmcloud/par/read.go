package par

import (
	"archive/tar"
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"

	"github.com/parley-backend/parley/wasmcloud/claims"
)

// tokenEntry is the name of the file with the claims.
const tokenEntry = "claims.jwt"

// maxEntries bounds the files of an archive.
const maxEntries = 64

// Why an archive is not good. Several of them may be joined.
var (
	ErrFormat = errors.New("par: not a provider archive") // and nothing more can be read
	ErrClaims = errors.New("par: the claims are not good")
	ErrHash   = errors.New("par: the contents are not those that were signed")
	ErrTarget = errors.New("par: no executable for the target")
)

// Options bound what is read. The zero value works.
type Options struct {
	Policy    claims.Policy // whom to believe; anybody, if it names no issuers
	MaxBinary int64         // bytes of one file of the archive, 1 GiB if zero
	MaxTotal  int64         // bytes of the archive without compression, 4 GiB if zero
}

func (o Options) binary() int64 {
	if o.MaxBinary > 0 {
		return o.MaxBinary
	}
	return 1 << 30
}

func (o Options) total() int64 {
	if o.MaxTotal > 0 {
		return o.MaxTotal
	}
	return 4 << 30
}

// Archive is what an archive holds.
type Archive struct {
	Token      string        // the JWT
	Claims     claims.Claims // of Token
	Targets    []Target      // in the order of their names, World before them
	Compressed bool
}

// Open reads the archive at path and verifies it: see Read. The targets can be opened and written again for as long as the file is there.
func Open(path string, o Options) (Archive, error) {
	f, err := os.Open(path)
	if err != nil {
		return Archive{}, err
	}
	defer f.Close()
	a, err := Read(f, o)
	for i := range a.Targets {
		t := &a.Targets[i]
		t.Open = func() (io.ReadCloser, error) { return openTarget(path, t.Name, o) }
	}
	return a, err
}

// Read reads an archive to its end and verifies it: that it is one, that its claims are signed, in time and by whom o.Policy believes,
// and that each file is the one that was signed for. With an error comes what could be read nevertheless, to be shown.
func Read(r io.Reader, o Options) (Archive, error) {
	var a Archive
	compressed, err := walk(r, o, func(name string, size int64, body io.Reader) error {
		if name == tokenEntry {
			if size > claims.MaxToken {
				return fmt.Errorf("%w: its claims are longer than %d bytes", ErrFormat, claims.MaxToken)
			}
			token, err := io.ReadAll(body)
			a.Token = string(token)
			return err
		}
		h := sha256.New()
		if _, err := io.Copy(h, body); err != nil {
			return err
		}
		target := strings.TrimSuffix(name, ".bin")
		if file, err := entry(target); err != nil || file != name {
			return fmt.Errorf("%w: it has a file of another name than claims.jwt, world.wasm and {target}.bin", ErrFormat)
		}
		a.Targets = append(a.Targets, Target{Name: target, Size: size, Hash: digest(h)})
		return nil
	})
	a.Compressed = compressed
	slices.SortFunc(a.Targets, func(a, b Target) int { return strings.Compare(order(a.Name), order(b.Name)) })
	if err != nil {
		return a, err
	}
	return a, errors.Join(a.verify(o.Policy)...)
}

// verify compares the claims with the contents.
func (a *Archive) verify(p claims.Policy) (problems []error) {
	if a.Token == "" {
		return []error{fmt.Errorf("%w: there is no %s", ErrClaims, tokenEntry)}
	}
	var err error
	if a.Claims, err = claims.Decode(a.Token); err != nil {
		return []error{fmt.Errorf("%w: %w", ErrClaims, err)}
	}
	if a.Claims.Provider == nil {
		return []error{fmt.Errorf("%w: they are not those of a provider", ErrClaims)}
	}
	if _, err := p.Verify(a.Token); err != nil {
		problems = append(problems, fmt.Errorf("%w: %w", ErrClaims, err))
	}
	signed, executables := maps.Clone(a.Claims.Provider.TargetHashes), 0
	for _, t := range a.Targets {
		if t.Name != World {
			executables++
		}
		want, known := signed[t.Name]
		delete(signed, t.Name)
		switch {
		case !known:
			problems = append(problems, fmt.Errorf("%w: %s was not signed for", ErrHash, t.Name))
		case want != t.Hash:
			problems = append(problems, fmt.Errorf("%w: %s has the SHA-256 %s, and %.64q was signed", ErrHash, t.Name, t.Hash, want))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(signed)) {
		problems = append(problems, fmt.Errorf("%w %.64q, which was signed for", ErrTarget, name))
	}
	if executables == 0 {
		problems = append(problems, fmt.Errorf("%w of any machine", ErrTarget))
	}
	return problems
}

// walk reads an archive to its end and calls visit for each file.
func walk(r io.Reader, o Options, visit func(name string, size int64, body io.Reader) error) (compressed bool, err error) {
	in := bufio.NewReaderSize(r, 64<<10)
	head, err := in.Peek(headBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	if format, _ := recognise(head); format != "" {
		return false, fmt.Errorf("%w: it is an executable (%s), which a host does not start without an archive around it", ErrFormat, format)
	}
	var plain io.Reader = in
	if len(head) >= 2 && head[0] == 0x1f && head[1] == 0x8b {
		compressed = true
		z, err := gzip.NewReader(in)
		if err != nil {
			return true, fmt.Errorf("%w: the compression is broken", ErrFormat)
		}
		plain = z
	}
	bounded := &bound{r: plain, left: o.total()}
	seen, archive := map[string]bool{}, tar.NewReader(bounded)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return compressed, broken(err)
		}
		name := strings.TrimPrefix(h.Name, "./")
		switch {
		case h.Typeflag != tar.TypeReg:
			err = fmt.Errorf("%w: it holds something that is no plain file", ErrFormat)
		case strings.ContainsAny(name, "/\\") || name == "":
			err = fmt.Errorf("%w: it holds a file in a folder", ErrFormat)
		case seen[name]:
			err = fmt.Errorf("%w: it holds a file twice", ErrFormat)
		case len(seen) == maxEntries:
			err = fmt.Errorf("%w: it holds more than %d files", ErrFormat, maxEntries)
		case h.Size > o.binary():
			err = fmt.Errorf("%w: it holds a file of more than %d bytes", ErrFormat, o.binary())
		default:
			seen[name] = true
			err = visit(name, h.Size, archive)
		}
		if err != nil {
			return compressed, broken(err)
		}
	}
	if len(seen) == 0 {
		return compressed, fmt.Errorf("%w: it is empty", ErrFormat)
	}
	_, err = io.Copy(io.Discard, bounded) // the checksum of the compression is at its end
	return compressed, broken(err)
}

// errLarge is what bound answers.
var errLarge = fmt.Errorf("%w: it is larger than allowed", ErrFormat)

// broken makes an ErrFormat of what tar and gzip say, whose words hold parts of the file. Errors of this package stay what they are.
func broken(err error) error {
	switch {
	case err == nil, errors.Is(err, ErrFormat), errors.Is(err, errStop):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: it ends too early", ErrFormat)
	case errors.As(err, new(*os.PathError)):
		return err
	}
	return fmt.Errorf("%w: neither tar nor tar in gzip", ErrFormat)
}

// bound is a reader that ends with errLarge after so many bytes, where io.LimitReader would pretend that there are no more.
type bound struct {
	r    io.Reader
	left int64
}

func (b *bound) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errLarge
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// errStop ends a walk that has found what it was for.
var errStop = errors.New("par: found")

// openTarget reads one target of an archive: what comes is not verified.
func openTarget(path, target string, o Options) (io.ReadCloser, error) {
	name, err := entry(target)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	from, to := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, err := walk(f, o, func(found string, _ int64, body io.Reader) error {
			if found != name {
				return nil
			}
			if _, err := io.Copy(to, body); err != nil {
				return err
			}
			return errStop
		})
		switch {
		case errors.Is(err, errStop):
			err = nil
		case err == nil:
			err = fmt.Errorf("%w %s", ErrTarget, target)
		}
		to.CloseWithError(err) // nil is the end
		_ = f.Close()
	}()
	return &piped{PipeReader: from, ended: ended}, nil
}

// piped waits for the goroutine that feeds it.
type piped struct {
	*io.PipeReader
	ended chan struct{}
}

func (p *piped) Close() error {
	err := p.PipeReader.Close()
	<-p.ended
	return err
}

// Extract writes the executable for a target to w, and nothing that is not verified is left unsaid: use what was written only if the
// error is nil. The archive at path is read twice.
func Extract(path, target string, w io.Writer, o Options) error {
	a, err := Open(path, o)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(a.Targets, func(t Target) bool { return t.Name == target })
	if i < 0 {
		return fmt.Errorf("%w %s", ErrTarget, target)
	}
	return again(w, a.Targets[i])
}

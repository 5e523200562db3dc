package par_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/parley-backend/parley/wasmcloud/claims"
	"github.com/parley-backend/parley/wasmcloud/par"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	issuer  = claims.Generate(claims.Account)
	subject = claims.Generate(claims.Provider)
)

func description() par.Description {
	return par.Description{Subject: subject.Public(), Name: "messaging", Vendor: "example", Version: "1.2.3", Revision: 4, IssuedAt: time.Unix(1700000000, 0)}
}

// text is a target with contents.
func text(name, contents string) par.Target {
	return par.Target{Name: name, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(contents)), nil }}
}

func sum(contents string) string { return fmt.Sprintf("%X", sha256.Sum256([]byte(contents))) }

func build(t testing.TB, d par.Description, files ...par.Target) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := par.Write(&out, d, issuer, files...); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// unpack lists the tar file: name, mode and contents.
func unpack(t *testing.T, data []byte) (all []string) {
	t.Helper()
	r := tar.NewReader(bytes.NewReader(data))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		contents, _ := io.ReadAll(r)
		if h.Name == "claims.jwt" {
			contents = nil
		}
		all = append(all, fmt.Sprintf("%s %o %d %v %s", h.Name, h.Mode, h.ModTime.Unix(), h.Format, contents))
	}
}

func TestWriteThenRead(t *testing.T) {
	files := []par.Target{text("x86_64-linux", "#!x"), text(par.World, "wit"), text("aarch64-macos", "#!y")}
	for _, plain := range []bool{false, true} {
		d := description()
		d.Plain = plain
		data := build(t, d, files...)
		reversed := slices.Clone(files)
		slices.Reverse(reversed)
		if again := build(t, d, reversed...); !bytes.Equal(data, again) {
			t.Errorf("plain=%v: the same archive is other bytes", plain)
		}
		a, err := par.Read(bytes.NewReader(data), par.Options{Policy: claims.Policy{Issuers: []string{issuer.Public()}}})
		if err != nil {
			t.Fatalf("plain=%v: Read: %v", plain, err)
		}
		want := par.Archive{
			Compressed: !plain,
			Claims: claims.Claims{ID: a.Claims.ID, Issuer: issuer.Public(), Subject: subject.Public(), IssuedAt: time.Unix(1700000000, 0).UTC(),
				Provider: &claims.ProviderClaims{Name: "messaging", Vendor: "example", Version: "1.2.3", Revision: 4,
					TargetHashes: map[string]string{"x86_64-linux": sum("#!x"), "world.wasm": sum("wit"), "aarch64-macos": sum("#!y")}}},
			Targets: []par.Target{{Name: par.World, Size: 3, Hash: sum("wit")}, {Name: "aarch64-macos", Size: 3, Hash: sum("#!y")}, {Name: "x86_64-linux", Size: 3, Hash: sum("#!x")}},
		}
		if diff := cmp.Diff(want, a, cmpopts.IgnoreFields(par.Archive{}, "Token")); diff != "" {
			t.Errorf("plain=%v: Read: -want +got:\n%s", plain, diff)
		}
		if plain {
			got := unpack(t, data)
			want := []string{"claims.jwt 644 0 GNU ", "world.wasm 644 0 GNU wit", "aarch64-macos.bin 755 0 GNU #!y", "x86_64-linux.bin 755 0 GNU #!x"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the files: -want +got:\n%s", diff)
			}
		}
	}
}

// A target is added to an archive, and another replaced, without the keys of the subject.
func TestInsert(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.par.gz")
	if err := os.WriteFile(path, build(t, description(), text("x86_64-linux", "#!x"), text("x86_64-macos", "#!m")), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := par.Open(path, par.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := description()
	d.Revision++
	data := build(t, d, append(a.Targets, text("aarch64-linux", "#!a"))...)
	got, err := par.Read(bytes.NewReader(data), par.Options{})
	want := map[string]string{"x86_64-linux": sum("#!x"), "x86_64-macos": sum("#!m"), "aarch64-linux": sum("#!a")}
	if diff := cmp.Diff(want, got.Claims.Provider.TargetHashes); err != nil || diff != "" || got.Claims.Provider.Revision != 5 {
		t.Errorf("Read: %v, revision %d, -want +got:\n%s", err, got.Claims.Provider.Revision, diff)
	}
	var out bytes.Buffer
	if err := par.Extract(path, "x86_64-macos", &out, par.Options{}); err != nil || out.String() != "#!m" {
		t.Errorf("Extract = %q, %v, want #!m", &out, err)
	}
	if err := par.Extract(path, "aarch64-linux", io.Discard, par.Options{}); !errors.Is(err, par.ErrTarget) || err.Error() != "par: no executable for the target aarch64-linux" {
		t.Errorf("Extract of what is not there = %v", err)
	}
	r, err := a.Targets[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil { // without reading: nothing stays behind
		t.Error(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := par.Write(io.Discard, d, issuer, a.Targets...); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Write of targets that are gone = %v", err)
	}
}

func elf(machine uint16) string {
	b := make([]byte, 64)
	copy(b, "\x7fELF\x02\x01\x01")
	binary.LittleEndian.PutUint16(b[18:], machine)
	return string(b)
}

func machO(cpu uint32) string {
	b := binary.LittleEndian.AppendUint32(nil, 0xfeedfacf)
	return string(binary.LittleEndian.AppendUint32(b, cpu)) + strings.Repeat("\x00", 64)
}

func pe(machine uint16) string {
	b := make([]byte, 256)
	copy(b, "MZ")
	b[60] = 128
	copy(b[128:], "PE\x00\x00")
	binary.LittleEndian.PutUint16(b[132:], machine)
	return string(b)
}

func TestExecutablesSuitTheirTarget(t *testing.T) {
	for _, test := range []struct{ target, contents, want string }{
		{"x86_64-linux", elf(62), ""},
		{"aarch64-linux", elf(183), ""},
		{"x86_64-macos", machO(0x01000007), ""},
		{"aarch64-macos", machO(0x0100000c), ""},
		{"x86_64-windows", pe(0x8664), ""},
		{"x86_64-linux", "#!/bin/sh\n", ""},
		{"riscv64-linux", elf(243), ""}, // nobody has said what is right
		{"x86_64-linux", elf(183), "par: the executable for x86_64-linux is for aarch64-linux"},
		{"x86_64-windows", elf(62), "par: the executable for x86_64-windows is for x86_64-linux"},
		{"aarch64-macos", machO(0x01000007), "par: the executable for aarch64-macos is for x86_64-macos"},
		{"x86_64-linux", pe(0x14c), "par: the executable for x86_64-linux is for another machine (PE, number 332)"},
	} {
		err := par.Write(io.Discard, description(), issuer, text(test.target, test.contents))
		if got := fmt.Sprint(err); got != test.want && (err != nil || test.want != "") {
			t.Errorf("Write for %s = %v, want %s", test.target, err, test.want)
		}
	}
	if len(par.Targets()) != 5 || par.Targets()[0] != "x86_64-linux" {
		t.Errorf("Targets() = %q", par.Targets())
	}
	if this := par.ThisTarget(); this != "" && !slices.Contains(par.Targets(), this) {
		t.Errorf("ThisTarget() = %q, want one of them", this)
	}
}

func TestWriteRefuses(t *testing.T) {
	calls := 0
	changing := par.Target{Name: "x86_64-linux", Open: func() (io.ReadCloser, error) {
		calls++
		return io.NopCloser(strings.NewReader(fmt.Sprint("number ", calls))), nil
	}}
	growing := par.Target{Name: "x86_64-linux", Open: func() (io.ReadCloser, error) {
		calls++
		return io.NopCloser(strings.NewReader(strings.Repeat("x", calls))), nil
	}}
	other := description()
	other.Subject = issuer.Public()
	for _, test := range []struct {
		name   string
		d      par.Description
		issuer *claims.Key
		files  []par.Target
		want   string
	}{
		{"no target", description(), issuer, nil, "par: an archive needs the executable for at least one target"},
		{"only a world", description(), issuer, []par.Target{text(par.World, "x")}, "par: an archive needs the executable for at least one target"},
		{"twice", description(), issuer, []par.Target{text("x86_64-linux", "x"), text("x86_64-linux", "y")}, "par: x86_64-linux is there twice"},
		{"an unknown form", description(), issuer, []par.Target{text("../x-y", "x")}, `par: "../x-y" is no target: those of wasmCloud are x86_64-linux, aarch64-linux, x86_64-macos, aarch64-macos, x86_64-windows`},
		{"empty", description(), issuer, []par.Target{text("x86_64-linux", "")}, "par: the contents for x86_64-linux are empty"},
		{"changing", description(), issuer, []par.Target{changing}, "par: the contents for x86_64-linux changed while they were read"},
		{"growing", description(), issuer, []par.Target{growing}, "par: the contents for x86_64-linux changed while they were read"},
		{"no file", description(), issuer, []par.Target{par.File("x86_64-linux", "nowhere")}, "par: the contents for x86_64-linux: open nowhere: no such file or directory"},
		{"a subject of another kind", other, issuer, []par.Target{text("x86_64-linux", "x")}, "par: the subject is not the public key of a provider"},
		{"an issuer of another kind", description(), subject, []par.Target{text("x86_64-linux", "x")}, "claims: not an issuer that is accepted: the key of one provider does not sign for one provider"},
	} {
		if err := par.Write(io.Discard, test.d, test.issuer, test.files...); err == nil || err.Error() != test.want {
			t.Errorf("%s: Write = %v, want %s", test.name, err, test.want)
		}
	}
}

// entry is a file of a tar file made by hand.
type entry struct {
	name, contents string
	kind           byte
	size           int64 // said, if not 0
}

func pack(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: e.kind, Size: int64(len(e.contents)), Format: tar.FormatGNU}
		if e.kind == tar.TypeSymlink {
			h.Size, h.Linkname = 0, "/etc/passwd"
		}
		if e.size != 0 {
			h.Size = e.size
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write([]byte(e.contents)); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = w.Flush()
	if len(entries) == 0 || entries[len(entries)-1].size == 0 {
		_ = w.Close()
	}
	return out.Bytes()
}

func zip(data []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(data)
	_ = w.Close()
	return out.Bytes()
}

// signed are claims with hashes.
func signed(t testing.TB, k *claims.Key, hashes map[string]string, change ...func(*claims.Claims)) string {
	t.Helper()
	c := claims.Claims{Subject: subject.Public(), Provider: &claims.ProviderClaims{Name: "x", Vendor: "y", TargetHashes: hashes}}
	for _, f := range change {
		f(&c)
	}
	token, err := c.Encode(k)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestReadRefuses(t *testing.T) {
	good := signed(t, issuer, map[string]string{"x86_64-linux": sum("#!x")})
	claimed, bin := entry{name: "claims.jwt", contents: good}, entry{name: "x86_64-linux.bin", contents: "#!x"}
	if _, err := par.Read(bytes.NewReader(pack(t, bin, claimed)), par.Options{}); err != nil {
		t.Fatalf("in another order: %v", err)
	}
	if _, err := par.Read(bytes.NewReader(zip(pack(t, entry{name: "./claims.jwt", contents: good}, bin))), par.Options{}); err != nil {
		t.Fatalf("with ./: %v", err)
	}
	var many []entry
	for i := range 65 {
		many = append(many, entry{name: fmt.Sprintf("a-%d.bin", i), contents: "x"})
	}
	whole := zip(pack(t, claimed, bin))
	component := claims.Generate(claims.Component)
	componentToken, err := claims.Claims{Subject: component.Public(), Component: &claims.ComponentClaims{Hash: "x"}}.Encode(issuer)
	if err != nil {
		t.Fatal(err)
	}
	const format = "par: not a provider archive: "
	for _, test := range []struct {
		name string
		data []byte
		want string
	}{
		{"nothing", nil, format + "it is empty"},
		{"text", []byte("hello"), format + "it ends too early"},
		{"much text", []byte(strings.Repeat("hello ", 1000)), format + "neither tar nor tar in gzip"},
		{"an executable", []byte(elf(62)), format + "it is an executable (ELF), which a host does not start without an archive around it"},
		{"gzip of text", zip([]byte(strings.Repeat("hello ", 1000))), format + "neither tar nor tar in gzip"},
		{"half a gzip header", []byte{0x1f, 0x8b}, format + "the compression is broken"},
		{"cut off", whole[:len(whole)/2], format + "it ends too early"},
		{"without the checksum", whole[:len(whole)-8], format + "it ends too early"},
		{"a wrong checksum", append(slices.Clone(whole[:len(whole)-8]), make([]byte, 8)...), format + "neither tar nor tar in gzip"},
		{"an empty tar", pack(t), format + "it is empty"},
		{"a link", pack(t, claimed, entry{name: "x86_64-linux.bin", kind: tar.TypeSymlink}), format + "it holds something that is no plain file"},
		{"a folder", pack(t, entry{name: "x/", kind: tar.TypeDir}), format + "it holds something that is no plain file"},
		{"in a folder", pack(t, claimed, entry{name: "../x86_64-linux.bin", contents: "x"}), format + "it holds a file in a folder"},
		{"an absolute name", pack(t, entry{name: "/claims.jwt", contents: "x"}), format + "it holds a file in a folder"},
		{"twice", pack(t, claimed, bin, bin), format + "it holds a file twice"},
		{"another name", pack(t, claimed, entry{name: "README.md", contents: "x"}), format + "it has a file of another name than claims.jwt, world.wasm and {target}.bin"},
		{"a target without .bin", pack(t, claimed, entry{name: "x86_64-linux", contents: "x"}), format + "it has a file of another name than claims.jwt, world.wasm and {target}.bin"},
		{"many", pack(t, many...), format + "it holds more than 64 files"},
		{"long claims", pack(t, entry{name: "claims.jwt", contents: strings.Repeat("x", claims.MaxToken+1)}), format + "its claims are longer than 262144 bytes"},
		{"a large file", pack(t, claimed, entry{name: "x86_64-linux.bin", size: 1 << 31}), format + "it holds a file of more than 1073741824 bytes"},
		{"a file that is not there", pack(t, claimed, entry{name: "x86_64-linux.bin", contents: "x", size: 1 << 20}), format + "it ends too early"},
		{"no claims", pack(t, bin), "par: the claims are not good: there is no claims.jwt"},
		{"claims that are none", pack(t, bin, entry{name: "claims.jwt", contents: "x.y.z"}), "par: the claims are not good: claims: malformed: part 1 is not base64"},
		{"claims of a component", pack(t, bin, entry{name: "claims.jwt", contents: componentToken}), "par: the claims are not good: they are not those of a provider"},
		{"claims that are over", pack(t, bin, entry{name: "claims.jwt", contents: signed(t, issuer, map[string]string{"x86_64-linux": sum("#!x")}, func(c *claims.Claims) { c.Expires = time.Unix(1700000000, 0) })}),
			"par: the claims are not good: claims: expired at 2023-11-14T22:13:20Z"},
		{"claims of another", pack(t, bin, entry{name: "claims.jwt", contents: signed(t, issuer, nil)}), "par: the contents are not those that were signed: x86_64-linux was not signed for"},
		{"other contents", pack(t, claimed, entry{name: "x86_64-linux.bin", contents: "#!y"}),
			"par: the contents are not those that were signed: x86_64-linux has the SHA-256 " + sum("#!y") + ", and \"" + sum("#!x") + "\" was signed"},
		{"a hash in lower case", pack(t, bin, entry{name: "claims.jwt", contents: signed(t, issuer, map[string]string{"x86_64-linux": strings.ToLower(sum("#!x"))})}),
			"par: the contents are not those that were signed: x86_64-linux has the SHA-256 " + sum("#!x") + ", and \"" + strings.ToLower(sum("#!x")) + "\" was signed"},
		{"a target is missing", pack(t, bin, entry{name: "claims.jwt", contents: signed(t, issuer, map[string]string{"x86_64-linux": sum("#!x"), "\x1bz": "", "a-b": ""})}),
			"par: no executable for the target \"\\x1bz\", which was signed for\npar: no executable for the target \"a-b\", which was signed for"},
		{"no target", pack(t, entry{name: "claims.jwt", contents: signed(t, issuer, nil)}), "par: no executable for the target of any machine"},
	} {
		_, err := par.Read(bytes.NewReader(test.data), par.Options{})
		if err == nil || err.Error() != test.want {
			t.Errorf("%s: Read = %v, want %s", test.name, err, test.want)
		}
	}
	if _, err := par.Read(bytes.NewReader(whole), par.Options{Policy: claims.Policy{Issuers: []string{subject.Public()}}}); !errors.Is(err, claims.ErrIssuer) || !errors.Is(err, par.ErrClaims) {
		t.Errorf("Read with other issuers = %v", err)
	}
}

// What expands a thousandfold is read no further than is allowed.
func TestReadBomb(t *testing.T) {
	bomb := zip(pack(t, entry{name: "x86_64-linux.bin", contents: strings.Repeat("\x00", 8<<20)}))
	if len(bomb) > 64<<10 {
		t.Fatalf("the bomb has %d bytes", len(bomb))
	}
	_, err := par.Read(bytes.NewReader(bomb), par.Options{MaxTotal: 1 << 20})
	if want := "par: not a provider archive: it is larger than allowed"; err == nil || err.Error() != want {
		t.Errorf("Read = %v, want %s", err, want)
	}
	_, err = par.Read(bytes.NewReader(bomb), par.Options{MaxBinary: 1 << 20})
	if want := "par: not a provider archive: it holds a file of more than 1048576 bytes"; err == nil || err.Error() != want {
		t.Errorf("Read = %v, want %s", err, want)
	}
	// Behind the end of the tar file, too.
	behind := append(pack(t, entry{name: "a-b.bin", contents: "x"}), make([]byte, 8<<20)...)
	if _, err := par.Read(bytes.NewReader(zip(behind)), par.Options{MaxTotal: 1 << 20}); !errors.Is(err, par.ErrFormat) {
		t.Errorf("Read = %v, want ErrFormat", err)
	}
}

func FuzzRead(f *testing.F) {
	token := signed(f, issuer, map[string]string{"x86_64-linux": sum("#!x")})
	f.Add(pack(f, entry{name: "claims.jwt", contents: token}, entry{name: "x86_64-linux.bin", contents: "#!x"}))
	f.Add(zip(pack(f, entry{name: "x86_64-linux.bin", contents: "#!x"})))
	f.Add([]byte("\x7fELF"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := par.Read(bytes.NewReader(data), par.Options{MaxTotal: 1 << 20, MaxBinary: 1 << 16})
		if err == nil && (a.Claims.Provider == nil || len(a.Targets) == 0) {
			t.Errorf("Read(%q) is good without claims or a target", data)
		}
		for _, known := range []error{par.ErrFormat, par.ErrClaims, par.ErrHash, par.ErrTarget} {
			if err == nil || errors.Is(err, known) {
				return
			}
		}
		t.Errorf("Read = %v, want one of its errors", err)
	})
}

package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"logstore.dev/image"
)

// writeBinary writes the head of an ELF file, which is all that is looked at.
func writeBinary(t *testing.T, file string, machine elf.Machine, segment elf.ProgType) {
	t.Helper()
	head := elf.Header64{
		Ident:     [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:      uint16(elf.ET_DYN),
		Machine:   uint16(machine),
		Version:   uint32(elf.EV_CURRENT),
		Phoff:     64,
		Phentsize: 56,
		Phnum:     1,
	}
	var content bytes.Buffer
	for _, part := range []any{head, elf.Prog64{Type: uint32(segment)}} {
		if err := binary.Write(&content, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, content.Bytes(), 0o755); err != nil {
		t.Fatal(err)
	}
}

func example(t *testing.T) options {
	t.Helper()
	binaries := t.TempDir()
	for _, program := range programs {
		writeBinary(t, filepath.Join(binaries, program), elf.EM_AARCH64, elf.PT_LOAD)
	}
	return options{
		binaries: binaries, version: "1.2.3", revision: "abc", output: filepath.Join(t.TempDir(), "new", "logstore.tar"),
	}
}

func TestTheArchiveOfTheImageIsWritten(t *testing.T) {
	options := example(t)
	if err := run(options); err != nil {
		t.Fatal(err)
	}
	spec, err := describe(options)
	if err != nil {
		t.Fatal(err)
	}
	if spec.Architecture != "arm64" || spec.Name != "localhost/logstore:1.2.3" {
		t.Errorf("image %s for %s", spec.Name, spec.Architecture)
	}
	var want bytes.Buffer
	if err := image.Write(&want, spec); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(options.output); err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("the archive is not that of the image, or: %v", err)
	}
}

func TestTheRevisionIsLeftOutWhereItIsUnknown(t *testing.T) {
	const label = "org.opencontainers.image.revision"
	if got := labels(options{version: "1", revision: "abc"})[label]; got != "abc" {
		t.Errorf("revision %q", got)
	}
	if got, there := labels(options{version: "1"})[label]; there {
		t.Errorf("revision %q", got)
	}
}

func TestWhatIsWrongIsNamed(t *testing.T) {
	tests := []struct {
		breaks func(*options)
		want   string
	}{
		{func(o *options) { o.version = "" }, "-version and -output are all needed"},
		{func(o *options) { writeBinary(t, o.binaries+"/logstore", elf.EM_AARCH64, elf.PT_INTERP) },
			"logstore is not static: it names a loader (PT_INTERP)"},
		{func(o *options) { writeBinary(t, o.binaries+"/logstore", elf.EM_X86_64, elf.PT_LOAD) },
			"logstore-operator is for arm64, the other binary for amd64"},
		{func(o *options) { writeBinary(t, o.binaries+"/logstore", elf.EM_RISCV, elf.PT_LOAD) },
			"logstore is for EM_RISCV"},
		{func(o *options) { must(t, os.WriteFile(o.binaries+"/logstore", []byte("#!/bin/sh\n"), 0o755)) },
			"failed to read the binary"},
		{func(o *options) { must(t, os.Remove(o.binaries+"/logstore-operator")) }, "logstore-operator: no such file"},
		{func(o *options) { must(t, os.Truncate(o.binaries+"/logstore", sizeMax)) },
			"more than its limit of 25.00 MB"},
		{func(o *options) { o.output = o.binaries + "/logstore/x" }, "failed to write the archive"},
	}
	for _, test := range tests {
		options := example(t)
		test.breaks(&options)
		if err := run(options); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v does not say %q", err, test.want)
		}
		if _, err := os.Stat(options.output); err == nil {
			t.Errorf("%q: an archive was written", test.want)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

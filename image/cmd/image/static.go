package main

import (
	"debug/elf"
	"fmt"
)

// checkStatic returns the processor of a binary that needs nothing but a kernel: the image has no loader and no library.
func checkStatic(file string) (string, error) {
	binary, err := elf.Open(file)
	if err != nil {
		return "", fmt.Errorf("failed to read the binary: %w", err)
	}
	defer binary.Close()
	for _, segment := range binary.Progs {
		if segment.Type == elf.PT_INTERP {
			return "", fmt.Errorf("%s is not static: it names a loader (PT_INTERP); build it with image/build", file)
		}
	}
	switch binary.Machine {
	case elf.EM_X86_64:
		return "amd64", nil
	case elf.EM_AARCH64:
		return "arm64", nil
	default:
		return "", fmt.Errorf("%s is for %s; images are made for x86_64 and aarch64", file, binary.Machine)
	}
}

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// mounted is one line of the mount table.
type mounted struct {
	point   string
	kind    string
	options string
}

func readMounts() ([]mounted, error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("failed to read the mounts: %w", err)
	}
	return parseMounts(string(table)), nil
}

// parseMounts reads the form of proc_pid_mountinfo(5): the mount point is the fifth field; kind, source and options of the
// file system stand after a hyphen.
func parseMounts(table string) []mounted {
	var all []mounted
	for line := range strings.Lines(table) {
		before, after, _ := strings.Cut(line, " - ")
		mount, system := strings.Fields(before), strings.Fields(after)
		if len(mount) > 4 && len(system) > 2 {
			all = append(all, mounted{point: unescape(mount[4]), kind: system[0], options: system[2]})
		}
	}
	return all
}

// unescape undoes what the kernel does to characters that would break the table.
func unescape(field string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(field)
}

// mountsBelow returns the mount points in a folder, in the order in which they can be unmounted.
func mountsBelow(all []mounted, folder string) []string {
	var points []string
	for _, mount := range all {
		if strings.HasPrefix(mount.point, folder+"/") {
			points = append(points, mount.point)
		}
	}
	slices.Reverse(points)
	return points
}

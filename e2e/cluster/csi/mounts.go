package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// mountFile mounts a volume's file. The loop device frees itself when the last mount is gone, so that nothing is left
// of it when the whole node dies.
func mountFile(ctx context.Context, file, target string) error {
	return mount(ctx, target, "-t", "xfs", "-o", "loop,nouuid,discard", file)
}

func mountBind(ctx context.Context, source, target string, readOnly bool) error {
	if err := mount(ctx, target, "--bind", source); err != nil || !readOnly {
		return err
	}
	return command(ctx, "mount", "-o", "remount,bind,ro", target)
}

// mount does nothing where something is mounted already: the kubelet repeats its calls.
func mount(ctx context.Context, target string, arguments ...string) error {
	if device, err := mountedDevice(target); err != nil || device != "" {
		return err
	}
	if err := os.MkdirAll(target, 0o750); err != nil {
		return status.Errorf(codes.Internal, "failed to make folder %s: %v", target, err)
	}
	return command(ctx, "mount", append(arguments, target)...)
}

func unmount(ctx context.Context, target string) error {
	if device, err := mountedDevice(target); err != nil || device == "" {
		return err
	}
	return command(ctx, "umount", target)
}

// growMounted lets the loop device see its larger file, then spreads the file system over it.
func growMounted(ctx context.Context, folder string) error {
	device, err := mountedDevice(folder)
	if err != nil {
		return err
	}
	if device == "" {
		return status.Errorf(codes.FailedPrecondition, "nothing is mounted on %s", folder)
	}
	if err := command(ctx, "losetup", "--set-capacity", device); err != nil {
		return err
	}
	return command(ctx, "xfs_growfs", "-d", folder)
}

func mountedDevice(folder string) (string, error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", status.Errorf(codes.Internal, "failed to read the mounts: %v", err)
	}
	return findDevice(string(table), folder), nil
}

// findDevice returns what is mounted on a folder, or nothing. The form of the table is that of proc_pid_mountinfo(5):
// the mount point is the fifth field, the device the second after the hyphen.
func findDevice(table, folder string) string {
	device := ""
	for line := range strings.Lines(table) {
		before, after, _ := strings.Cut(line, " - ")
		mount, source := strings.Fields(before), strings.Fields(after)
		if len(mount) > 4 && len(source) > 1 && mount[4] == folder {
			device = source[1]
		}
	}
	return device
}

func removeFolder(folder string) error {
	if err := os.Remove(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return status.Errorf(codes.Internal, "failed to remove folder %s: %v", folder, err)
	}
	return nil
}

func command(ctx context.Context, name string, arguments ...string) error {
	output, err := exec.CommandContext(ctx, name, arguments...).CombinedOutput()
	if err != nil {
		return status.Errorf(codes.Internal, "%s %s: %v: %s", name, strings.Join(arguments, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}

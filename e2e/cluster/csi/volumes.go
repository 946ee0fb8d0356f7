package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// sizeMin is the least that mkfs.xfs accepts. A smaller claim gets this much, and its volume says so.
const sizeMin = 300 << 20

// volumes are the files of one node. A file takes space on the disk only for what was written to it.
type volumes struct {
	folder string
}

var validID = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]*$`)

func (v volumes) file(id string) (string, error) {
	if !validID.MatchString(id) {
		return "", status.Errorf(codes.InvalidArgument, "volume id %q is not a plain name", id)
	}
	return filepath.Join(v.folder, id+".img"), nil
}

func (v volumes) existing(id string) (string, error) {
	file, err := v.file(id)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(file); err != nil {
		return "", status.Errorf(codes.NotFound, "volume %s is not on this node: %v", id, err)
	}
	return file, nil
}

// create makes the file with a file system in it and returns its size. Under its own name the file is always complete.
func (v volumes) create(ctx context.Context, id string, required int64) (int64, error) {
	file, err := v.file(id)
	if err != nil {
		return 0, err
	}
	size := max(required, sizeMin)
	if found, err := os.Stat(file); err == nil {
		if found.Size() < size {
			return 0, status.Errorf(codes.AlreadyExists, "volume %s is there with %d bytes, not %d", id, found.Size(), size)
		}
		return found.Size(), nil
	}
	incomplete := file + ".new"
	if err := writeSparse(incomplete, size); err != nil {
		return 0, err
	}
	if err := command(ctx, "mkfs.xfs", "-q", "-K", "-f", incomplete); err != nil {
		return 0, err
	}
	if err := os.Rename(incomplete, file); err != nil {
		return 0, status.Errorf(codes.Internal, "failed to name volume %s: %v", id, err)
	}
	return size, nil
}

func writeSparse(file string, size int64) error {
	opened, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return status.Errorf(codes.Internal, "failed to create %s: %v", file, err)
	}
	if err := errors.Join(opened.Truncate(size), opened.Close()); err != nil {
		return status.Errorf(codes.Internal, "failed to give %s its size: %v", file, err)
	}
	return nil
}

// grow makes the file larger, never smaller, and returns its size.
func (v volumes) grow(id string, required int64) (int64, error) {
	file, err := v.existing(id)
	if err != nil {
		return 0, err
	}
	found, err := os.Stat(file)
	if err != nil {
		return 0, status.Errorf(codes.Internal, "failed to ask for the size of volume %s: %v", id, err)
	}
	if found.Size() >= required {
		return found.Size(), nil
	}
	if err := os.Truncate(file, required); err != nil {
		return 0, status.Errorf(codes.Internal, "failed to grow volume %s to %d bytes: %v", id, required, err)
	}
	return required, nil
}

func (v volumes) remove(id string) error {
	file, err := v.file(id)
	if err != nil {
		return err
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return status.Errorf(codes.Internal, "failed to delete volume %s: %v", id, err)
	}
	return nil
}

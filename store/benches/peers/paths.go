package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// paths are the two folders in which anything is written: what can be thrown away is in the checkout's target folder, what
// was downloaded in the cache.
type paths struct {
	root  string
	cache string
}

func (p paths) inTarget(name string) string { return filepath.Join(p.root, "target", name) }

// built is a program that was built here.
func (p paths) built(name string) string { return p.inTarget("peers/" + name) }

// data is where a store has its files and its log while it is measured: on the disk of the checkout.
func (p paths) data(name string) string { return p.inTarget("peers/run/" + name) }

// downloaded is a folder for what was downloaded.
func (p paths) downloaded(name string) string { return filepath.Join(p.cache, "peers", name) }

// source is a file that lies beside this program's source.
func (p paths) source(name string) string { return filepath.Join(p.root, "store/benches/peers", name) }

// claim makes this run the only one in the checkout, with an empty folder for data.
func (p paths) claim() (unlock func(), err error) {
	if err := os.MkdirAll(p.inTarget("peers"), 0o755); err != nil {
		return nil, fmt.Errorf("failed to make the folder of the run: %w", err)
	}
	lock, err := os.Create(p.inTarget("peers/lock"))
	if err != nil {
		return nil, fmt.Errorf("failed to make the lock: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, fmt.Errorf("another run measures in this checkout, it holds %s", lock.Name())
	}
	// What a run left that was killed.
	if err := p.clear(); err != nil {
		return nil, err
	}
	return func() { _ = lock.Close() }, nil
}

// clear removes all data.
func (p paths) clear() error {
	if err := os.RemoveAll(p.data("")); err != nil {
		return fmt.Errorf("failed to remove the data of the run: %w", err)
	}
	return nil
}

// freshFolder makes an empty folder for data.
func (p paths) freshFolder(name string) (string, error) {
	folder := p.data(name)
	if err := os.RemoveAll(folder); err != nil {
		return "", fmt.Errorf("failed to empty %s: %w", folder, err)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", fmt.Errorf("failed to make %s: %w", folder, err)
	}
	return folder, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

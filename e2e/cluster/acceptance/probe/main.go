// Command probe is what runs in the pods of the acceptance test: an image holds nothing else, not even a shell.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const timeout = 5 * time.Second

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	command := strings.Join(arguments[:min(1, len(arguments))], "")
	switch {
	case command == "serve" && len(arguments) == 1:
		return serve()
	case command == "get" && len(arguments) == 2:
		return get(arguments[1])
	case command == "lookup" && len(arguments) == 2:
		return lookup(arguments[1])
	case command == "write" && len(arguments) == 3:
		return write(arguments[1], arguments[2])
	case command == "read" && len(arguments) == 2:
		return read(arguments[1])
	case command == "fill" && len(arguments) == 2:
		return fill(arguments[1])
	case command == "space" && len(arguments) == 2:
		return space(arguments[1])
	}
	return errors.New("usage: probe serve | get URL | lookup NAME | write FILE TEXT | read FILE | fill FILE | space FOLDER")
}

// serve answers with its own name, so that a caller sees whom it reached.
func serve() error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	fmt.Println("serving as", name)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { os.Exit(0) })
	return http.ListenAndServe(":8080", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, name)
	}))
}

func get(url string) error {
	client := http.Client{Timeout: timeout}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(os.Stdout, response.Body)
	return err
}

func lookup(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, name)
	fmt.Println(strings.Join(addresses, "\n"))
	return err
}

// write comes back when the text is on the disk.
func write(file, text string) error {
	opened, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = opened.WriteString(text)
	return errors.Join(err, opened.Sync(), opened.Close())
}

func read(file string) error {
	content, err := os.ReadFile(file)
	fmt.Println(string(content))
	return err
}

// fill writes until there is no space, and prints how many bytes it wrote.
func fill(file string) error {
	opened, err := os.Create(file)
	if err != nil {
		return err
	}
	defer opened.Close()
	var written int64
	block := make([]byte, 1<<20)
	for {
		count, err := opened.Write(block)
		written += int64(count)
		if err == nil {
			continue
		}
		fmt.Println(written)
		if errors.Is(err, syscall.ENOSPC) {
			return nil
		}
		return err
	}
}

// space prints the size of a file system in bytes.
func space(folder string) error {
	var stats syscall.Statfs_t
	if err := syscall.Statfs(folder, &stats); err != nil {
		return err
	}
	fmt.Println(int64(stats.Blocks) * stats.Bsize)
	return nil
}

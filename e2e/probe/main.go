// Command http-probe is the plain HTTP client of the end-to-end tests: it knows nothing of logstore. Images hold no
// shell and no curl, so it copies itself into a volume (install), keeps a pod alive (idle), and sends one request per
// call from inside that pod (request).
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// noAnswer is the exit code where a server could not be asked, or did not answer.
const noAnswer = 4

func main() {
	if len(os.Args) < 2 {
		fail(2, "give one of: idle, install FOLDER, request [FLAGS] METHOD URL")
	}
	switch arguments := os.Args[2:]; os.Args[1] {
	case "idle":
		idle()
	case "install":
		install(arguments)
	case "request":
		request(arguments)
	default:
		fail(2, "unknown command %q: give one of: idle, install, request", os.Args[1])
	}
}

// idle waits for the end of the pod. The first process of a container gets no signal that it does not ask for.
func idle() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	<-ended
}

// install copies this program into a folder, so that a container of another image can run it.
func install(arguments []string) {
	if len(arguments) != 1 {
		fail(2, "install needs one folder")
	}
	program, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(filepath.Join(arguments[0], "http-probe"), program, 0o755)
	}
	if err != nil {
		fail(1, "failed to install: %v", err)
	}
}

// request sends one request and prints the answer as it came: status line, headers, an empty line, body.
func request(arguments []string) {
	flags := flag.NewFlagSet("request", flag.ExitOnError)
	headers := headerFlags{}
	flags.Var(headers, "header", "`name: value` of a header; may be given often")
	text := flags.String("body", "", "the body")
	standardInput := flags.Bool("stdin", false, "read the body from standard input")
	length := flags.Int("bytes", 0, "send a body of so many bytes")
	seconds := flags.Int("seconds", 30, "how long an answer may take")
	flags.Parse(arguments)
	if flags.NArg() != 2 {
		fail(2, "request needs a method and a URL")
	}
	content := body(*text, *standardInput, *length)
	sent, err := http.NewRequest(flags.Arg(0), flags.Arg(1), content)
	if err != nil {
		fail(2, "%v", err)
	}
	sent.Header = http.Header(headers)
	client := http.Client{Timeout: time.Duration(*seconds) * time.Second}
	answer, err := client.Do(sent)
	if err != nil {
		fail(noAnswer, "%v", err)
	}
	defer answer.Body.Close()
	fmt.Printf("%s %s\r\n", answer.Proto, answer.Status)
	answer.Header.Write(os.Stdout)
	fmt.Print("\r\n")
	if _, err := io.Copy(os.Stdout, answer.Body); err != nil {
		fail(noAnswer, "the answer broke off: %v", err)
	}
}

func body(text string, standardInput bool, length int) io.Reader {
	switch {
	case standardInput:
		input, err := io.ReadAll(os.Stdin)
		if err != nil {
			fail(1, "failed to read standard input: %v", err)
		}
		return bytes.NewReader(input)
	case length > 0:
		return strings.NewReader(strings.Repeat("0123456789abcdef", length/16+1)[:length])
	case text != "":
		return strings.NewReader(text)
	}
	return nil
}

// headerFlags collects headers from the command line.
type headerFlags http.Header

func (headers headerFlags) String() string { return "" }

func (headers headerFlags) Set(line string) error {
	name, value, found := strings.Cut(line, ":")
	if !found {
		return fmt.Errorf("a header is written as name: value")
	}
	http.Header(headers).Add(name, strings.TrimSpace(value))
	return nil
}

func fail(code int, format string, values ...any) {
	fmt.Fprintf(os.Stderr, "http-probe: "+format+"\n", values...)
	os.Exit(code)
}

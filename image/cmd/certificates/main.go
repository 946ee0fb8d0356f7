// Command certificates prints the certificate authorities of the image as PEM, for `Dockerfile`.
package main

import (
	"fmt"
	"os"

	"logstore.dev/image/certificates"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "certificates:", err)
		os.Exit(1)
	}
}

func run() error {
	bundle, err := certificates.Bundle()
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(bundle)
	return err
}

// Package certificates holds the certificate authorities that programs in the image trust.
package certificates

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// Bundle returns the certificate authorities of Mozilla's root programme as PEM. They come from a module that go.sum
// pins, not from the machine, so that each build has the same ones.
//
// A root that is trusted only in part, as for certificates up to a date, is left out: PEM cannot say so.
func Bundle() ([]byte, error) {
	var text bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		certificate, err := x509.ParseCertificate(root.Certificate)
		if err != nil {
			return nil, fmt.Errorf("failed to read a certificate authority: %w", err)
		}
		fmt.Fprintf(&text, "# %s\n", certificate.Subject)
		if err := pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, fmt.Errorf("failed to encode %s: %w", certificate.Subject, err)
		}
	}
	return text.Bytes(), nil
}

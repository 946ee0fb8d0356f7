package certificates

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

func TestTheBundleHoldsEachRootThatIsTrustedWithoutLimits(t *testing.T) {
	text, err := Bundle()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, certificate.Subject.String())
	}
	want, limited := 0, 0
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			want++
		} else {
			limited++
		}
	}
	t.Logf("%d certificate authorities, %d left out", len(names), limited)
	if len(names) != want || want < 100 {
		t.Errorf("%d certificate authorities, want %d", len(names), want)
	}
	for _, name := range []string{"CN=ISRG Root X1", "CN=Amazon Root CA 1", "CN=GTS Root R1"} {
		if !strings.Contains(strings.Join(names, "\n"), name) {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestTheBundleIsTheSameEachTime(t *testing.T) {
	first, err := Bundle()
	if err != nil {
		t.Fatal(err)
	}
	second, err := Bundle()
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("the bundles differ, or: %v", err)
	}
}

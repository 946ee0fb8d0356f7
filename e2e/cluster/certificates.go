package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

// validity is far longer than any test cluster lives.
const validity = 365 * 24 * time.Hour

// identity is who a certificate stands for. The API server takes the name for the user and the organization for its
// group.
type identity struct {
	file         string
	name         string
	organization string
	dnsNames     []string
	addresses    []string
}

// identities are the components that prove who they are.
func identities() []identity {
	all := []identity{
		{
			file: "apiserver", name: "kube-apiserver", organization: "system:masters",
			dnsNames:  []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
			addresses: []string{hostAddress, serviceOfAPI},
		},
		{file: "admin", name: "admin", organization: "system:masters"},
		{file: "controller-manager", name: "system:kube-controller-manager"},
		{file: "scheduler", name: "system:kube-scheduler"},
		{file: "proxy", name: "system:kube-proxy"},
		{file: "csi", name: "csi", organization: "system:masters"},
	}
	for _, node := range nodes {
		all = append(all, identity{
			file: node.name, name: "system:node:" + node.name, organization: "system:nodes",
			dnsNames: []string{node.name}, addresses: []string{node.address()},
		})
	}
	return all
}

// ensureCertificates makes the authority, the certificates and the kubeconfigs once per cluster.
func ensureCertificates(paths layout) error {
	done := paths.in("certificates", "done")
	if exists(done) {
		return nil
	}
	authority, err := newAuthority()
	if err != nil {
		return err
	}
	if err := authority.save(paths, "ca"); err != nil {
		return err
	}
	for _, identity := range identities() {
		issued, err := authority.issue(identity)
		if err != nil {
			return err
		}
		if err := issued.save(paths, identity.file); err != nil {
			return err
		}
		if err := writeKubeconfig(paths, identity.file, paths.clientConfig(identity.file), authority, issued); err != nil {
			return err
		}
		if identity.file == "admin" {
			if err := writeKubeconfig(paths, "logstore-cluster", paths.kubeconfig(), authority, issued); err != nil {
				return err
			}
		}
	}
	if err := writeServiceAccountKeys(paths); err != nil {
		return err
	}
	return writeFile(done, nil, 0o644)
}

// pair is a certificate with its key.
type pair struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority() (pair, error) {
	return sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: topGroup}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}, nil)
}

func (authority pair) issue(identity identity) (pair, error) {
	template := &x509.Certificate{
		Subject:  pkix.Name{CommonName: identity.name},
		DNSNames: identity.dnsNames,
		KeyUsage: x509.KeyUsageDigitalSignature,
		// The API server shows its own certificate to the kubelets, and a kubelet shows its to the API server.
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if identity.organization != "" {
		template.Subject.Organization = []string{identity.organization}
	}
	for _, address := range identity.addresses {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(address))
	}
	return sign(template, &authority)
}

// sign makes a key and a certificate for it; without an authority the certificate signs itself.
func sign(template *x509.Certificate, authority *pair) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, fmt.Errorf("failed to make a key for %s: %w", template.Subject.CommonName, err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return pair{}, fmt.Errorf("failed to make a serial number: %w", err)
	}
	template.SerialNumber = serial
	// A little earlier than now, as clocks are set.
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().Add(validity)
	issuer := pair{certificate: template, key: key}
	if authority != nil {
		issuer = *authority
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer.certificate, &key.PublicKey, issuer.key)
	if err != nil {
		return pair{}, fmt.Errorf("failed to sign the certificate of %s: %w", template.Subject.CommonName, err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return pair{}, fmt.Errorf("failed to read the certificate of %s: %w", template.Subject.CommonName, err)
	}
	return pair{certificate: certificate, key: key}, nil
}

func (p pair) certificatePEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.certificate.Raw})
}

func (p pair) keyPEM() ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(p.key)
	if err != nil {
		return nil, fmt.Errorf("failed to encode a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

func (p pair) save(paths layout, name string) error {
	key, err := p.keyPEM()
	if err != nil {
		return err
	}
	if err := writeFile(paths.key(name), key, 0o600); err != nil {
		return err
	}
	return writeFile(paths.certificate(name), p.certificatePEM(), 0o644)
}

// writeServiceAccountKeys makes the pair by which tokens of service accounts are signed and checked.
func writeServiceAccountKeys(paths layout) error {
	signer, err := newAuthority()
	if err != nil {
		return err
	}
	key, err := signer.keyPEM()
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&signer.key.PublicKey)
	if err != nil {
		return fmt.Errorf("failed to encode the key of service accounts: %w", err)
	}
	if err := writeFile(paths.key("service-accounts"), key, 0o600); err != nil {
		return err
	}
	return writeFile(paths.in("certificates", "service-accounts.pub"),
		pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o644)
}

func readCertificates(file string) (*x509.CertPool, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("failed to read the cluster's authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("there is no certificate in %s", file)
	}
	return pool, nil
}

package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"os"
	"testing"
)

func TestEveryCertificateIsSignedByTheAuthority(t *testing.T) {
	paths := newPaths(t.TempDir(), t.TempDir())
	if err := ensureCertificates(paths); err != nil {
		t.Fatal(err)
	}
	authorities, err := readCertificates(paths.certificate("ca"))
	if err != nil {
		t.Fatal(err)
	}
	for _, identity := range identities() {
		issued, err := tls.LoadX509KeyPair(paths.certificate(identity.file), paths.key(identity.file))
		if err != nil {
			t.Fatal(err)
		}
		_, err = issued.Leaf.Verify(x509.VerifyOptions{Roots: authorities, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		if err != nil || issued.Leaf.Subject.CommonName != identity.name {
			t.Errorf("%s: %s, %v", identity.file, issued.Leaf.Subject, err)
		}
		for _, address := range identity.addresses {
			if err := issued.Leaf.VerifyHostname(address); err != nil {
				t.Errorf("%s: %v", identity.file, err)
			}
		}
	}
}

func TestCertificatesAreMadeOnce(t *testing.T) {
	paths := newPaths(t.TempDir(), t.TempDir())
	var made [2]string
	for round := range made {
		if err := ensureCertificates(paths); err != nil {
			t.Fatal(err)
		}
		made[round] = readFrom(t, paths.certificate("ca"))
	}
	if made[0] != made[1] {
		t.Error("the second call made others, and every running process would be locked out")
	}
}

func TestTheKubeconfigStandsAlone(t *testing.T) {
	paths := newPaths(t.TempDir(), t.TempDir())
	if err := ensureCertificates(paths); err != nil {
		t.Fatal(err)
	}
	var config struct {
		Clusters []struct {
			Cluster struct {
				Server    string
				Authority string `json:"certificate-authority-data"`
			}
		}
		Users []struct {
			User struct {
				Certificate string `json:"client-certificate-data"`
				Key         string `json:"client-key-data"`
			}
		}
	}
	if err := json.Unmarshal([]byte(readFrom(t, paths.kubeconfig())), &config); err != nil {
		t.Fatal(err)
	}
	decode := func(text string) []byte {
		decoded, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return decoded
	}
	if _, err := tls.X509KeyPair(decode(config.Users[0].User.Certificate), decode(config.Users[0].User.Key)); err != nil {
		t.Error(err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(decode(config.Clusters[0].Cluster.Authority)) || config.Clusters[0].Cluster.Server != "https://172.30.0.1:6443" {
		t.Errorf("cluster %+v", config.Clusters[0])
	}
	if info, err := os.Stat(paths.kubeconfig()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others can read it: %v %v", info, err)
	}
}

package main

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

var errEnded = errors.New("the process has ended")

// api asks the API server a few questions.
type api struct {
	client *http.Client
}

const requestTimeout = 5 * time.Second

func newAPI(paths layout) (api, error) {
	authorities, err := readCertificates(paths.certificate("ca"))
	if err != nil {
		return api{}, err
	}
	admin, err := tls.LoadX509KeyPair(paths.certificate("admin"), paths.key("admin"))
	if err != nil {
		return api{}, fmt.Errorf("failed to read the administrator's certificate: %w", err)
	}
	return api{client: &http.Client{
		Timeout: requestTimeout,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{
			RootCAs: authorities, Certificates: []tls.Certificate{admin}, MinVersion: tls.VersionTLS13,
		}},
	}}, nil
}

// get decodes the answer into a value; nil takes any answer.
func (a api) get(path string, value any) error {
	response, err := a.client.Get(apiURL() + path)
	if err != nil {
		return fmt.Errorf("failed to reach the API server: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("failed to read the answer of the API server: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s: %s", path, response.Status, firstLine(string(body)))
	}
	if value == nil {
		return nil
	}
	if err := json.Unmarshal(body, value); err != nil {
		return fmt.Errorf("failed to decode the answer to GET %s: %w", path, err)
	}
	return nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}

// nodeObject is what is asked of a Node.
type nodeObject struct {
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Status struct {
		Conditions []struct {
			Type              string    `json:"type"`
			Status            string    `json:"status"`
			Message           string    `json:"message"`
			LastHeartbeatTime time.Time `json:"lastHeartbeatTime"`
		} `json:"conditions"`
	} `json:"status"`
}

// notReady says why a node is not ready, and nothing when it is and said so after a time.
func (n nodeObject) notReady(since time.Time) string {
	for _, condition := range n.Status.Conditions {
		switch {
		case condition.Type != "Ready":
		case condition.Status != "True":
			return n.Metadata.Name + " is not ready: " + condition.Message
		case !condition.LastHeartbeatTime.After(since):
			return n.Metadata.Name + " has not reported since it was started"
		default:
			return ""
		}
	}
	return n.Metadata.Name + " has not reported"
}

func (a api) node(node node) (nodeObject, error) {
	var found nodeObject
	return found, a.get("/api/v1/nodes/"+node.name, &found)
}

// hasDriver tells whether the kubelet of a node has registered the driver of volumes.
func (a api) hasDriver(node node) (bool, error) {
	var found struct {
		Spec struct {
			Drivers []struct {
				Name string `json:"name"`
			} `json:"drivers"`
		} `json:"spec"`
	}
	if err := a.get("/apis/storage.k8s.io/v1/csinodes/"+node.name, &found); err != nil {
		return false, err
	}
	for _, driver := range found.Spec.Drivers {
		if driver.Name == volumeDriver {
			return true, nil
		}
	}
	return false, nil
}

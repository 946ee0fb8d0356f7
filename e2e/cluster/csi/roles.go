package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// runNode serves the driver of one node to its kubelet and provisions the volumes of that node.
func runNode(ctx context.Context, options options) error {
	if options.node == "" || options.volumes == "" {
		return errors.New("csi node needs --node and --volumes")
	}
	if err := os.MkdirAll(options.volumes, 0o700); err != nil {
		return fmt.Errorf("failed to make the folder of volumes: %w", err)
	}
	api, err := connect(options.kubeconfig)
	if err != nil {
		return err
	}
	socket := filepath.Join(options.kubelet, "plugins", driverName, "csi.sock")
	failed := make(chan error, 2)
	driver := &driver{node: options.node, volumes: volumes{folder: options.volumes}}
	if err := serveDriver(socket, driver, failed); err != nil {
		return err
	}
	registry := filepath.Join(options.kubelet, "plugins_registry", driverName+"-reg.sock")
	if err := serveRegistration(registry, socket, failed); err != nil {
		return err
	}
	if err := provision(ctx, api, options.node, socket); err != nil {
		return err
	}
	log.Printf("node %s: the driver serves %s", options.node, socket)
	return wait(ctx, failed)
}

// runController runs the resizer. It asks the driver only what it can do, so it gets a driver without a node.
func runController(ctx context.Context, options options) error {
	if options.socket == "" {
		return errors.New("csi controller needs --socket")
	}
	api, err := connect(options.kubeconfig)
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	if err := serveDriver(options.socket, &driver{}, failed); err != nil {
		return err
	}
	if err := resize(ctx, api, options.socket); err != nil {
		return err
	}
	log.Print("the resizer runs")
	return wait(ctx, failed)
}

func wait(ctx context.Context, failed <-chan error) error {
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

// connect raises the client's own limits: a test creates and deletes many claims at once.
func connect(kubeconfig string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("failed to read --kubeconfig %q: %w", kubeconfig, err)
	}
	config.QPS, config.Burst = 100, 200
	return config, nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// serveDriver serves the three services of the driver on a socket; what ends them is sent to failed.
func serveDriver(socket string, driver *driver, failed chan<- error) error {
	server := grpc.NewServer(grpc.UnaryInterceptor(logCalls))
	csi.RegisterIdentityServer(server, driver)
	csi.RegisterControllerServer(server, driver)
	csi.RegisterNodeServer(server, driver)
	return serve(socket, server, failed)
}

// serveRegistration tells the kubelet, which watches its folder of plugins, where the driver is.
func serveRegistration(socket, endpoint string, failed chan<- error) error {
	server := grpc.NewServer()
	registration.RegisterRegistrationServer(server, &registrar{endpoint: endpoint})
	return serve(socket, server, failed)
}

func serve(socket string, server *grpc.Server, failed chan<- error) error {
	if err := os.MkdirAll(filepath.Dir(socket), 0o750); err != nil {
		return fmt.Errorf("failed to make the folder of socket %s: %w", socket, err)
	}
	// What a killed process left would refuse the new one its address.
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("failed to remove the old socket %s: %w", socket, err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return fmt.Errorf("failed to listen on %s: %w", socket, err)
	}
	go func() { failed <- fmt.Errorf("the server on %s ended: %w", socket, server.Serve(listener)) }()
	return nil
}

// logCalls logs each call with its outcome, and leaves out the ones that the callers repeat all the time.
func logCalls(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	response, err := handle(ctx, request)
	method := filepath.Base(info.FullMethod)
	frequent := strings.HasSuffix(method, "Probe") || strings.Contains(method, "Capabilities") || method == "NodeGetVolumeStats"
	if err != nil {
		log.Printf("%s %v: %v", method, request, err)
	} else if !frequent {
		log.Printf("%s %v", method, request)
	}
	return response, err
}

// registrar answers the kubelet's questions about the driver.
type registrar struct {
	registration.UnimplementedRegistrationServer
	endpoint string
}

func (r *registrar) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type: registration.CSIPlugin, Name: driverName, Endpoint: r.endpoint, SupportedVersions: []string{"1.0.0"},
	}, nil
}

func (r *registrar) NotifyRegistrationStatus(_ context.Context, status *registration.RegistrationStatus) (*registration.RegistrationStatusResponse, error) {
	log.Printf("the kubelet registered the driver: %v %s", status.PluginRegistered, status.Error)
	return &registration.RegistrationStatusResponse{}, nil
}

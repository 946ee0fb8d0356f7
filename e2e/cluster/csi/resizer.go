package main

import (
	"context"
	"fmt"
	"time"

	"github.com/kubernetes-csi/csi-lib-utils/metrics"
	resizing "github.com/kubernetes-csi/external-resizer/v2/pkg/controller"
	"github.com/kubernetes-csi/external-resizer/v2/pkg/csi"
	"github.com/kubernetes-csi/external-resizer/v2/pkg/resizer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	resizeWorkers  = 4
	resizeResync   = 10 * time.Minute
	resizeRetryMax = 10 * time.Second
)

// resize runs the external resizer. The driver has no call of its own for it: the resizer then gives the volume its new
// size and leaves the growing to the kubelet and the driver of the node.
func resize(ctx context.Context, api *rest.Config, socket string) error {
	client, err := kubernetes.NewForConfig(api)
	if err != nil {
		return fmt.Errorf("failed to make a client: %w", err)
	}
	driver, err := csi.New(ctx, socket, callTimeout, metrics.NewCSIMetricsManager(driverName))
	if err != nil {
		return fmt.Errorf("the resizer failed to reach the driver: %w", err)
	}
	volumes, err := resizer.NewResizerFromClient(driver, callTimeout, client, driverName)
	if err != nil {
		return fmt.Errorf("failed to set up the resizer: %w", err)
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	loop := resizing.NewResizeController(driverName, volumes, client, resizeResync, factory, retry(), false, resizeRetryMax)
	factory.Start(ctx.Done())
	go loop.Run(resizeWorkers, ctx, nil)
	return nil
}

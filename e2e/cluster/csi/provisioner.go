package main

import (
	"context"
	"fmt"
	"time"

	"github.com/kubernetes-csi/csi-lib-utils/connection"
	"github.com/kubernetes-csi/csi-lib-utils/metrics"
	provisioner "github.com/kubernetes-csi/external-provisioner/v6/pkg/controller"
	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	translation "k8s.io/csi-translation-lib"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

const callTimeout = time.Minute

// provision runs the external provisioner for the volumes of one node, in what it calls a node deployment: it takes the
// claims whose pod was scheduled to this node.
func provision(ctx context.Context, api *rest.Config, node, socket string) error {
	client, err := kubernetes.NewForConfig(api)
	if err != nil {
		return fmt.Errorf("failed to make a client: %w", err)
	}
	driver, err := connection.Connect(ctx, "unix://"+socket, metrics.NewCSIMetricsManager(driverName))
	if err != nil {
		return fmt.Errorf("the provisioner failed to reach the driver: %w", err)
	}
	plugin, calls, err := provisioner.GetDriverCapabilities(driver, callTimeout)
	if err != nil {
		return fmt.Errorf("failed to ask for the driver's capabilities: %w", err)
	}
	info, err := provisioner.GetNodeInfo(driver, callTimeout)
	if err != nil {
		return fmt.Errorf("failed to ask for the driver's node: %w", err)
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	fixed, err := describeNode(client, node, info.NodeId, info.AccessibleTopology.Segments)
	if err != nil {
		return err
	}
	claims := factory.Core().V1().PersistentVolumeClaims()
	deployment := &provisioner.NodeDeployment{NodeName: node, NodeInfo: info, ClaimInformer: claims}
	volumes := provisioner.NewCSIProvisioner(client, callTimeout, driverName+"-"+node, "pvc", -1, driver, nil, driverName,
		plugin, calls, "", true, false, translation.New(), factory.Storage().V1().StorageClasses().Lister(),
		fixed.Storage().V1().CSINodes().Lister(), fixed.Core().V1().Nodes().Lister(), claims.Lister(), nil, nil, true, "",
		deployment, false, true, provisioner.NewInMemoryStore())
	loop := controller.NewProvisionController(ctx, client, driverName, volumes,
		controller.LeaderElection(false), controller.FailedProvisionThreshold(0), controller.FailedDeleteThreshold(0),
		controller.RateLimiter(retry()), controller.CreateProvisionedPVLimiter(retry()),
		controller.ClaimsInformer(claims.Informer()), controller.AddFinalizer(true))
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	go loop.Run(ctx)
	return nil
}

// describeNode holds what the provisioner wants to know of its node. It never changes, so nothing is watched: the
// informers of this factory are filled here and not started.
func describeNode(client kubernetes.Interface, node, id string, labels map[string]string) (informers.SharedInformerFactory, error) {
	factory := informers.NewSharedInformerFactory(client, 0)
	driver := storagev1.CSINodeDriver{Name: driverName, NodeID: id, TopologyKeys: []string{topologyKey}}
	drivers := &storagev1.CSINode{
		ObjectMeta: metav1.ObjectMeta{Name: node},
		Spec:       storagev1.CSINodeSpec{Drivers: []storagev1.CSINodeDriver{driver}},
	}
	if err := factory.Storage().V1().CSINodes().Informer().GetStore().Add(drivers); err != nil {
		return nil, fmt.Errorf("failed to describe the drivers of node %s: %w", node, err)
	}
	itself := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: node, Labels: labels}}
	if err := factory.Core().V1().Nodes().Informer().GetStore().Add(itself); err != nil {
		return nil, fmt.Errorf("failed to describe node %s: %w", node, err)
	}
	return factory, nil
}

// retry waits less than a provider's storage would want: a test waits for each claim.
func retry() workqueue.TypedRateLimiter[string] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[string](200*time.Millisecond, 10*time.Second)
}

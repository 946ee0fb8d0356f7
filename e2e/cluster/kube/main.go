// Command kube is every Kubernetes program that the test cluster needs, in one binary: linked together they share
// most of their code and build once. The name by which it is called chooses the program, as busybox does it.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// programs maps each name to what runs under it; the result is the exit code.
var programs = map[string]func() int{
	"etcd":                    etcd,
	"kube-apiserver":          command(apiserver.NewAPIServerCommand),
	"kube-controller-manager": command(controllermanager.NewControllerManagerCommand),
	"kube-scheduler":          command(newScheduler),
	"kube-proxy":              command(proxy.NewProxyCommand),
	"kubelet":                 command(newKubelet),
	"kubectl":                 command(kubectl.NewDefaultKubectlCommand),
	"helm":                    helm,
}

func main() {
	name := filepath.Base(os.Args[0])
	program, known := programs[name]
	if !known {
		fmt.Fprintf(os.Stderr, "%s: call this binary through a link named %s\n", name, strings.Join(names(), ", "))
		os.Exit(2)
	}
	os.Exit(program())
}

// command makes a program of a constructor of a cobra command. The constructors register flags and feature gates as
// they run, so only the chosen one may be called.
func command(construct func() *cobra.Command) func() int {
	return func() int { return cli.Run(construct()) }
}

// newKubelet hands the kubelet a plain context: it installs its signal handler itself and panics when there is one.
func newKubelet() *cobra.Command {
	return kubelet.NewKubeletCommand(context.Background())
}

// newScheduler adds no plugin to those of Kubernetes.
func newScheduler() *cobra.Command {
	return scheduler.NewSchedulerCommand()
}

func etcd() int {
	etcdmain.Main(os.Args)
	return 0
}

func names() []string {
	all := make([]string, 0, len(programs))
	for name := range programs {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

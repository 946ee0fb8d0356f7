// Command dns is CoreDNS with the plugins that answer for the services and pods of a cluster, and no others: the
// test cluster has no names to forward outside.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/loop"
	_ "github.com/coredns/coredns/plugin/ready"
)

// init names the plugins in the order in which a query passes them; CoreDNS knows no directive beside these.
func init() {
	dnsserver.Directives = []string{"errors", "health", "ready", "loop", "cache", "kubernetes"}
}

func main() { coremain.Run() }

package main

import "context"

// system is a store that can be installed and started.
type system interface {
	// name is what a caller calls it.
	name() string
	// install downloads and builds what is missing; that may take minutes the first time, and the next time nothing.
	install(ctx context.Context) error
	// versions says what is measured and with which client; it can be asked after the installation.
	versions() string
	// start starts the servers; a store takes part with each of its levels.
	start(ctx context.Context) ([]contender, error)
}

// peers are the stores that logstore is compared with.
func peers(paths paths) []system {
	return []system{&nats{paths: paths}, &redis{paths: paths}, &kafka{paths: paths}}
}

func peerNames() []string {
	var names []string
	for _, peer := range peers(paths{}) {
		names = append(names, peer.name())
	}
	return names
}

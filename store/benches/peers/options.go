package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

const (
	roundsDefault  = 5
	warmUpDefault  = time.Second
	measureDefault = 2 * time.Second
)

// options are what a caller can choose.
type options struct {
	paths paths
	// logstore is the binary that is measured.
	logstore string
	// only is the one peer that is wanted; all where it is empty.
	only   string
	rounds int
	span   span
}

func parseOptions(arguments []string) (options, error) {
	flags := flag.NewFlagSet("peers", flag.ExitOnError)
	root := flags.String("root", "", "the checkout")
	cache := flags.String("cache", "", "where what was downloaded stays")
	logstore := flags.String("logstore", os.Getenv("LOGSTORE_BINARY"), "the logstore to measure instead of target/release/logstore")
	only := flags.String("only", os.Getenv("ONLY"), "one peer: "+strings.Join(peerNames(), ", "))
	rounds := flags.Int("rounds", roundsDefault, "how often each figure is measured")
	warmUp := flags.Duration("warm-up", warmUpDefault, "load before each measure")
	measure := flags.Duration("measure", measureDefault, "how long each measure takes")
	if err := flags.Parse(arguments); err != nil {
		return options{}, err
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("no arguments are taken, and these were given: %s", strings.Join(flags.Args(), " "))
	}
	if *root == "" || *cache == "" {
		return options{}, errors.New("store/benches/peers/run runs this program, and says --root and --cache")
	}
	if *rounds < 1 || *warmUp < 0 || *measure <= 0 {
		return options{}, errors.New("a figure needs a round and some time")
	}
	chosen := options{
		paths: paths{root: *root, cache: *cache}, logstore: *logstore, only: *only, rounds: *rounds,
		span: span{warmUp: *warmUp, measure: *measure},
	}
	if chosen.logstore == "" {
		chosen.logstore = chosen.paths.inTarget("release/logstore")
	}
	if chosen.only != "" && !chosen.wants(peerNames()...) {
		return options{}, fmt.Errorf("no peer is called %q; there are %s", chosen.only, strings.Join(peerNames(), ", "))
	}
	return chosen, nil
}

// wants tells whether one of these peers is measured.
func (o options) wants(names ...string) bool {
	for _, name := range names {
		if o.only == "" || o.only == name {
			return true
		}
	}
	return false
}

package main

import (
	"context"
	"errors"
	"fmt"
)

// measure installs, starts, chooses, measures and reports. A peer that cannot be had is left out, and said in the end.
func measure(ctx context.Context, options options) error {
	installed, missing, err := install(ctx, options)
	if err != nil {
		return err
	}
	report := &report{span: options.span, rounds: options.rounds}
	for _, system := range installed {
		say("starting %s: %s", system.name(), system.versions())
		others := runningNow()
		contenders, err := system.start(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			endAllBut(others)
			missing = append(missing, leftOut(system, "start", err))
			continue
		}
		report.versions = append(report.versions, system.versions())
		report.contenders = append(report.contenders, contenders...)
	}
	if len(report.versions) < 2 {
		return errors.Join(append(missing, errors.New("nothing is left to compare"))...)
	}
	if report.cells, err = choose(ctx, report.contenders); err != nil {
		return err
	}
	if report.failures, err = rounds(ctx, options, report.cells); err != nil {
		return err
	}
	fmt.Println(report.tables())
	if len(missing) > 0 {
		return fmt.Errorf("%s stays as it is: %w", benchmarksFile, errors.Join(missing...))
	}
	if options.only != "" {
		return nil
	}
	return report.write(options.paths)
}

// install sees to logstore and to the peers that are wanted; missing are those that cannot be had.
func install(ctx context.Context, options options) (installed []system, missing []error, err error) {
	own := newLogstore(options)
	if err := own.install(ctx); err != nil {
		return nil, nil, err
	}
	installed = append(installed, own)
	for _, peer := range peers(options.paths) {
		if !options.wants(peer.name()) {
			continue
		}
		err := peer.install(ctx)
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		if err != nil {
			missing = append(missing, leftOut(peer, "install", err))
			continue
		}
		installed = append(installed, peer)
	}
	return installed, missing, nil
}

func leftOut(system system, step string, err error) error {
	err = fmt.Errorf("%s is left out, failed to %s it: %w", system.name(), step, err)
	say("%v", err)
	return err
}

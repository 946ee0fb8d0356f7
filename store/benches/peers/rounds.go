package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// choosing is how long each way is tried before the rounds, and choosingTries how often: the best try counts, so that a
// moment in which the machine was slow does not decide.
var choosing = span{warmUp: 300 * time.Millisecond, measure: 600 * time.Millisecond}

const choosingTries = 2

// cell is one figure of the table: a contender at a work, in its fastest way.
type cell struct {
	contender contender
	work      work
	way       way
	outcomes  []outcome
}

// choose tries every way of every contender, and keeps the fastest for each work. Contenders at the same work and level
// follow each other.
func choose(ctx context.Context, contenders []contender) ([]*cell, error) {
	var cells []*cell
	for _, level := range levels {
		for _, work := range works {
			say("choosing the fastest way of each: %s, %s", level, work)
			for _, contender := range contenders {
				if contender.level != level {
					continue
				}
				way, err := fastest(ctx, contender, contender.ways[work])
				if err != nil {
					return nil, err
				}
				cells = append(cells, &cell{contender: contender, work: work, way: way})
			}
		}
	}
	return cells, nil
}

// fastest tries some ways. One that fails here, on a disk that is too slow for it, is none.
func fastest(ctx context.Context, contender contender, ways []way) (way, error) {
	if len(ways) == 1 {
		return ways[0], nil
	}
	var best way
	var bestRate float64
	var problems []error
	for range choosingTries {
		for _, way := range ways {
			outcome, err := load(ctx, contender, way, choosing)
			if ctx.Err() != nil {
				return best, ctx.Err()
			}
			if err != nil {
				say("  %v", err)
				problems = append(problems, err)
				continue
			}
			say("  %s, %s: %.0f/s", contender, way.name, outcome.rate)
			if outcome.rate > bestRate {
				best, bestRate = way, outcome.rate
			}
		}
	}
	if best.load == nil {
		return best, fmt.Errorf("nothing was acknowledged by %s: %w", contender, errors.Join(problems...))
	}
	return best, nil
}

// rounds measures each cell once in every round, so that a machine that is slow for a while is slow for all. A load that
// fails is repeated once; the failures are returned, because they belong beside the figures.
func rounds(ctx context.Context, options options, cells []*cell) (failures []error, err error) {
	for round := range options.rounds {
		for _, cell := range cells {
			outcome, err := load(ctx, cell.contender, cell.way, options.span)
			if err != nil && ctx.Err() == nil {
				say("%v", err)
				failures = append(failures, fmt.Errorf("round %d: %w", round+1, err))
				outcome, err = load(ctx, cell.contender, cell.way, options.span)
			}
			if err != nil {
				return failures, err
			}
			say("round %d of %d: %s, %s, %s: %.0f/s", round+1, options.rounds, cell.work, cell.contender, cell.way.name, outcome.rate)
			cell.outcomes = append(cell.outcomes, outcome)
		}
	}
	return failures, nil
}

// load runs one load on an empty log, when nothing of those before it waits to be written to the disk.
func load(ctx context.Context, contender contender, way way, span span) (outcome, error) {
	if err := contender.fresh(ctx); err != nil {
		return outcome{}, fmt.Errorf("failed to make an empty log of %s: %w", contender, err)
	}
	syscall.Sync()
	result, err := way.load(ctx, span)
	if err != nil {
		return outcome{}, fmt.Errorf("failed to load %s (%s): %w", contender, way.name, err)
	}
	return result, nil
}

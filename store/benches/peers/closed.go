package main

import (
	"context"
	"sync"
	"time"
)

// publish sends records and waits until they are acknowledged; it says how many they were.
type publish func(ctx context.Context) (records int, err error)

// closedLoop has each publisher send when its last records are acknowledged. What is acknowledged within the measured part
// of the span counts. The first error ends the load.
func closedLoop(ctx context.Context, span span, publishers []publish) (outcome, error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	from := time.Now().Add(span.warmUp)
	until := from.Add(span.measure)
	tallies := make([]tally, len(publishers))
	var group sync.WaitGroup
	for number, publish := range publishers {
		group.Go(func() {
			if err := tallies[number].fill(ctx, publish, from, until); err != nil {
				fail(err)
			}
		})
	}
	group.Wait()
	if err := context.Cause(ctx); err != nil {
		return outcome{}, err
	}
	var all tally
	for number := range tallies {
		all.add(&tallies[number])
	}
	return outcome{
		rate: float64(all.records) / span.measure.Seconds(),
		p50:  all.latencies.percentile(50),
		p99:  all.latencies.percentile(99),
	}, nil
}

// tally is what one publisher has counted.
type tally struct {
	records   int
	latencies histogram
}

func (t *tally) fill(ctx context.Context, publish publish, from, until time.Time) error {
	for sent := time.Now(); sent.Before(until) && ctx.Err() == nil; {
		records, err := publish(ctx)
		if err != nil {
			return err
		}
		now := time.Now()
		if !now.Before(from) && now.Before(until) {
			t.records += records
			t.latencies.record(now.Sub(sent))
		}
		sent = now
	}
	return nil
}

func (t *tally) add(other *tally) {
	t.records += other.records
	t.latencies.add(&other.latencies)
}

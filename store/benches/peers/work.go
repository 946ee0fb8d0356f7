package main

import (
	"context"
	"fmt"
	"time"
)

const (
	// recordBytes is the payload of every record.
	recordBytes = 100
	// publishers append side by side.
	publishers = 64
	// batchRecords is what one publisher of the batched work has in flight.
	batchRecords = 100
	// window is what all of them have in flight at most.
	window = publishers * batchRecords
)

// level is what an acknowledgement promises. Only stores at the same level are compared.
type level int

const (
	powerLoss level = iota
	processEnd
)

var levels = []level{powerLoss, processEnd}

func (l level) String() string {
	switch l {
	case powerLoss:
		return "acknowledged records survive a power loss"
	default:
		return "acknowledged records survive the end of the process"
	}
}

// work is a shape of load that every store gets.
type work int

const (
	// alone is latency: a record is sent when the last is acknowledged.
	alone work = iota
	// apart are publishers that share nothing, as the processes of a service.
	apart
	// together are publishers in one process, whose client may put what they send at the same time on shared connections.
	together
	// batched has many records in flight in whatever way a client has for it.
	batched
)

var works = []work{alone, apart, together, batched}

func (w work) String() string {
	switch w {
	case alone:
		return "1 publisher"
	case apart:
		return fmt.Sprintf("%d publishers, a connection each", publishers)
	case together:
		return fmt.Sprintf("%d publishers of one process", publishers)
	default:
		return fmt.Sprintf("batched, %d × %d records in flight", publishers, batchRecords)
	}
}

// span is how long a load lasts: what is acknowledged in the warm-up does not count.
type span struct {
	warmUp  time.Duration
	measure time.Duration
}

// outcome is what one load has come to.
type outcome struct {
	// rate counts acknowledged records in a second.
	rate float64
	// p50 and p99 are latencies of acknowledgements, 0 where a client does not tell them.
	p50, p99 time.Duration
}

// way is one manner of doing a work with one of the clients of a store.
type way struct {
	name string
	load func(ctx context.Context, span span) (outcome, error)
}

// withoutLatencies is for a load that does not wait for what it sends.
func withoutLatencies(of way) way {
	return way{name: of.name, load: func(ctx context.Context, span span) (outcome, error) {
		outcome, err := of.load(ctx, span)
		outcome.p50, outcome.p99 = 0, 0
		return outcome, err
	}}
}

// contender is a store at one level.
type contender struct {
	store string
	level level
	// setting is what brings the store to that level.
	setting string
	// promise is what its acknowledgement says, and source where one can read that.
	promise string
	source  string
	// ways has at least one for every work; the fastest counts.
	ways map[work][]way
	// fresh makes the log empty, before each load.
	fresh func(ctx context.Context) error
}

func (c contender) String() string { return fmt.Sprintf("%s, %s", c.store, c.setting) }

// payload is the bytes of a record.
func payload() []byte {
	bytes := make([]byte, recordBytes)
	for i := range bytes {
		bytes[i] = 'x'
	}
	return bytes
}

package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// franzLoad loads the topic of a kafkaLoad with franz-go, which takes less of the cores than a virtual machine does.
type franzLoad struct {
	address string
	topic   func() string
}

func (f franzLoad) clients(count int, options ...kgo.Opt) (clients []*kgo.Client, closeAll func(), err error) {
	closeAll = func() {
		for _, client := range clients {
			client.Close()
		}
	}
	options = append(options, kgo.SeedBrokers(f.address), kgo.DefaultProduceTopic(f.topic()), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	for range count {
		client, err := kgo.NewClient(options...)
		if err != nil {
			closeAll()
			return nil, nil, fmt.Errorf("failed to make a client of Kafka: %w", err)
		}
		clients = append(clients, client)
	}
	return clients, closeAll, nil
}

// each has every publisher wait for its own record.
func (f franzLoad) each(count, publishers int) way {
	return way{name: "franz-go, " + counted(count, "client"), load: func(ctx context.Context, span span) (outcome, error) {
		clients, closeAll, err := f.clients(count, kgo.ProducerLinger(0))
		if err != nil {
			return outcome{}, err
		}
		defer closeAll()
		record := payload()
		var all []publish
		for number := range publishers {
			client := clients[number%count]
			all = append(all, func(ctx context.Context) (int, error) {
				return 1, client.ProduceSync(ctx, &kgo.Record{Value: record}).FirstErr()
			})
		}
		return closedLoop(ctx, span, all)
	}}
}

// many has every client fill its part of the window.
func (f franzLoad) many(count int) way {
	return way{name: "franz-go, " + counted(count, "client"), load: func(ctx context.Context, span span) (outcome, error) {
		clients, closeAll, err := f.clients(count, kgo.MaxBufferedRecords(window/count))
		if err != nil {
			return outcome{}, err
		}
		defer closeAll()
		from := time.Now().Add(span.warmUp)
		until := from.Add(span.measure)
		var acknowledged atomic.Int64
		ctx, fail := context.WithCancelCause(ctx)
		defer fail(nil)
		record := payload()
		var group sync.WaitGroup
		for _, client := range clients {
			group.Go(func() {
				for time.Now().Before(until) && ctx.Err() == nil {
					client.Produce(ctx, &kgo.Record{Value: record}, func(_ *kgo.Record, err error) {
						switch now := time.Now(); {
						case err != nil:
							fail(err)
						case !now.Before(from) && now.Before(until):
							acknowledged.Add(1)
						}
					})
				}
				if err := client.Flush(ctx); err != nil {
					fail(err)
				}
			})
		}
		group.Wait()
		if err := context.Cause(ctx); err != nil {
			return outcome{}, err
		}
		return outcome{rate: float64(acknowledged.Load()) / span.measure.Seconds()}, nil
	}}
}

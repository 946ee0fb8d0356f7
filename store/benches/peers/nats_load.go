package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

const (
	natsStream  = "peers"
	natsSubject = "records"
	// natsBatchMax is the longest atomic batch that a server takes unless it is configured otherwise. Shorter ones are slower.
	natsBatchMax = 1000
	// natsAnswerLimit bounds the wait for an acknowledgement, also with a full window at a server that syncs each record.
	natsAnswerLimit = 30 * time.Second
)

// natsLoad loads a server with nats.go.
type natsLoad struct {
	url string
}

// fresh makes the stream anew.
func (n natsLoad) fresh(ctx context.Context) error {
	streams, closeAll, err := n.connect(1)
	if err != nil {
		return err
	}
	defer closeAll()
	if err := streams[0].DeleteStream(ctx, natsStream); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("failed to delete the stream: %w", err)
	}
	_, err = streams[0].CreateStream(ctx, jetstream.StreamConfig{
		Name: natsStream, Subjects: []string{natsSubject}, Storage: jetstream.FileStorage,
		AllowAtomicPublish: true, AllowBatchPublish: true,
	})
	if err != nil {
		return fmt.Errorf("failed to create the stream: %w", err)
	}
	return nil
}

func (n natsLoad) connect(count int) (streams []jetstream.JetStream, closeAll func(), err error) {
	var connections []*natsgo.Conn
	closeAll = func() {
		for _, connection := range connections {
			connection.Close()
		}
	}
	for range count {
		connection, err := natsgo.Connect(n.url)
		if err != nil {
			closeAll()
			return nil, nil, fmt.Errorf("failed to connect to NATS: %w", err)
		}
		connections = append(connections, connection)
		stream, err := jetstream.New(connection, jetstream.WithDefaultTimeout(natsAnswerLimit))
		if err != nil {
			closeAll()
			return nil, nil, fmt.Errorf("failed to use JetStream: %w", err)
		}
		streams = append(streams, stream)
	}
	return streams, closeAll, nil
}

func (n natsLoad) ways() map[work][]way {
	return map[work][]way{
		alone: {n.way("`Publish`", 1, 1, publishOne)},
		apart: {n.way("`Publish`", publishers, publishers, publishOne)},
		together: {
			n.way("`Publish`, 1 connection", 1, publishers, publishOne),
			n.way("`Publish`, 4 connections", 4, publishers, publishOne),
		},
		batched: {
			n.way("`PublishAsync`, 64 connections", publishers, publishers, publishAsync),
			n.way("atomic batches of 1000, 6 at a time", window/natsBatchMax, window/natsBatchMax, publishAtomic),
			withoutLatencies(n.way("fast ingest", 1, 1, publishFast)),
		},
	}
}

// natsPublisher makes a publisher that has a stream to publish to.
type natsPublisher func(stream jetstream.JetStream) publish

func (n natsLoad) way(name string, connections, publishers int, make natsPublisher) way {
	return way{name: name, load: func(ctx context.Context, span span) (outcome, error) {
		streams, closeAll, err := n.connect(connections)
		if err != nil {
			return outcome{}, err
		}
		defer closeAll()
		var all []publish
		for number := range publishers {
			all = append(all, make(streams[number%connections]))
		}
		return closedLoop(ctx, span, all)
	}}
}

func publishOne(stream jetstream.JetStream) publish {
	record := payload()
	return func(ctx context.Context) (int, error) {
		_, err := stream.Publish(ctx, natsSubject, record)
		return 1, err
	}
}

func publishAsync(stream jetstream.JetStream) publish {
	record := payload()
	return func(ctx context.Context) (int, error) {
		var waiting [batchRecords]jetstream.PubAckFuture
		for number := range waiting {
			future, err := stream.PublishAsync(natsSubject, record)
			if err != nil {
				return 0, err
			}
			waiting[number] = future
		}
		for _, future := range waiting {
			select {
			case <-future.Ok():
			case err := <-future.Err():
				return 0, err
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
		return len(waiting), nil
	}
}

// publishAtomic sends batches that the server stores whole or not at all.
func publishAtomic(stream jetstream.JetStream) publish {
	record := payload()
	return func(ctx context.Context) (int, error) {
		batch := make([]*natsgo.Msg, natsBatchMax)
		for number := range batch {
			batch[number] = natsgo.NewMsg(natsSubject)
			batch[number].Data = record
		}
		// Without AckFirst, the client waits for no other acknowledgement than that of the batch.
		flow := jetstreamext.BatchFlowControl{AckTimeout: natsAnswerLimit}
		_, err := jetstreamext.PublishMsgBatch(ctx, stream, batch, flow)
		return len(batch), err
	}
}

// publishFast sends records on, as the server says that it has stored those before. A quarter of the window is
// acknowledged at a time.
func publishFast(stream jetstream.JetStream) publish {
	const acknowledgements = 4
	flow := jetstreamext.FastPublishFlowControl{
		Flow: window / acknowledgements, MaxOutstandingAcks: acknowledgements, AckTimeout: natsAnswerLimit,
	}
	record := payload()
	var publisher jetstreamext.FastPublisher
	var acknowledged uint64
	return func(context.Context) (int, error) {
		if publisher == nil {
			var err error
			if publisher, err = jetstreamext.NewFastPublisher(stream, flow); err != nil {
				return 0, err
			}
		}
		before := acknowledged
		for range batchRecords {
			ack, err := publisher.Add(natsSubject, record)
			if err != nil {
				return 0, err
			}
			acknowledged = ack.AckSequence
		}
		return int(acknowledged - before), nil
	}
}

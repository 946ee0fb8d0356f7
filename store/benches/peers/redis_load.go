package main

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

const redisKey = "peers"

// redisLoad loads a server with rueidis, which of the clients for Go was the fastest, and with the tool that comes with
// Redis.
type redisLoad struct {
	packages debianPackages
	address  string
}

func (r redisLoad) ways() map[work][]way {
	return map[work][]way{
		alone: {
			r.rueidis("rueidis", 1, 1, 1),
			r.benchmark("redis-benchmark", "-c", "1"),
		},
		apart: {
			r.rueidis("rueidis", publishers, publishers, 1),
			r.benchmark("redis-benchmark", "-c", strconv.Itoa(publishers)),
		},
		together: {
			r.rueidis("rueidis, 1 connection", 1, publishers, 1),
			r.benchmark("redis-benchmark, 64 connections", "-c", strconv.Itoa(publishers)),
		},
		batched: {
			r.rueidis("rueidis, 64 pipelines of 100", publishers, publishers, batchRecords),
			r.benchmark("redis-benchmark, 64 pipelines of 100", "-c", strconv.Itoa(publishers), "-P", strconv.Itoa(batchRecords)),
		},
	}
}

func (r redisLoad) connect() (rueidis.Client, error) {
	// One connection for each client; a negative number is how rueidis is told 2⁰.
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{r.address}, DisableCache: true, PipelineMultiplex: -1,
	})
	if err != nil {
		return nil, fmt.Errorf("failed to connect to Redis: %w", err)
	}
	return client, nil
}

// rueidis has each publisher send so many commands and wait for their answers.
func (r redisLoad) rueidis(name string, connections, publishers, commands int) way {
	return way{name: name, load: func(ctx context.Context, span span) (outcome, error) {
		var clients []rueidis.Client
		for range connections {
			client, err := r.connect()
			if err != nil {
				return outcome{}, err
			}
			defer client.Close()
			clients = append(clients, client)
		}
		var all []publish
		for number := range publishers {
			all = append(all, publishCommands(clients[number%connections], commands))
		}
		return closedLoop(ctx, span, all)
	}}
}

func publishCommands(client rueidis.Client, count int) publish {
	record := rueidis.BinaryString(payload())
	command := func() rueidis.Completed {
		return client.B().Xadd().Key(redisKey).Id("*").FieldValue().FieldValue("d", record).Build()
	}
	if count == 1 {
		return func(ctx context.Context) (int, error) { return 1, client.Do(ctx, command()).Error() }
	}
	return func(ctx context.Context) (int, error) {
		commands := make(rueidis.Commands, count)
		for number := range commands {
			commands[number] = command()
		}
		for _, answer := range client.DoMulti(ctx, commands...) {
			if err := answer.Error(); err != nil {
				return 0, err
			}
		}
		return count, nil
	}
}

// benchmark runs redis-benchmark. It cannot be told for how long, so the server is asked what the stream holds when the
// measured time begins and when it ends.
func (r redisLoad) benchmark(name string, arguments ...string) way {
	return way{name: name, load: func(ctx context.Context, span span) (outcome, error) {
		client, err := r.connect()
		if err != nil {
			return outcome{}, err
		}
		defer client.Close()
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		ended := make(chan error, 1)
		go func() {
			_, err := runCommand(ctx, r.benchmarkCommand(arguments))
			ended <- err
		}()
		var lengths [2]int64
		var times [2]time.Time
		for number, pause := range []time.Duration{span.warmUp, span.measure} {
			select {
			case err := <-ended:
				return outcome{}, fmt.Errorf("redis-benchmark has ended by itself: %w", err)
			case <-time.After(pause):
			}
			if lengths[number], err = client.Do(ctx, client.B().Xlen().Key(redisKey).Build()).AsInt64(); err != nil {
				return outcome{}, fmt.Errorf("failed to ask Redis for the length of its stream: %w", err)
			}
			times[number] = time.Now()
		}
		stop()
		<-ended
		return outcome{rate: float64(lengths[1]-lengths[0]) / times[1].Sub(times[0]).Seconds()}, nil
	}}
}

func (r redisLoad) benchmarkCommand(arguments []string) *exec.Cmd {
	// The address is one that this program has chosen.
	host, port, _ := net.SplitHostPort(r.address)
	const endless = "2000000000"
	all := append([]string{"-h", host, "-p", port, "-q", "-n", endless}, arguments...)
	return r.packages.command("redis-benchmark", append(all, "XADD", redisKey, "*", "d", string(payload()))...)
}

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// kafkaClient is the program of kafka/Load.java: a line for each command, a line for each answer.
type kafkaClient struct {
	address string
	process *process
	input   io.Writer
	answers chan string
}

func startKafkaClient(kafka *kafka, address string) (*kafkaClient, error) {
	folder, err := kafka.paths.freshFolder("kafka-load")
	if err != nil {
		return nil, err
	}
	command := kafka.virtualMachine([]string{"-Xms" + kafkaLoadHeap, "-Xmx" + kafkaLoadHeap}, "Load", address)
	input, err := command.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("failed to make a pipe to the load for Kafka: %w", err)
	}
	reading, writing, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("failed to make a pipe from the load for Kafka: %w", err)
	}
	command.Stdout = writing
	client := &kafkaClient{address: address, input: input, answers: make(chan string)}
	if client.process, err = startProcess("the load for Kafka", folder, command); err != nil {
		return nil, err
	}
	// The program has its own end of it; with ours the end of the program could not be seen.
	_ = writing.Close()
	go func() {
		defer close(client.answers)
		for lines := bufio.NewScanner(reading); lines.Scan(); {
			client.answers <- lines.Text()
		}
	}()
	return client, nil
}

// ask sends a command; the words behind the `ok` of its answer.
func (c *kafkaClient) ask(ctx context.Context, words ...string) (string, error) {
	if _, err := fmt.Fprintln(c.input, strings.Join(words, " ")); err != nil {
		return "", fmt.Errorf("the load for Kafka takes no commands (%w): %s", err, c.process.logTail())
	}
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case answer, open := <-c.answers:
		if !open {
			return "", fmt.Errorf("the load for Kafka has ended: %s", c.process.logTail())
		}
		result, good := strings.CutPrefix(answer, "ok")
		if !good {
			return "", errors.New("the load for Kafka: " + answer)
		}
		return result, nil
	}
}

// kafkaLoad loads one topic with Kafka's own producer.
type kafkaLoad struct {
	client *kafkaClient
	name   string
	config string
	// topics counts those that were made: the name of one that is being deleted cannot be used again.
	topics int
}

func (k *kafkaLoad) topic() string { return k.name + "-" + strconv.Itoa(k.topics) }

func (k *kafkaLoad) fresh(ctx context.Context) error {
	if k.topics > 0 {
		if _, err := k.client.ask(ctx, "delete", k.topic()); err != nil {
			return err
		}
	}
	k.topics++
	words := []string{"create", k.topic()}
	if k.config != "" {
		words = append(words, k.config)
	}
	_, err := k.client.ask(ctx, words...)
	return err
}

func (k *kafkaLoad) ways() map[work][]way {
	franz := franzLoad{address: k.client.address, topic: k.topic}
	return map[work][]way{
		alone:    {k.each(1, 1), franz.each(1, 1)},
		apart:    {k.each(publishers, publishers), franz.each(publishers, publishers)},
		together: {k.each(1, publishers), k.each(2, publishers), franz.each(1, publishers)},
		batched: {
			k.many(1, "linger.ms=0", "batch.size=131072"),
			k.many(2, "linger.ms=5", "batch.size=1000000"),
			franz.many(1), franz.many(2),
		},
	}
}

// each has every publisher wait for its own record, so that a producer sends what comes at the same time.
func (k *kafkaLoad) each(producers, publishers int) way {
	return k.way(counted(producers, "Java producer"), producers, publishers, 0, "linger.ms=0")
}

// many has every producer fill its part of the window.
func (k *kafkaLoad) many(producers int, settings ...string) way {
	name := counted(producers, "Java producer") + ", `" + strings.Join(settings, "`, `") + "`"
	return k.way(name, producers, producers, window/producers, settings...)
}

func (k *kafkaLoad) way(name string, producers, publishers, window int, settings ...string) way {
	return way{name: name, load: func(ctx context.Context, span span) (outcome, error) {
		number := func(key string, value int64) string { return key + "=" + strconv.FormatInt(value, 10) }
		words := []string{
			"load", k.topic(), number("producers", int64(producers)), number("publishers", int64(publishers)),
			number("window", int64(window)), number("record_bytes", recordBytes),
			number("warm_up_ms", span.warmUp.Milliseconds()), number("measure_ms", span.measure.Milliseconds()),
		}
		answer, err := k.client.ask(ctx, append(words, settings...)...)
		if err != nil {
			return outcome{}, err
		}
		return parseKafkaResult(answer)
	}}
}

func counted(count int, noun string) string {
	if count == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(count) + " " + noun + "s"
}

// parseKafkaResult reads the answer to `load`.
func parseKafkaResult(answer string) (outcome, error) {
	values := map[string]float64{}
	for word := range strings.FieldsSeq(answer) {
		key, text, _ := strings.Cut(word, "=")
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return outcome{}, fmt.Errorf("failed to read the result of the load for Kafka: %w", err)
		}
		values[key] = value
	}
	if values["seconds"] <= 0 {
		return outcome{}, fmt.Errorf("the load for Kafka has measured nothing: %s", answer)
	}
	microseconds := func(key string) time.Duration { return time.Duration(values[key] * float64(time.Microsecond)) }
	return outcome{
		rate: values["records"] / values["seconds"], p50: microseconds("p50_us"), p99: microseconds("p99_us"),
	}, nil
}

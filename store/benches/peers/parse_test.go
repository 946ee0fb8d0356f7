package main

import (
	"testing"
	"time"
)

func TestWhatLogstoreBenchPrintsIsRead(t *testing.T) {
	const complete = `{"work":"append","outcome":"complete","reason":null,"records_per_second":17768.2,` +
		`"latency_us":{"p50":869.375,"p90":1181.695,"p99":1508.351},"refused":{},"errors":{}}`
	got, err := parseBench([]byte(complete))
	want := outcome{rate: 17768.2, p50: 869375 * time.Nanosecond, p99: 1508351 * time.Nanosecond}
	if err != nil || got != want {
		t.Errorf("%v, %v", got, err)
	}
	for _, partial := range []string{
		``, `{"outcome":"stopped","reason":"the disk is full","records_per_second":1,"latency_us":{"p50":1,"p99":1}}`,
		`{"outcome":"complete","records_per_second":1,"latency_us":{"p50":1,"p99":1},"errors":{"internal":1}}`,
		`{"outcome":"complete","records_per_second":0,"latency_us":null,"errors":{}}`,
	} {
		if got, err := parseBench([]byte(partial)); err == nil {
			t.Errorf("%s is read as %v", partial, got)
		}
	}
}

func TestWhatTheLoadForKafkaAnswersIsRead(t *testing.T) {
	got, err := parseKafkaResult(" records=1000 seconds=0.5 p50_us=12.5 p99_us=100")
	if want := (outcome{rate: 2000, p50: 12500 * time.Nanosecond, p99: 100 * time.Microsecond}); err != nil || got != want {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := parseKafkaResult(" records=1000 seconds=0.5"); err != nil || got != (outcome{rate: 2000}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, wrong := range []string{"", " records=1000", " records=many seconds=1"} {
		if got, err := parseKafkaResult(wrong); err == nil {
			t.Errorf("%q is read as %v", wrong, got)
		}
	}
}

func TestTheVersionThatAptOffersIsRead(t *testing.T) {
	const policy = "redis-server:\n  Installed: (none)\n  Candidate: 5:7.0.15-1~deb12u10\n  Version table:\n"
	if got := parseCandidate(policy); got != "5:7.0.15-1~deb12u10" {
		t.Errorf("%q", got)
	}
	if got := parseCandidate("redis-server:\n  Installed: (none)\n  Candidate: (none)\n"); got != "" {
		t.Errorf("%q", got)
	}
}

func TestVersionsComeFromWhereTheyArePinned(t *testing.T) {
	for _, version := range []string{
		moduleVersion(natsServerModule), moduleVersion("github.com/nats-io/nats.go"), moduleVersion("github.com/redis/rueidis"),
		moduleVersion("github.com/synadia-io/orbit.go/jetstreamext"), moduleVersion("github.com/twmb/franz-go"), kafkaVersion(),
	} {
		if version == "" || version == "unknown" {
			t.Errorf("%q", version)
		}
	}
	if got := moduleVersion("example.org/nothing"); got != "unknown" {
		t.Errorf("%q", got)
	}
}

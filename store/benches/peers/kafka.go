package main

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

const (
	kafkaDocs = "https://kafka.apache.org/documentation/#topicconfigs_flush.messages"
	// kafkaBrokerHeap is what Kafka's own start script gives a broker.
	kafkaBrokerHeap = "1g"
	kafkaLoadHeap   = "512m"
	// kafkaCluster is any 16 bytes, in the alphabet that Kafka writes them in.
	kafkaCluster = "bG9nc3RvcmUtcGVlcnMtMQ"
)

// warmingUp is how long each way is tried before anything is measured.
var warmingUp = span{warmUp: 500 * time.Millisecond, measure: 500 * time.Millisecond}

// kafkaPom pins the broker and its producer.
//
//go:embed kafka/pom.xml
var kafkaPom string

// kafkaTopics are the settings of topics that are measured, on one broker.
var kafkaTopics = []struct {
	level   level
	setting string
	config  string
	promise string
}{
	{
		level: powerLoss, setting: "`flush.messages=1`", config: "flush.messages=1",
		promise: "Written and synced by `fsync` before the answer, once for all that a producer has sent together.",
	},
	{
		level: processEnd, setting: "default",
		promise: "Written by `write` before the answer; when it is synced is left to the operating system.",
	},
}

// kafkaBrokerFlags are those of Kafka's own start script.
var kafkaBrokerFlags = []string{
	"-server", "-Xms" + kafkaBrokerHeap, "-Xmx" + kafkaBrokerHeap, "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
	"-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent",
}

// kafka is one broker that is its own controller.
type kafka struct {
	paths   paths
	java    string
	jars    string
	classes string
}

func (k *kafka) name() string { return "kafka" }

func (k *kafka) install(ctx context.Context) error {
	if err := ensureJava(ctx); err != nil {
		return err
	}
	version, err := runCommand(ctx, exec.Command("java", "--version"))
	if err != nil {
		return err
	}
	k.java, _, _ = strings.Cut(version, "\n")
	if err := k.fetchJars(ctx); err != nil {
		return fmt.Errorf("failed to fetch Kafka with Maven: %w", err)
	}
	k.classes = k.paths.built("kafka-load")
	compile := exec.Command("javac", "-cp", k.jars+"/*", "-d", k.classes, k.paths.source("kafka/Load.java"))
	if _, err := runCommand(ctx, compile); err != nil {
		return fmt.Errorf("failed to compile the load for Kafka: %w", err)
	}
	return nil
}

// fetchJars has Maven put all jars into one folder of the cache, which has its name when it is complete. Maven finds them
// wherever its own settings say.
func (k *kafka) fetchJars(ctx context.Context) error {
	k.jars = k.paths.downloaded("kafka-" + kafkaVersion() + "-" + shortHash(kafkaPom))
	if exists(k.jars) {
		return nil
	}
	say("kafka: downloading %s with Maven", kafkaVersion())
	incomplete := k.jars + ".incomplete"
	defer os.RemoveAll(incomplete)
	if err := os.RemoveAll(incomplete); err != nil {
		return err
	}
	command := exec.Command("mvn", "--batch-mode", "--quiet", "--file", k.paths.source("kafka/pom.xml"),
		"-Dmaven.repo.local="+k.paths.downloaded("maven"), "dependency:copy-dependencies", "-DoutputDirectory="+incomplete)
	if _, err := runCommand(ctx, command); err != nil {
		return err
	}
	return os.Rename(incomplete, k.jars)
}

func shortHash(text string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(text)))[:8]
}

// kafkaVersion is what the pom pins.
func kafkaVersion() string {
	found := regexp.MustCompile(`<artifactId>kafka_[^<]*</artifactId>\s*<version>([^<]*)</version>`).FindStringSubmatch(kafkaPom)
	if found == nil {
		return "unknown"
	}
	return found[1]
}

func (k *kafka) versions() string {
	return "Kafka " + kafkaVersion() + " on " + k.java + ", loaded with its own producer and with franz-go " +
		moduleVersion("github.com/twmb/franz-go")
}

// virtualMachine runs a class of the jars, or of ours.
func (k *kafka) virtualMachine(flags []string, arguments ...string) *exec.Cmd {
	all := append([]string{"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", k.classes + ":" + k.jars + "/*"}, flags...)
	return exec.Command("java", append(all, arguments...)...)
}

func (k *kafka) start(ctx context.Context) ([]contender, error) {
	folder, err := k.paths.freshFolder("kafka")
	if err != nil {
		return nil, err
	}
	address, config, err := writeKafkaConfig(folder)
	if err != nil {
		return nil, err
	}
	format := k.virtualMachine(nil, "kafka.tools.StorageTool", "format", "-t", kafkaCluster, "-c", config)
	if _, err := runCommand(ctx, format); err != nil {
		return nil, fmt.Errorf("failed to make the folder of the broker: %w", err)
	}
	broker, err := startProcess("the Kafka broker", folder, k.virtualMachine(kafkaBrokerFlags, "kafka.Kafka", config))
	if err != nil {
		return nil, err
	}
	if err := broker.awaitPort(ctx, address); err != nil {
		return nil, err
	}
	client, err := startKafkaClient(k, address)
	if err != nil {
		return nil, err
	}
	var contenders []contender
	for number, topic := range kafkaTopics {
		load := &kafkaLoad{client: client, name: fmt.Sprintf("peers-%d", number), config: topic.config}
		contenders = append(contenders, contender{
			store: "Kafka", level: topic.level, setting: topic.setting, promise: topic.promise, source: kafkaDocs,
			ways: load.ways(), fresh: load.fresh,
		})
	}
	return contenders, warmUp(ctx, contenders)
}

// warmUp lasts until the virtual machines have compiled what the loads run: the first rounds should be like the last.
func warmUp(ctx context.Context, contenders []contender) error {
	say("kafka: warming up its virtual machines")
	for _, contender := range contenders {
		for _, work := range works {
			for _, way := range contender.ways[work] {
				if _, err := load(ctx, contender, way, warmingUp); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// writeKafkaConfig writes what one node needs. All else is as it comes, but for deleted topics, whose files would stay for a
// minute.
func writeKafkaConfig(folder string) (address, file string, err error) {
	address, err = freeAddress()
	if err != nil {
		return "", "", err
	}
	controller, err := freeAddress()
	if err != nil {
		return "", "", err
	}
	config := strings.Join([]string{
		"process.roles=broker,controller",
		"node.id=1",
		"listeners=PLAINTEXT://" + address + ",CONTROLLER://" + controller,
		"controller.listener.names=CONTROLLER",
		"controller.quorum.voters=1@" + controller,
		"log.dirs=" + filepath.Join(folder, "data"),
		"log.segment.delete.delay.ms=0",
		// There is one broker to have copies of them.
		"offsets.topic.replication.factor=1",
		"transaction.state.log.replication.factor=1",
		"transaction.state.log.min.isr=1",
	}, "\n")
	file = filepath.Join(folder, "server.properties")
	if err := os.WriteFile(file, []byte(config+"\n"), 0o644); err != nil {
		return "", "", fmt.Errorf("failed to write the configuration of Kafka: %w", err)
	}
	return address, file, nil
}

// ensureJava sees to the programs that Kafka needs. Installing them starts nothing, so that apt-get may do it.
func ensureJava(ctx context.Context) error {
	packages := map[string]string{"javac": "default-jdk-headless", "mvn": "maven"}
	missing := func() (names []string) {
		for _, program := range []string{"javac", "mvn"} {
			if _, err := exec.LookPath(program); err != nil {
				names = append(names, packages[program])
			}
		}
		return names
	}
	wanted := missing()
	if len(wanted) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return errors.New("these are missing, named as Debian's packages: " + strings.Join(wanted, ", ") +
			"; install them, or run this as root where there is apt-get")
	}
	say("kafka: installing %s with apt-get", strings.Join(wanted, ", "))
	install := func() error {
		command := exec.Command("apt-get", append([]string{"--quiet", "install", "--yes", "--no-install-recommends"}, wanted...)...)
		command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		_, err := runCommand(ctx, command)
		return err
	}
	if err := install(); err != nil {
		// The lists may be missing or name versions that are gone.
		if _, err := runCommand(ctx, exec.Command("apt-get", "--quiet", "update")); err != nil {
			return err
		}
		if err := install(); err != nil {
			return err
		}
	}
	if still := missing(); len(still) > 0 {
		return fmt.Errorf("apt-get has installed %s, and its programs are not found", strings.Join(still, ", "))
	}
	return nil
}

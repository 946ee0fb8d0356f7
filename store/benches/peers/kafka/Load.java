import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Collectors;

import org.HdrHistogram.Histogram;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Loads a Kafka broker with its own producer. It takes one command from each line of its input and answers each with one
 * line, so that the virtual machine is as warm in the last round as it was in the first.
 *
 * <pre>
 * create TOPIC KEY=VALUE...        a topic with one partition and these settings
 * delete TOPIC
 * load TOPIC KEY=VALUE...          the keys are those of {@link Plan}
 * </pre>
 *
 * The answer is {@code ok}, with the results of a load behind it, or {@code error} and why.
 */
public final class Load {
    private static final int TOPIC_ATTEMPTS = 100;

    private final String bootstrap;
    private final Admin admin;

    private Load(String bootstrap) {
        this.bootstrap = bootstrap;
        this.admin = Admin.create(Map.of("bootstrap.servers", bootstrap));
    }

    /** What a load does. */
    private record Plan(
            String topic,
            int producers,
            int publishers,
            /** Records that each producer may have in flight; 0 where each publisher waits for its own. */
            int window,
            int recordBytes,
            Duration warmUp,
            Duration measure,
            Map<String, String> settings) {

        static Plan parse(String topic, Map<String, String> words) {
            Map<String, String> settings = words.entrySet().stream()
                    .filter(word -> word.getKey().contains("."))
                    .collect(Collectors.toMap(Map.Entry::getKey, Map.Entry::getValue));
            return new Plan(topic, number(words, "producers"), number(words, "publishers"), number(words, "window"),
                    number(words, "record_bytes"), Duration.ofMillis(number(words, "warm_up_ms")),
                    Duration.ofMillis(number(words, "measure_ms")), settings);
        }

        private static int number(Map<String, String> words, String key) {
            String value = words.get(key);
            if (value == null) {
                throw new IllegalArgumentException("no " + key);
            }
            return Integer.parseInt(value);
        }
    }

    /** The time that counts: between the end of the warm-up and the end. */
    private record Span(long from, long until) {
        static Span startingNow(Plan plan) {
            long from = System.nanoTime() + plan.warmUp().toNanos();
            return new Span(from, from + plan.measure().toNanos());
        }

        boolean counts(long now) {
            return now - from >= 0 && now - until < 0;
        }

        boolean isOver(long now) {
            return now - until >= 0;
        }
    }

    /** What one publisher has counted; only its own thread writes it until it is joined. */
    private static final class Tally {
        private long records;
        private final Histogram latencies = new Histogram(3);
    }

    public static void main(String[] arguments) throws Exception {
        Load load = new Load(arguments[0]);
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            System.out.println(load.answer(line));
        }
        // Threads of a client that hangs do not keep the program.
        System.exit(0);
    }

    private String answer(String line) {
        try {
            String[] words = line.split(" ");
            Map<String, String> settings = Arrays.stream(words).skip(2)
                    .map(word -> word.split("=", 2))
                    .collect(Collectors.toMap(word -> word[0], word -> word[1]));
            return "ok" + switch (words[0]) {
                case "create" -> create(words[1], settings);
                case "delete" -> delete(words[1]);
                case "load" -> load(Plan.parse(words[1], settings));
                default -> throw new IllegalArgumentException("no command " + words[0]);
            };
        } catch (Exception problem) {
            return "error " + problem.toString().replace('\n', ' ');
        }
    }

    private String create(String topic, Map<String, String> settings) throws Exception {
        NewTopic wanted = new NewTopic(topic, 1, (short) 1).configs(settings);
        admin.createTopics(List.of(wanted)).all().get();
        // It is created, and may yet be unknown to the broker for an instant.
        for (int attempt = 0; attempt < TOPIC_ATTEMPTS; attempt++) {
            if (admin.listTopics().names().get().contains(topic)) {
                return "";
            }
            Thread.sleep(20);
        }
        throw new IllegalStateException("the broker does not list " + topic);
    }

    private String delete(String topic) throws Exception {
        admin.deleteTopics(List.of(topic)).all().get();
        return "";
    }

    private String load(Plan plan) throws Exception {
        List<KafkaProducer<byte[], byte[]>> producers = new ArrayList<>();
        try {
            for (int number = 0; number < plan.producers(); number++) {
                KafkaProducer<byte[], byte[]> producer = producer(plan);
                producers.add(producer);
                // The first call waits for what the producer has to know of the topic.
                producer.partitionsFor(plan.topic());
            }
            Span span = Span.startingNow(plan);
            return result(plan, run(plan, producers, span));
        } finally {
            producers.forEach(producer -> producer.close(Duration.ofSeconds(5)));
        }
    }

    private KafkaProducer<byte[], byte[]> producer(Plan plan) {
        Properties properties = new Properties();
        properties.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        properties.put(ProducerConfig.ACKS_CONFIG, "all");
        properties.putAll(plan.settings());
        return new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer());
    }

    private static List<Tally> run(Plan plan, List<KafkaProducer<byte[], byte[]>> producers, Span span) throws Exception {
        AtomicReference<Exception> problem = new AtomicReference<>();
        List<Tally> tallies = new ArrayList<>();
        List<Thread> threads = new ArrayList<>();
        for (int number = 0; number < plan.publishers(); number++) {
            KafkaProducer<byte[], byte[]> producer = producers.get(number % producers.size());
            Tally tally = new Tally();
            tallies.add(tally);
            threads.add(new Thread(() -> {
                try {
                    if (plan.window() == 0) {
                        publishEach(plan, producer, span, tally);
                    } else {
                        publishMany(plan, producer, span, tally, problem);
                    }
                } catch (Exception thrown) {
                    problem.compareAndSet(null, thrown);
                }
            }));
        }
        threads.forEach(Thread::start);
        for (Thread thread : threads) {
            thread.join();
        }
        if (problem.get() != null) {
            throw problem.get();
        }
        return tallies;
    }

    /** Sends the next record when the last is acknowledged. */
    private static void publishEach(Plan plan, KafkaProducer<byte[], byte[]> producer, Span span, Tally tally)
            throws Exception {
        ProducerRecord<byte[], byte[]> record = record(plan);
        for (long sent = System.nanoTime(); !span.isOver(sent);) {
            producer.send(record).get();
            long now = System.nanoTime();
            if (span.counts(now)) {
                tally.records++;
                tally.latencies.recordValue(now - sent);
            }
            sent = now;
        }
    }

    /** Sends while there is room in the window. All callbacks of a producer come from its one thread. */
    private static void publishMany(Plan plan, KafkaProducer<byte[], byte[]> producer, Span span, Tally tally,
            AtomicReference<Exception> problem) throws Exception {
        ProducerRecord<byte[], byte[]> record = record(plan);
        Semaphore room = new Semaphore(plan.window());
        while (!span.isOver(System.nanoTime()) && problem.get() == null) {
            room.acquire();
            producer.send(record, (metadata, thrown) -> {
                if (thrown != null) {
                    problem.compareAndSet(null, thrown);
                } else if (span.counts(System.nanoTime())) {
                    tally.records++;
                }
                room.release();
            });
        }
        // Callbacks write the tally until all have come.
        room.acquire(plan.window());
    }

    private static ProducerRecord<byte[], byte[]> record(Plan plan) {
        byte[] payload = new byte[plan.recordBytes()];
        Arrays.fill(payload, (byte) 'x');
        return new ProducerRecord<>(plan.topic(), payload);
    }

    private static String result(Plan plan, List<Tally> tallies) {
        long records = 0;
        Histogram latencies = new Histogram(3);
        for (Tally tally : tallies) {
            records += tally.records;
            latencies.add(tally.latencies);
        }
        String result = " records=" + records + " seconds=" + plan.measure().toNanos() / 1e9;
        if (latencies.getTotalCount() == 0) {
            return result;
        }
        return result + " p50_us=" + latencies.getValueAtPercentile(50) / 1e3
                + " p99_us=" + latencies.getValueAtPercentile(99) / 1e3;
    }
}

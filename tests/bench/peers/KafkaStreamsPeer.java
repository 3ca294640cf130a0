import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Properties;
import java.util.function.Function;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * The five clocks with Kafka Streams: a store of open clocks and one in order of deadlines, both with a changelog.
 *
 * <p>Arguments: bootstrap, name, topic of events, topic of breaches, events, threads, directory, file of fifth days,
 * and "rocksdb" or "memory".
 */
public final class KafkaStreamsPeer {
    private static final long NONE = Long.MAX_VALUE;

    public static void main(String[] arguments) throws Exception {
        FiveClocks.Meter.expect(Long.parseLong(arguments[4]));
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, arguments[1]);
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, arguments[5]);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[6]);
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");

        FiveClocks clocks = new FiveClocks(arguments[7]);
        Topology topology = new Topology();
        topology.addSource("events", Serdes.ByteArray().deserializer(), Serdes.ByteArray().deserializer(), arguments[2]);
        topology.addProcessor("clocks", () -> new Clocks(clocks), "events");
        Function<String, KeyValueBytesStoreSupplier> kept =
            arguments[8].equals("memory") ? Stores::inMemoryKeyValueStore : Stores::persistentKeyValueStore;
        topology.addStateStore(
            Stores.keyValueStoreBuilder(kept.apply("open"), Serdes.String(), Serdes.String()), "clocks");
        topology.addStateStore(
            Stores.keyValueStoreBuilder(kept.apply("due"), Serdes.Bytes(), Serdes.ByteArray()), "clocks");
        topology.addSink("breaches", arguments[3], Serdes.String().serializer(), Serdes.String().serializer(), "clocks");
        try (KafkaStreams streams = new KafkaStreams(topology, settings)) {
            streams.start();
            while (!FiveClocks.Meter.isDone()) {
                Thread.sleep(50);
                if (streams.state() == KafkaStreams.State.ERROR) {
                    System.exit(1);
                }
            }
            streams.close(Duration.ofSeconds(30));
        }
    }

    private static final class Clocks implements Processor<byte[], byte[], String, String> {
        private final FiveClocks clocks;
        private ProcessorContext<String, String> context;
        private KeyValueStore<String, String> open;
        private KeyValueStore<Bytes, byte[]> due;
        private long earliest;

        Clocks(FiveClocks clocks) {
            this.clocks = clocks;
        }

        @Override
        public void init(ProcessorContext<String, String> context) {
            this.context = context;
            open = context.getStateStore("open");
            due = context.getStateStore("due");
            try (KeyValueIterator<Bytes, byte[]> all = due.all()) {
                earliest = all.hasNext() ? ByteBuffer.wrap(all.peekNextKey().get()).getLong() : NONE;
            }
            context.schedule(Duration.ofMillis(1), PunctuationType.STREAM_TIME, this::passes);
        }

        @Override
        public void process(Record<byte[], byte[]> record) {
            try {
                FiveClocks.Event event = FiveClocks.read(record.value());
                FiveClocks.Step step = clocks.step(event);
                if (step != null) {
                    passes(record.timestamp());
                    take(event.order, step);
                }
            } catch (IOException error) {
                throw new IllegalArgumentException(error);
            }
            FiveClocks.Meter.count();
        }

        private void take(String order, FiveClocks.Step step) {
            String key = step.clock() + "/" + order;
            if (step.isStop()) {
                String found = open.delete(key);
                if (found != null) {
                    due.delete(entry(Long.parseLong(found.substring(found.indexOf(',') + 1)), key));
                }
                return;
            }
            open.put(key, step.rule() + "," + step.due());
            due.put(entry(step.due(), key), new byte[0]);
            earliest = Math.min(earliest, step.due());
        }

        /** Reports the clocks whose deadline is before an instant. */
        private void passes(long instant) {
            if (earliest >= instant) {
                return;
            }
            earliest = NONE;
            try (KeyValueIterator<Bytes, byte[]> all = due.all()) {
                while (all.hasNext()) {
                    Bytes entry = all.next().key;
                    long deadline = ByteBuffer.wrap(entry.get()).getLong();
                    if (deadline >= instant) {
                        earliest = deadline;
                        break;
                    }
                    String key = new String(entry.get(), 8, entry.get().length - 8, StandardCharsets.UTF_8);
                    String rule = open.delete(key).split(",")[0];
                    due.delete(entry);
                    String order = key.substring(key.indexOf('/') + 1);
                    context.forward(new Record<>(order, rule + "," + order + "," + deadline, deadline));
                }
            }
        }

        private static Bytes entry(long deadline, String key) {
            byte[] text = key.getBytes(StandardCharsets.UTF_8);
            return Bytes.wrap(ByteBuffer.allocate(8 + text.length).putLong(deadline).put(text).array());
        }
    }
}

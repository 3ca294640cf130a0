import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.serialization.SimpleStringSchema;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.api.common.serialization.AbstractDeserializationSchema;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/**
 * The five clocks with Flink: keyed by order, an event-time timer each; state on the heap, a checkpoint every 10 seconds.
 *
 * <p>Arguments: bootstrap, name, topic of events, topic of breaches, events, threads, directory, file of fifth days.
 */
public final class FlinkPeer {
    public static void main(String[] arguments) throws Exception {
        FiveClocks.Meter.expect(Long.parseLong(arguments[4]));
        Configuration settings = new Configuration();
        settings.set(CheckpointingOptions.CHECKPOINT_STORAGE, "filesystem");
        settings.set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, "file://" + arguments[6]);
        StreamExecutionEnvironment environment =
            StreamExecutionEnvironment.createLocalEnvironment(Integer.parseInt(arguments[5]), settings);
        environment.enableCheckpointing(10_000);
        KafkaSource<FiveClocks.Event> source = KafkaSource.<FiveClocks.Event>builder()
            .setBootstrapServers(arguments[0])
            .setTopics(arguments[2])
            .setGroupId(arguments[1])
            .setStartingOffsets(OffsetsInitializer.earliest())
            .setBounded(OffsetsInitializer.latest())
            .setValueOnlyDeserializer(new Reader())
            .build();
        KafkaSink<String> sink = KafkaSink.<String>builder()
            .setBootstrapServers(arguments[0])
            .setDeliveryGuarantee(DeliveryGuarantee.AT_LEAST_ONCE)
            .setRecordSerializer(KafkaRecordSerializationSchema.builder()
                .setTopic(arguments[3]).setValueSerializationSchema(new SimpleStringSchema()).build())
            .build();
        // Timestamps are those of Kafka's records; a watermark is the least over the partitions.
        environment.fromSource(source, WatermarkStrategy.forMonotonousTimestamps(), "events")
            .keyBy(event -> event.order)
            .process(new Clocks(new FiveClocks(arguments[7])))
            .sinkTo(sink);
        environment.execute(arguments[1]);
    }

    private static final class Reader extends AbstractDeserializationSchema<FiveClocks.Event> {
        @Override
        public FiveClocks.Event deserialize(byte[] json) throws IOException {
            return FiveClocks.read(json);
        }
    }

    private static final class Clocks extends KeyedProcessFunction<String, FiveClocks.Event, String> {
        private final FiveClocks clocks;
        /** By name of the clock: rule and deadline. */
        private transient MapState<String, String> open;

        Clocks(FiveClocks clocks) {
            this.clocks = clocks;
        }

        @Override
        public void open(OpenContext context) {
            open = getRuntimeContext().getMapState(new MapStateDescriptor<>("open", Types.STRING, Types.STRING));
        }

        @Override
        public void processElement(FiveClocks.Event event, Context context, Collector<String> out) throws Exception {
            FiveClocks.Step step = clocks.step(event);
            if (step != null && step.isStop()) {
                String found = open.get(step.clock());
                open.remove(step.clock()); // its timer will find nothing
                // Watermarks come five times a second, so many stops are here before the timer that they are late for.
                if (found != null && Long.parseLong(found.split(",")[1]) < context.timestamp()) {
                    out.collect(breach(found, context.getCurrentKey()));
                }
            } else if (step != null) {
                open.put(step.clock(), step.rule() + "," + step.due());
                context.timerService().registerEventTimeTimer(step.due());
            }
            FiveClocks.Meter.count();
        }

        private static String breach(String found, String order) {
            int comma = found.indexOf(',');
            return found.substring(0, comma) + "," + order + found.substring(comma);
        }

        @Override
        public void onTimer(long instant, OnTimerContext context, Collector<String> out) throws Exception {
            List<String> over = new ArrayList<>();
            for (Map.Entry<String, String> entry : open.entries()) {
                if (entry.getValue().endsWith("," + instant)) {
                    over.add(entry.getKey());
                    out.collect(breach(entry.getValue(), context.getCurrentKey()));
                }
            }
            for (String clock : over) {
                open.remove(clock);
            }
        }
    }
}

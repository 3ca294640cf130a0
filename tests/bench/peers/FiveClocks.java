import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.io.Serializable;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.OffsetDateTime;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;

/** The five clocks of {@code contenders.py}: what both peers share. Times are milliseconds since 1970. */
final class FiveClocks implements Serializable {
    private static final long MINUTE = 60_000;
    private static final ObjectReader READER = new ObjectMapper().readerFor(Event.class);

    /** 24:00 of the fifth working day after a local date. */
    private final Map<String, Long> fifthDays = new HashMap<>();

    /** The five fields that are looked at; all others are skipped. */
    @JsonIgnoreProperties(ignoreUnknown = true)
    public static final class Event {
        @JsonProperty("event_type") public String type;
        @JsonProperty("order_id") public String order;
        @JsonProperty("occurred_at") public String occurredAt;
        @JsonProperty("business") public String business;
        @JsonProperty("area") public String area;
    }

    /** What an event does: it stops the clock of this name, or starts it under a rule with a deadline. */
    record Step(String clock, String rule, long due) {
        boolean isStop() {
            return rule == null;
        }
    }

    /** Reads lines of a date, a comma, and an instant. */
    FiveClocks(String file) throws IOException {
        for (String line : Files.readAllLines(Path.of(file))) {
            String[] parts = line.split(",");
            fifthDays.put(parts[0], Long.parseLong(parts[1]));
        }
    }

    static Event read(byte[] json) throws IOException {
        return READER.readValue(json);
    }

    /** Null where the event is of none of the five clocks. */
    Step step(Event event) {
        return switch (event.type) {
            case "counter.service_started" -> event.business != null && event.business.equals("fee")
                ? new Step("counter", "fee-5-minutes", at(event) + 5 * MINUTE)
                : new Step("counter", "power-20-minutes", at(event) + 20 * MINUTE);
            case "counter.service_completed" -> new Step("counter", null, 0);
            case "repair.reported" -> new Step("repair", "repair-arrival", at(event) + minutes(event.area) * MINUTE);
            case "repair.arrived" -> new Step("repair", null, 0);
            case "calibration.requested" -> new Step("calibration", "calibration-5-working-days", fifthDay(event));
            case "calibration.result_issued" -> new Step("calibration", null, 0);
            case "reading.disputed" -> new Step("reading", "reading-dispute-5-working-days", fifthDay(event));
            case "reading.dispute_answered" -> new Step("reading", null, 0);
            default -> null;
        };
    }

    private static long at(Event event) {
        return OffsetDateTime.parse(event.occurredAt).toInstant().toEpochMilli();
    }

    private static long minutes(String area) {
        return area == null ? 120 : area.equals("urban") ? 45 : area.equals("rural") ? 90 : 120;
    }

    private long fifthDay(Event event) {
        return fifthDays.get(event.occurredAt.substring(0, 10));
    }

    /** Counts events, and prints the processor time of this process at the first, after half of them and after all. */
    static final class Meter {
        private static final AtomicLong TAKEN = new AtomicLong();
        private static volatile long wanted;

        static void expect(long events) {
            wanted = events;
        }

        static void count() {
            long taken = TAKEN.incrementAndGet();
            if (taken == 1 || taken == wanted / 2 || taken == wanted) {
                var system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
                System.out.printf("taken %d %d %d%n", taken, System.nanoTime(), system.getProcessCpuTime());
            }
        }

        static boolean isDone() {
            return TAKEN.get() >= wanted;
        }
    }
}

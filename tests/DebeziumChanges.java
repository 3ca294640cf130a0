import io.debezium.engine.ChangeEvent;
import io.debezium.engine.DebeziumEngine;
import io.debezium.engine.format.Json;
import java.io.FileInputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Properties;

/**
 * Prints the changes that Debezium's embedded engines capture: topic, key and value, with a tab between them.
 * Each argument is a file with the settings of one engine. Ends with its standard input.
 */
public class DebeziumChanges {
    public static void main(String[] arguments) throws Exception {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (String name : arguments) {
            Properties settings = new Properties();
            try (FileInputStream file = new FileInputStream(name)) {
                settings.load(file);
            }
            DebeziumEngine<ChangeEvent<String, String>> engine = DebeziumEngine.create(Json.class)
                    .using(settings)
                    .using((success, message, error) -> {
                        System.err.println(name + ": " + message + " " + error);
                        if (!success) {
                            Runtime.getRuntime().halt(1);
                        }
                    })
                    .notifying(change -> {
                        synchronized (out) {
                            out.print(change.destination() + "\t" + change.key() + "\t" + change.value() + "\n");
                            out.flush();
                        }
                    })
                    .build();
            new Thread(engine, name).start();
        }
        while (System.in.read() >= 0) {
        }
        Runtime.getRuntime().halt(0);
    }
}

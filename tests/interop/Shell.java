import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs Kafka's console tools one after the other, as each is: its main() with its arguments. To start a process for each takes many times as long as
 * what it does. A line of input is a class and its arguments with a tab between; the answer is a line with the exit status and the length of what
 * was printed, and that. Only for tools that keep nothing in static fields.
 */
public class Shell {
    static final ByteArrayOutputStream printed = new ByteArrayOutputStream();
    static Integer ended; // with this status, by the tool's own word

    /** A tool's exit.  Some catch it as they catch all errors, and exit once more: the first counts, and what was printed until then. */
    static void end(int status, String message) {
        if (ended == null)
            ended = status;
        throw new Error("the tool has ended");
    }

    static void keep(byte[] b, int from, int count) {
        if (ended == null)
            printed.write(b, from, count);
    }

    static PrintStream kept() {
        return new PrintStream(new OutputStream() {
            @Override public void write(int b) {
                keep(new byte[] {(byte) b}, 0, 1);
            }

            @Override public void write(byte[] b, int from, int count) {
                keep(b, from, count);
            }
        }, true, StandardCharsets.UTF_8);
    }

    static int run(String name, String[] args) throws ReflectiveOperationException {
        try {
            Class.forName(name).getMethod("main", String[].class).invoke(null, (Object) args);
            return ended == null ? 0 : ended;
        } catch (InvocationTargetException e) {
            e.getCause().printStackTrace();
            return ended == null ? 1 : ended;
        }
    }

    public static void main(String[] unused) throws IOException, ReflectiveOperationException {
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream answers = System.out;

        System.setOut(kept());
        System.setErr(kept());
        Exit.setExitProcedure(Shell::end);
        Exit.setHaltProcedure(Shell::end);
        for (String line; (line = input.readLine()) != null;) {
            String[] words = line.split("\t", -1);
            String[] args = new String[words.length - 1];

            System.arraycopy(words, 1, args, 0, args.length);
            printed.reset();
            ended = null;
            int status = run(words[0], args);
            answers.println(status + " " + printed.size());
            printed.writeTo(answers);
            answers.flush();
        }
    }
}

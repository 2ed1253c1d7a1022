import java.nio.file.Files;
import java.nio.file.Path;

/** Run as 'comfyrec with -- java -cp build ClientTest'. Each test has a server of its own. */
final class ClientTest {
    private static final String CONTROL = System.getenv("COMFYUI_URL") + "/__fake__";

    private ClientTest() {}

    /** A fresh server; it ends with the block that it is used in. */
    private static final class Server implements AutoCloseable {
        final String url;
        private final String control;

        Server(String body) throws Exception {
            String made = Client.ask("POST", CONTROL + "/servers", body);
            url = Client.text(made, "url");
            control = Client.text(made, "control_url");
        }

        @Override
        public void close() throws Exception {
            Client.ask("DELETE", control, "");
        }
    }

    public static void main(String[] args) throws Exception {
        check("a run that succeeds", "{\"scenario\": \"success\"}", "success");
        check("a node that fails", "{\"plan\": {\"1\": {\"raise\": \"out of memory\"}}}", "error");
        check("a prompt behind others", "{\"scenario\": \"queued-behind\"}", "success");
    }

    private static void check(String name, String body, String expected) throws Exception {
        String workflow = Files.readString(Path.of(System.getProperty("workflow")));
        try (Server server = new Server(body)) {
            String outcome = Client.run(server.url, workflow);
            if (!outcome.equals(expected)) {
                throw new AssertionError(name + ": it ended with " + outcome);
            }
        }
        System.out.println("ok " + name);
    }
}

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A small client: it posts a workflow and waits for the end of its prompt. */
final class Client {
    // Over HTTP/1.1: without saying so, Java offers HTTP/2 with every request.
    private static final HttpClient HTTP =
        HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

    private Client() {}

    /** Posts a workflow in API format and gives "success" or "error", as the history has it. */
    static String run(String url, String workflow) throws IOException, InterruptedException {
        String body = "{\"prompt\": " + workflow + ", \"client_id\": \"java\"}";
        String id = text(ask("POST", url + "/prompt", body), "prompt_id");
        for (int tries = 0; tries < 500; tries++) {
            String history = ask("GET", url + "/history/" + id, "");
            if (history.contains(id)) {
                return text(history, "status_str");
            }
            Thread.sleep(20);
        }
        throw new IOException("prompt " + id + " did not end");
    }

    /** The body of the answer to one request. */
    static String ask(String method, String url, String body)
        throws IOException, InterruptedException {
        HttpRequest request =
            HttpRequest.newBuilder(URI.create(url))
                .method(method, body.isEmpty() ? BodyPublishers.noBody() : BodyPublishers.ofString(body))
                .build();
        HttpResponse<String> answer = HTTP.send(request, BodyHandlers.ofString());
        if (answer.statusCode() != 200) {
            throw new IOException(method + " " + url + ": " + answer.body());
        }
        return answer.body();
    }

    /** The text member of that name; a real client has a library for JSON. */
    static String text(String json, String name) throws IOException {
        Matcher found = Pattern.compile("\"" + name + "\": *\"([^\"]*)\"").matcher(json);
        if (!found.find()) {
            throw new IOException("no " + name + " in " + json);
        }
        return found.group(1);
    }
}

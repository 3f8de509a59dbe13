package dev.gridtie.x402.client;

import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.Map;

/** How a paying client reaches a server: one exchange, no redirect is followed. */
interface Transport {
  /**
   * @throws IOException where no answer came; it may have arrived all the same
   */
  PayingClient.Answer exchange(String method, URI url, Map<String, String> headers, byte[] body)
      throws IOException, InterruptedException;

  /** By HTTP/1.1. */
  static Transport http() {
    Duration connectPatience = Duration.ofSeconds(10);
    Duration answerPatience = Duration.ofMinutes(11); // a gateway may take ten for an answer
    HttpClient http =
        HttpClient.newBuilder()
            .version(HttpClient.Version.HTTP_1_1)
            .followRedirects(HttpClient.Redirect.NEVER)
            .connectTimeout(connectPatience)
            .build();
    return (method, url, headers, body) -> {
      HttpRequest.Builder request =
          HttpRequest.newBuilder(url)
              .timeout(answerPatience)
              .method(
                  method,
                  body.length == 0
                      ? HttpRequest.BodyPublishers.noBody()
                      : HttpRequest.BodyPublishers.ofByteArray(body));
      headers.forEach(request::setHeader);
      HttpResponse<InputStream> response =
          http.send(request.build(), HttpResponse.BodyHandlers.ofInputStream());
      return new PayingClient.Answer(response.statusCode(), response.headers(), response.body());
    };
  }
}

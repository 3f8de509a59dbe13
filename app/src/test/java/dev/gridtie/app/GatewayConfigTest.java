package dev.gridtie.app;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class GatewayConfigTest {
  private static final String WHOLE =
      """
      port: 4020
      payTo: "0x90F79bf6EB2c4f870365E785982E1f101E93b906"
      chain:
        rpc: "http://127.0.0.1:4021"
        network: "eip155:84532"
        token: "0x036CbD53842c5426634e7929541eC2318f3dCF7e"
        tokenName: USDC
        tokenVersion: "2"
        decimals: 6
      models: []
      """;

  @TempDir Path directory;

  private GatewayConfig read(String yaml) throws Exception {
    return GatewayConfig.read(Files.writeString(directory.resolve("gateway.yaml"), yaml));
  }

  @Test
  void whatIsLeftOutHasSafeDefaults() throws Exception {
    GatewayConfig config = read(WHOLE);
    assertThat(config.hostOrLoopback()).isEqualTo("127.0.0.1");
    assertThat(config.chain().settleTimeoutSeconds()).isEqualTo(30);
    assertThat(config.limitsOrDefault().bodyBytes()).isEqualTo(1024 * 1024);
  }

  @Test
  void anUnknownKeyStopsTheStartAndIsNamedWithTheKnownOnes() {
    assertThatThrownBy(() -> read(WHOLE + "modles: []\n"))
        .hasMessageContaining("modles")
        .hasMessageContaining("models");
  }

  @Test
  void aMissingKeyStopsTheStartAndIsNamed() {
    assertThatThrownBy(() -> read(WHOLE.replace("payTo", "#"))).hasMessageContaining("payTo");
    assertThatThrownBy(() -> read(WHOLE.replace("  decimals: 6\n", "")))
        .hasMessageContaining("decimals");
    assertThatThrownBy(() -> read(WHOLE.replace("  rpc:", "  #"))).hasMessageContaining("rpc");
  }

  @Test
  void whatIsNoYamlSaysWhere() {
    assertThatThrownBy(() -> read("port: [1\n")).hasMessageContaining("gateway.yaml");
  }

  @Test
  void whatIsNoOriginIsNamed() throws Exception {
    String fine = "origins: [\"https://example.com\", \"http://localhost:8000\", \"*\"]\n";
    assertThat(read(WHOLE + fine).allowedOrigins().allowed()).hasSize(3);
    for (String wrong :
        new String[] {"https://Example.com", "https://example.com/", "example.com", "null"}) {
      GatewayConfig config = read(WHOLE + "origins: [\"" + wrong + "\"]\n");
      assertThatThrownBy(config::allowedOrigins).hasMessageContaining(wrong);
    }
  }

  @Test
  void whatIsNoLogsKeyIsNamed() throws Exception {
    String log = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    assertThat(read(WHOLE + "log: { witnessFor: [\"" + log + "\"] }\n").watchedLogs()).hasSize(1);
    GatewayConfig wrong = read(WHOLE + "log: { witnessFor: [\"key\"] }\n");
    assertThatThrownBy(wrong::watchedLogs).hasMessageContaining("/log/key");
    GatewayConfig notCosigning =
        read(
            WHOLE
                + "log: { witnesses: [{ url: \"https://w.example.com\", key: \""
                + log
                + "\" }] }\n");
    assertThatThrownBy(notCosigning::witnesses).hasMessageContaining("/log/witness/key");
    for (String url : new String[] {"127.0.0.1:1log", "ftp://example.com", "http://", "a b"}) {
      GatewayConfig nowhere =
          read(WHOLE + "log: { witnesses: [{ url: \"" + url + "\", key: k }] }\n");
      assertThatThrownBy(nowhere::witnesses).hasMessageContaining(url);
    }
  }
}

package dev.gridtie.wire.openai;

import dev.gridtie.wire.Fields;
import dev.gridtie.wire.chat.Part;
import org.jspecify.annotations.Nullable;

/** Media as OpenAI writes them: a URL, or a {@code data:} URL (RFC 2397). */
public final class Medias {
  private Medias() {}

  /** Takes a URL apart; a {@code data:} URL in Base64 becomes its value. */
  public static Part.Media fromUrl(
      Part.MediaKind kind, String url, @Nullable String name, @Nullable String detail) {
    int comma = url.indexOf(',');
    if (url.startsWith("data:") && comma > 0 && url.substring(0, comma).endsWith(";base64")) {
      String mime = url.substring("data:".length(), comma - ";base64".length());
      return new Part.Media(kind, mime, url.substring(comma + 1), null, name, detail);
    }
    return new Part.Media(kind, null, null, url, name, detail);
  }

  /** The URL, made where the value is there instead. */
  public static String toUrl(Part.Media media) {
    return media.url() != null
        ? media.url()
        : "data:"
            + (media.mimeType() == null ? "application/octet-stream" : media.mimeType())
            + ";base64,"
            + media.data();
  }

  /** How closely an image is to be looked at; null for {@code auto}, which says nothing. */
  public static @Nullable String detail(Fields image) throws Fields.RefusedException {
    String detail = image.text("detail");
    return "auto".equals(detail) ? null : detail;
  }
}

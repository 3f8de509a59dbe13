package dev.gridtie.gateway.edge;

import dev.gridtie.base.Json;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.account.Account;
import dev.gridtie.gateway.account.KeyBook;
import dev.gridtie.gateway.account.KeyLimits;
import dev.gridtie.gateway.account.UsageRow;
import dev.gridtie.gateway.account.UsageStore;
import dev.gridtie.ledger.Database;
import java.math.BigDecimal;
import java.util.Optional;
import tools.jackson.databind.node.ObjectNode;

/** What a key's holder may see of it, in OpenRouter's form. Dollars are JSON numbers, exactly. */
final class AccountPages {
  private final Database database;
  private final KeyBook keys;

  AccountPages(Database database, KeyBook keys) {
    this.database = database;
    this.keys = keys;
  }

  private static BigDecimal dollars(PicoUsd amount) {
    return new BigDecimal(amount.dollars());
  }

  /** {@code GET /key}. */
  ObjectNode key(Account account) {
    KeyLimits limits = account.key().limits();
    Account.Spent spent = keys.spent(account);
    ObjectNode json = Json.object();
    ObjectNode data = json.putObject("data");
    data.put("label", account.key().label());
    if (limits.total().isPresent()) {
      PicoUsd limit = limits.total().get();
      data.put("limit", dollars(limit));
      data.put("limit_remaining", dollars(limit.minus(spent.total().min(limit))));
    } else {
      data.putNull("limit");
      data.putNull("limit_remaining");
    }
    data.putNull("limit_reset");
    data.put("usage", dollars(spent.total()));
    data.put("usage_daily", dollars(spent.day()));
    data.put("usage_weekly", dollars(spent.week()));
    data.put("usage_monthly", dollars(spent.month()));
    data.put("byok_usage", 0);
    data.put("byok_usage_daily", 0);
    data.put("byok_usage_weekly", 0);
    data.put("byok_usage_monthly", 0);
    data.put("include_byok_in_limit", false);
    data.put("is_free_tier", false);
    data.put("is_management_key", false);
    data.put("is_provisioning_key", false);
    data.putNull("creator_user_id");
    data.putArray("allowed_data_regions");
    ObjectNode daily = data.putObject("free_model_daily_requests");
    daily.put("limit", 0).put("remaining", 0).put("used", 0);
    data.putNull("organization_id");
    data.putNull("workspace_id");
    data.putNull("expires_at");
    ObjectNode rate = data.putObject("rate_limit");
    rate.put("requests", limits.requestsPerMinute() == 0 ? -1 : limits.requestsPerMinute());
    rate.put("interval", "1m");
    rate.put("note", "");
    return json;
  }

  /** {@code GET /credits}. */
  ObjectNode credits(Account account) {
    ObjectNode json = Json.object();
    ObjectNode data = json.putObject("data");
    PicoUsd spent = keys.spent(account).total();
    data.put("total_credits", dollars(account.key().limits().total().orElse(spent)));
    data.put("total_usage", dollars(spent));
    return json;
  }

  /** {@code GET /generation?id=}: of one's own requests alone. */
  Optional<ObjectNode> generation(Account account, String id) {
    Optional<UsageRow> row = database.read(c -> UsageStore.find(c, id));
    return row.filter(r -> r.keyId().equals(account.key().id())).map(AccountPages::generation);
  }

  private static ObjectNode generation(UsageRow row) {
    ObjectNode json = Json.object();
    ObjectNode data = json.putObject("data");
    data.put("id", row.id());
    data.putNull("upstream_id");
    data.put("model", row.model());
    data.put("provider_name", row.provider());
    data.put("created_at", row.time().toString());
    data.put("streamed", row.streamed());
    data.put("cancelled", row.outcome().equals("cancelled"));
    data.put("latency", row.firstByteMs());
    data.put("generation_time", row.totalMs() - row.firstByteMs());
    data.putNull("moderation_latency");
    data.put("finish_reason", row.finish());
    data.put("native_finish_reason", row.finish());
    data.put("tokens_prompt", row.usage().input());
    data.put("tokens_completion", row.usage().output());
    data.put("native_tokens_prompt", row.usage().input());
    data.put("native_tokens_completion", row.usage().output());
    data.put("native_tokens_reasoning", row.usage().reasoning());
    data.put("native_tokens_cached", row.usage().cacheRead());
    for (String none :
        new String[] {
          "native_tokens_completion_images",
          "num_media_prompt",
          "num_input_audio_prompt",
          "num_media_completion",
          "num_search_results",
          "num_fetches",
          "cache_discount",
          "upstream_inference_cost",
          "external_user",
          "app_id",
          "http_referer",
          "user_agent",
          "session_id",
          "request_id",
          "service_tier",
          "provider_responses",
          "router",
          "preset_id",
          "web_search_engine",
          "response_cache_source_id"
        }) {
      data.putNull(none);
    }
    data.put("usage", dollars(row.cost()));
    data.put("total_cost", dollars(row.cost()));
    data.put("is_byok", false);
    data.put("api_type", "completions");
    data.put("origin", "");
    data.put("data_region", "global");
    data.put("workspace_id", "");
    return json;
  }
}

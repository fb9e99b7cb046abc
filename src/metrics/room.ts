import type { House, Room } from "../house.ts";
import { countEvents } from "./events.ts";

/** Counts what the audit tells, and reads what the house has of everything. What each request counts is in `requests.ts`. */
export function metricsRoom(house: House): Room {
  const { metrics, sessions, apiKeys, outbox, hooks, auditEvents, options, clock } = house;
  auditEvents.listen(countEvents(metrics));
  // This house was made then, and would not be here had it not been taken.
  const madeAt = clock.now() / 1000;
  metrics.gauge(
    "runegate_config_last_reload_success_timestamp_seconds",
    "When the configuration that holds was read, in seconds since the epoch.",
    [],
    () => madeAt,
    "main",
  );
  metrics.gauge("runegate_sessions", "Sessions that are alive.", [], sessions.count, "main");
  metrics.gauge(
    "runegate_api_keys",
    "API keys by what they are worth.",
    ["status"],
    async () => {
      const keys = options.apiKeys ? await apiKeys.list() : [];
      const byStatus = Map.groupBy(keys, apiKeys.statusOf);
      return (["active", "expired", "disabled", "unused"] as const).map((status) => [
        [status],
        byStatus.get(status)?.length ?? 0,
      ]);
    },
    "main",
  );
  metrics.gauge(
    "runegate_mail_queue",
    "Mails that wait.",
    [],
    async () => (await outbox.waiting()).length,
    "main",
  );
  metrics.gauge(
    "runegate_mail_oldest_seconds",
    "How long the oldest mail has been waiting.",
    [],
    async () => {
      const [oldest] = await outbox.waiting();
      return oldest === undefined ? 0 : Math.max(0, clock.now() - oldest.queuedAt) / 1000;
    },
    "main",
  );
  metrics.gauge(
    "runegate_hook_total",
    "Calls of hooks by what came of them, since the configuration was read.",
    ["hook", "outcome"],
    () => hooks.counts().map(({ hook, outcome, count }) => [[hook, outcome], count]),
  );
  return { name: "metrics" };
}

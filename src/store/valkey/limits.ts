import type { LimitStore } from "../contracts.ts";
import { limitKey } from "./keys.ts";
import type { Link } from "./link.ts";
import { runScript, script } from "./script.ts";

/**
 * An exact sliding log: a hit is allowed when the one `limit` hits before it is a whole window old. The list holds the
 * last ones that were allowed, at most `limit` of them. All machines go by one clock, the link's `sharedNow`.
 *
 * A hit more than a window in the future is from before the server's clock was set back, and counts no more.
 */
const HIT = script(`
local key = KEYS[1]
local now, limit, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local decisive = redis.call("LINDEX", key, -limit)
if decisive then
  local wait = tonumber(decisive) + window - now
  if wait > 0 and wait <= 2 * window then return wait end
end
redis.call("RPUSH", key, ARGV[1])
redis.call("LTRIM", key, -limit, -1)
redis.call("PEXPIRE", key, ARGV[4])
return 0
`);

/** How much longer than a window its hits are kept, in milliseconds. */
const MARGIN_MS = 60_000;

export function createValkeyLimits(link: Link): LimitStore {
  return {
    async hit(key, { limit, windowMs }) {
      if (limit === 0) return { allowed: true };
      const args = [link.sharedNow(), limit, windowMs, Math.ceil(windowMs) + MARGIN_MS];
      const wait = Number(await runScript(link, HIT, [limitKey(key)], args));
      return wait === 0 ? { allowed: true } : { allowed: false, retryAfterMs: wait };
    },

    async release(key) {
      await link.run("DEL", [limitKey(key)]);
    },
  };
}

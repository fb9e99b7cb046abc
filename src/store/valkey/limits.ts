import { countsOf, hitsWithin, type Limits, outcomeOf } from "../limits.ts";
import { limitKey } from "./keys.ts";
import type { Link } from "./link.ts";
import { runScript, script } from "./script.ts";

/**
 * The list of a key holds its hits. All machines go by one clock, the link's `sharedNow`. A hit more than a window in the future
 * is from before the server's clock was set back, and counts no more.
 */
const HIT = script(`
local now = tonumber(ARGV[1])
local longest = 0
for i, key in ipairs(KEYS) do
  local limit, window = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local decisive = tonumber(redis.call("LINDEX", key, -limit) or "")
  if decisive then
    local wait = decisive + window - now
    if wait <= 2 * window then longest = math.max(longest, wait) end
  end
end
if longest > 0 then return longest end
for i, key in ipairs(KEYS) do
  redis.call("RPUSH", key, ARGV[1])
  redis.call("LTRIM", key, -tonumber(ARGV[3 * i - 1]), -1)
  redis.call("PEXPIRE", key, ARGV[3 * i + 1])
end
return 0
`);

const HITS = script(`
local hits = {}
for i, key in ipairs(KEYS) do hits[i] = redis.call("LRANGE", key, 0, -1) end
return hits
`);

/** How much longer than a window its hits are kept, in milliseconds. */
export const MARGIN_MS = 60_000;

export function createValkeyLimits(link: Link): Limits {
  return {
    async hit(key, rule, wider) {
      const counts = countsOf(key, rule, wider);
      if (counts.length === 0) return outcomeOf(0);
      const keys = counts.map((one) => limitKey(one.key));
      const rules = counts.map((one) => one.rule);
      const args = rules.flatMap(({ limit, windowMs }) => [limit, windowMs, Math.ceil(windowMs) + MARGIN_MS]);
      return outcomeOf(Number(await runScript(link.run, HIT, keys, [link.sharedNow(), ...args])));
    },

    async count(counts) {
      const keys = counts.map(({ key }) => limitKey(key));
      const kept = (await runScript(link.run, HITS, keys, [])) as readonly (readonly string[])[];
      const now = link.sharedNow();
      return counts.map(({ rule }, index) => hitsWithin((kept[index] ?? []).map(Number), rule, now));
    },

    async release(key) {
      await link.run("DEL", [limitKey(key)]);
    },
  };
}

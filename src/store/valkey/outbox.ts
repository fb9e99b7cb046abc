import type { Clock } from "../../clock.ts";
import type { Logger } from "../../observe/logger.ts";
import type { OutboxEntry, OutboxStore } from "../contracts.ts";
import { OUTBOX } from "./keys.ts";
import type { Link } from "./link.ts";
import { KEEP, MARGIN_MS, runScript, script } from "./script.ts";

/**
 * Four keys. A hash: id → `attempts LF place LF the rest as JSON`. Two sorted sets, one of them for those that go first:
 * places by when they fall due. And a counter. A place is when the mail was queued and the counter then, both of a fixed
 * width, and the id: in alphabetical order, which is how a sorted set orders what falls due at once.
 */
const PARTS = `
local entries, others, counter, first = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local function parts(id)
  local value = redis.call("HGET", entries, id)
  if not value then return end
  return string.match(value, "^(%d+)\\n([^\\n]*)\\n(.*)$")
end
`;

const ADD = script(`${KEEP}${PARTS}
local id, attempts, nextAttemptAt, queuedAt, rest, capacity, ttl, lane = unpack(ARGV)
if redis.call("HEXISTS", entries, id) == 1 then return 1 end
if redis.call("HLEN", entries) >= tonumber(capacity) then return 0 end
local place = queuedAt .. string.format("%016d", redis.call("INCR", counter)) .. id
redis.call("HSET", entries, id, attempts .. "\\n" .. place .. "\\n" .. rest)
redis.call("ZADD", lane == "1" and first or others, nextAttemptAt, place)
for _, key in ipairs(KEYS) do keep(key, ttl) end
return 1
`);

const CLAIM = script(`${PARTS}
local now, till, most, lane = unpack(ARGV)
local due = lane == "1" and first or others
local claimed = {}
for _, place in ipairs(redis.call("ZRANGEBYSCORE", due, "-inf", now, "LIMIT", 0, most)) do
  local id = string.sub(place, 33)
  local before, _, rest = parts(id)
  if before then
    local attempts = string.format("%d", before + 1)
    redis.call("HSET", entries, id, attempts .. "\\n" .. place .. "\\n" .. rest)
    redis.call("ZADD", due, till, place)
    claimed[#claimed + 1] = { id, attempts, rest }
  else
    -- A server that forgot the mail to make room, or a value that is none of ours, must not keep the others from going out.
    redis.call("HDEL", entries, id)
    redis.call("ZREM", due, place)
  end
end
return claimed
`);

const POSTPONE = script(`${PARTS}
local id, nextAttemptAt, attempts = unpack(ARGV)
local _, place, rest = parts(id)
if not place then return end
redis.call("HSET", entries, id, attempts .. "\\n" .. place .. "\\n" .. rest)
redis.call("ZADD", redis.call("ZSCORE", first, place) and first or others, nextAttemptAt, place)
`);

const REMOVE = script(`${PARTS}
local id = ARGV[1]
local _, place = parts(id)
if not place then return end
redis.call("HDEL", entries, id)
redis.call("ZREM", others, place)
redis.call("ZREM", first, place)
`);

/** What does not change while an entry waits. Of an older Runegate, which may still run elsewhere, the mail in clear. */
type Lasting = Omit<OutboxEntry, "id" | "attempts" | "nextAttemptAt" | "cooldownKey" | "first"> & {
  readonly cooldownKey?: string;
};
type InClear = { readonly subject?: string; readonly text?: string; readonly html?: string };

export function createValkeyOutbox(link: Link, clock: Clock, log: Logger): OutboxStore {
  return {
    async add({ id, attempts, nextAttemptAt, first, ...lasting }, capacity) {
      const ttl = Math.ceil(Math.max(0, lasting.expiresAt - clock.now())) + MARGIN_MS;
      const queuedAt = String(lasting.queuedAt).padStart(16, "0");
      const rest = JSON.stringify(lasting);
      const args = [id, attempts, nextAttemptAt, queuedAt, rest, capacity, ttl, Number(first)];
      return (await runScript(link, ADD, OUTBOX, args)) === 1;
    },

    async claim(first, now, until, most) {
      const args = [now, until, most, Number(first)];
      const claimed = (await runScript(link, CLAIM, OUTBOX, args)) as Claimed[];
      const read = claimed.map(([id, attempts, rest]) => {
        const lasting = readLasting(rest);
        if (lasting !== undefined) {
          const { cooldownKey } = lasting;
          return { id, ...lasting, cooldownKey, first, attempts: Number(attempts), nextAttemptAt: until };
        }
        log.error("a waiting mail that cannot be read was dropped", { id });
        return runScript(link, REMOVE, OUTBOX, [id]).then(() => undefined);
      });
      return (await Promise.all(read)).filter((entry) => entry !== undefined);
    },

    async nextDue() {
      const [, others, , first] = OUTBOX;
      const earliest = await Promise.all(
        [first, others].map((due) => link.run("ZRANGE", [due, "0", "0", "WITHSCORES"])),
      );
      const next = Math.min(...(earliest as [string, number][][]).flatMap(([one]) => one?.[1] ?? []));
      return Number.isFinite(next) ? next : undefined;
    },

    async postpone(id, nextAttemptAt, attempts) {
      await runScript(link, POSTPONE, OUTBOX, [id, nextAttemptAt, attempts]);
    },

    async remove(id) {
      await runScript(link, REMOVE, OUTBOX, [id]);
    },
  };
}

type Claimed = [id: string, attempts: string, rest: string];

/** Undefined for what is no mail, as somebody else may have written it. */
function readLasting(rest: string): Lasting | undefined {
  try {
    const { subject, text, html, ...lasting } = JSON.parse(rest) as Lasting & InClear;
    const { to, content = JSON.stringify({ subject, text, html }), queuedAt, expiresAt } = lasting;
    if (typeof to !== "string" || typeof content !== "string") return undefined;
    if (!Number.isFinite(queuedAt) || !Number.isFinite(expiresAt)) return undefined;
    return { ...lasting, content };
  } catch {
    return undefined;
  }
}

import type { Clock } from "../../clock.ts";
import type { Logger } from "../../observe/logger.ts";
import type { SessionRecord, SessionStore } from "../contracts.ts";
import { createRecencyMap } from "../memory/recency-map.ts";
import { SESSIONS, SESSIONS_NOTE } from "./keys.ts";
import type { Link } from "./link.ts";
import { KEEP, MARGIN_MS, runScript, script } from "./script.ts";

/**
 * Three keys. A hash: id → `seenAt LF address LF the rest as JSON`, whose first two parts scripts read and write. A sorted
 * set: ids by `expiresAt`, which decides whether a session is live and which go when others come. And a sorted set that
 * is an index: `address LF id` in alphabetical order. An LF is neither in an address nor, raw, in JSON.
 *
 * Each new session takes up to ten expired ones with it. When nobody comes any more, the keys themselves run out.
 *
 * What somebody else has written in between, or cut off, costs the session it belongs to and no other: scripts take nothing that
 * they find for granted.
 */
const REMOVE = `
local records, expiry, addresses = KEYS[1], KEYS[2], KEYS[3]
local function remove(id)
  local value = redis.call("HGET", records, id)
  -- What writes nothing may still be refused by a server that is full.
  if not value and not redis.call("ZSCORE", expiry, id) then return end
  local address = value and string.match(value, "\\n([^\\n]*)\\n")
  redis.call("HDEL", records, id)
  redis.call("ZREM", expiry, id)
  if address then redis.call("ZREM", addresses, address .. "\\n" .. id) end
end
local function live(id, now)
  local expires = redis.call("ZSCORE", expiry, id)
  return expires and tonumber(expires) > tonumber(now)
end
`;

const CREATE = script(`${KEEP}${REMOVE}
local id, address, expiresAt, value, now, ttl = unpack(ARGV)
for _, old in ipairs(redis.call("ZRANGEBYSCORE", expiry, "-inf", now, "LIMIT", 0, 10)) do remove(old) end
remove(id)
redis.call("HSET", records, id, value)
redis.call("ZADD", expiry, expiresAt, id)
redis.call("ZADD", addresses, 0, address .. "\\n" .. id)
for _, key in ipairs(KEYS) do keep(key, ttl) end
`);

const TOUCH = script(`${REMOVE}
local id, seenAt, now, value = unpack(ARGV)
local kept = redis.call("HGET", records, id)
local before = kept and tonumber(string.match(kept, "^[^\\n]*"))
if before and before <= tonumber(seenAt) and live(id, now) then redis.call("HSET", records, id, value) end
`);

const END = script(`${REMOVE}
local id, now, channel = unpack(ARGV)
local was = live(id, now)
remove(id)
if not was then return 0 end
redis.call("PUBLISH", channel, id)
return 1
`);

const DROP = script(`${REMOVE}
local id, value = unpack(ARGV)
if redis.call("HGET", records, id) ~= value then return 0 end
remove(id)
return 1
`);

const END_ALL = script(`${REMOVE}
local address, now, channel = unpack(ARGV)
local ended = {}
-- A vertical tab is what comes after a line feed.
for _, member in ipairs(redis.call("ZRANGEBYLEX", addresses, "[" .. address .. "\\n", "(" .. address .. "\\v")) do
  local id = string.sub(member, #address + 2)
  if live(id, now) then
    ended[#ended + 1] = id
    redis.call("PUBLISH", channel, id)
  end
  remove(id)
  redis.call("ZREM", addresses, member)
end
return ended
`);

const PAGE = script(`
local records, expiry = KEYS[1], KEYS[2]
local found = redis.call("ZRANGEBYSCORE", expiry, ARGV[1], "+inf", "WITHSCORES", "LIMIT", ARGV[2], ARGV[3])
local ids, ends = {}, {}
for i = 1, #found, 2 do
  ids[#ids + 1], ends[#ends + 1] = found[i], found[i + 1]
end
if #ids == 0 then return {{}, {}, {}} end
return {ids, ends, redis.call("HMGET", records, unpack(ids))}
`);

/** So many at a time: a list of everything at once would keep the server from everybody else. */
const PAGE_SIZE = 1_000;
/** Enough for an end to be told once, however it is learned of first. */
const TOLD = 10_000;

export function createValkeySessions(link: Link, clock: Clock, log: Logger): SessionStore {
  const listeners: Array<(id: string) => void> = [];
  /** Ids do not come again, so that whoever was told of one need not hear of it from the server too. */
  const told = createRecencyMap<true>();

  function tell(id: string): void {
    if (told.get(id)) return;
    told.set(id, true);
    const oldest = told.oldest();
    if (told.size > TOLD && oldest !== undefined) told.delete(oldest.key);
    for (const listener of listeners) listener(id);
  }

  link.onMessage(tell);

  /** Never rejects: whether or not it can be removed, it is no session. Whoever removes it says so, once. */
  async function drop(id: string, value: string): Promise<void> {
    const was = await runScript(link, DROP, SESSIONS, [id, value]).catch(() => 0);
    if (was === 1) log.error("removed a session record that cannot be read", { session: id.slice(0, 8) });
  }

  return {
    async create(record) {
      const now = clock.now();
      const ttl = Math.ceil(Math.max(0, record.expiresAt - now)) + MARGIN_MS;
      const args = [record.id, record.email, record.expiresAt, write(record), now, ttl];
      await runScript(link, CREATE, SESSIONS, args);
      told.delete(record.id);
    },

    async find(id) {
      const value = (await link.run("HGET", [SESSIONS[0], id])) as string | null;
      if (value === null) return undefined;
      const record = read(id, value);
      if (record === undefined) await drop(id, value);
      return record !== undefined && record.expiresAt > clock.now() ? record : undefined;
    },

    async touch(record) {
      await runScript(link, TOUCH, SESSIONS, [record.id, record.seenAt, clock.now(), write(record)]);
    },

    async end(id) {
      const was = (await runScript(link, END, SESSIONS, [id, clock.now(), link.channel])) === 1;
      if (was) tell(id);
      return was;
    },

    async endAll(email) {
      const ids = (await runScript(link, END_ALL, SESSIONS, [email, clock.now(), link.channel])) as string[];
      for (const id of ids) tell(id);
      return ids;
    },

    async list() {
      const records = new Map<string, SessionRecord>();
      // In the order of their ends, from the first that is after now. Where many end at once, past those that were seen.
      let from = `(${clock.now()}`;
      let skip = 0;
      for (;;) {
        const [ids, ends, values] = (await runScript(link, PAGE, SESSIONS, [from, skip, PAGE_SIZE])) as Page;
        for (const [i, id] of ids.entries()) {
          const record = read(id, values[i] ?? "");
          if (record !== undefined) records.set(id, record);
        }
        const end = ends.at(-1);
        if (end === undefined || ids.length < PAGE_SIZE) break;
        const alike = ends.length - ends.indexOf(end);
        skip = from === end ? skip + alike : alike;
        from = end;
      }
      return [...records.values()].sort((a, b) => a.createdAt - b.createdAt);
    },

    async note(first) {
      // The one command that leaves it, if need be, and gives what was there.
      const args = first === undefined ? [] : [first, "NX", "GET"];
      const before = await link.run(first === undefined ? "GET" : "SET", [SESSIONS_NOTE, ...args]);
      return (before as string | null) ?? first;
    },

    onEnded: (listener) => {
      listeners.push(listener);
    },
  };
}

type Page = [ids: string[], ends: string[], values: (string | null)[]];

function write({ id: _, email, seenAt, ...rest }: SessionRecord): string {
  return `${seenAt}\n${email}\n${JSON.stringify(rest)}`;
}

/** Undefined for anything but what `write` makes, in this version or the one before, which had no seals. */
function read(id: string, value: string): SessionRecord | undefined {
  const [seenAt = "", email = "", ...json] = value.split("\n");
  try {
    const rest = JSON.parse(json.join("\n")) as Partial<
      Omit<SessionRecord, "id" | "email" | "seenAt">
    > | null;
    const { createdAt, expiresAt, ip, userAgent, seal = "" } = rest ?? {};
    const times = [seenAt === "" ? Number.NaN : Number(seenAt), createdAt, expiresAt];
    const texts = [ip, userAgent, seal];
    if (!times.every(Number.isSafeInteger) || !texts.every((text) => typeof text === "string"))
      return undefined;
    return { id, email, seenAt: Number(seenAt), createdAt, expiresAt, ip, userAgent, seal } as SessionRecord;
  } catch {
    return undefined;
  }
}

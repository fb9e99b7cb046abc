import type { Clock } from "../../clock.ts";
import type { SessionRecord, SessionStore } from "../contracts.ts";
import { createRecencyMap } from "../memory/recency-map.ts";
import { SESSIONS } from "./keys.ts";
import type { Link } from "./link.ts";
import { KEEP, MARGIN_MS, runScript, script } from "./script.ts";

/**
 * Three keys. A hash: id → `seenAt LF address LF the rest as JSON`, whose first two parts scripts read and write. A sorted
 * set: ids by `expiresAt`, which decides whether a session is live and which go when others come. And a sorted set that
 * is an index: `address LF id` in alphabetical order. An LF is neither in an address nor, raw, in JSON.
 *
 * Each new session takes up to ten expired ones with it. When nobody comes any more, the keys themselves run out.
 */
const REMOVE = `
local records, expiry, addresses = KEYS[1], KEYS[2], KEYS[3]
local function remove(id)
  local value = redis.call("HGET", records, id)
  if not value then return end
  redis.call("HDEL", records, id)
  redis.call("ZREM", expiry, id)
  redis.call("ZREM", addresses, string.match(value, "\\n([^\\n]*)\\n") .. "\\n" .. id)
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
local id, seenAt, now = unpack(ARGV)
local value = redis.call("HGET", records, id)
if not value or not live(id, now) then return end
local before, rest = string.match(value, "^([^\\n]*)(.*)$")
if tonumber(before) < tonumber(seenAt) then redis.call("HSET", records, id, seenAt .. rest) end
`);

const END = script(`${REMOVE}
local id, now, channel = unpack(ARGV)
local was = live(id, now)
remove(id)
if not was then return 0 end
redis.call("PUBLISH", channel, id)
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
end
return ended
`);

const PAGE = script(`
local records, expiry = KEYS[1], KEYS[2]
local ids = redis.call("ZRANGEBYSCORE", expiry, ARGV[1], "+inf", "LIMIT", ARGV[2], ARGV[3])
if #ids == 0 then return {{}, {}} end
return {ids, redis.call("HMGET", records, unpack(ids))}
`);

/** So many at a time: a list of everything at once would keep the server from everybody else. */
const PAGE_SIZE = 1_000;
/** Enough for an end to be told once, however it is learned of first. */
const TOLD = 10_000;

export function createValkeySessions(link: Link, clock: Clock): SessionStore {
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
      return record.expiresAt > clock.now() ? record : undefined;
    },

    async touch(id, seenAt) {
      await runScript(link, TOUCH, SESSIONS, [id, seenAt, clock.now()]);
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
        const [ids, values] = (await runScript(link, PAGE, SESSIONS, [from, skip, PAGE_SIZE])) as Page;
        const page = ids.flatMap((id, i) => {
          const value = values[i];
          return typeof value === "string" ? [read(id, value)] : [];
        });
        for (const record of page) records.set(record.id, record);
        const last = page.at(-1);
        if (last === undefined || ids.length < PAGE_SIZE) break;
        const end = String(last.expiresAt);
        const alike = page.filter(({ expiresAt }) => expiresAt === last.expiresAt).length;
        skip = from === end ? skip + alike : alike;
        from = end;
      }
      return [...records.values()].sort((a, b) => a.createdAt - b.createdAt);
    },

    onEnded: (listener) => {
      listeners.push(listener);
    },
  };
}

type Page = [ids: string[], values: (string | null)[]];

function write({ id: _, email, seenAt, ...rest }: SessionRecord): string {
  return `${seenAt}\n${email}\n${JSON.stringify(rest)}`;
}

function read(id: string, value: string): SessionRecord {
  const first = value.indexOf("\n");
  const second = value.indexOf("\n", first + 1);
  const rest = JSON.parse(value.slice(second + 1)) as Omit<SessionRecord, "id" | "email" | "seenAt">;
  return { id, email: value.slice(first + 1, second), seenAt: Number(value.slice(0, first)), ...rest };
}

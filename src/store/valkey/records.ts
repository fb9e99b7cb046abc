import type { Clock } from "../../clock.ts";
import type { Logger } from "../../observe/logger.ts";
import {
  checkRecord,
  conditionOf,
  createListeners,
  jsonOf,
  type Kind,
  type Records,
  type Seen,
  StoreFull,
} from "../records.ts";
import { recordKeys } from "./keys.ts";
import { KEEP, MARGIN_MS, type Run, runScript, script } from "./script.ts";

/**
 * Records of one kind. A hash: id → `version LF expiry LF the record as JSON`. Sorted sets: ids by expiry, which decides whether
 * a record is alive; ids by the order field; and for each field of `by` its `value LF id` in alphabetical order (an LF is in
 * no value, see `checkRecord`). All of them are `KEYS`.
 *
 * Each addition takes up to ten expired ones with it. When nobody comes any more, the keys themselves run out. What somebody
 * else has written in between, or cut off, costs the record it belongs to and no other.
 */
const COMMON = `
local records, expiry, order = KEYS[1], KEYS[2], KEYS[3]
local fields = cjson.decode(ARGV[1])
local now = tonumber(ARGV[2])
local function parts(value)
  local version, expires, body = string.match(value, "^(%d+)\\n(%d+)\\n(.*)$")
  return tonumber(version), tonumber(expires), body
end
local function index(id, body, change)
  local ok, record = pcall(cjson.decode, body or "")
  if not ok or type(record) ~= "table" then return end
  for i, field in ipairs(fields.by) do
    if type(record[field]) == "string" then
      local member = record[field] .. "\\n" .. id
      if change == "add" then redis.call("ZADD", KEYS[3 + i], 0, member) else redis.call("ZREM", KEYS[3 + i], member) end
    end
  end
  if fields.order and change == "add" then redis.call("ZADD", order, string.format("%.17g", record[fields.order]), id) end
end
local function remove(id, value)
  redis.call("HDEL", records, id)
  redis.call("ZREM", expiry, id)
  redis.call("ZREM", order, id)
  local _, _, body = parts(value)
  index(id, body, "remove")
end
local function tell(id)
  redis.call("PUBLISH", fields.channel, fields.name .. "\\n" .. id .. "\\n" .. fields.link)
end
local function live(id)
  local value = redis.call("HGET", records, id)
  if not value then return end
  local version, expires, body = parts(value)
  if version and expires > now then return value, version, expires, body end
end
`;

const ADD = script(`${KEEP}${COMMON}
local id, body, expires, ttl, capacity = ARGV[3], ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])
-- What cannot be read cannot be indexed either: nobody could take it away. It fails here, before anything is written.
cjson.decode(body)
local before = redis.call("HGET", records, id)
local _, ends = parts(before or "")
if before and ends and ends > now then return 0 end
for _, old in ipairs(redis.call("ZRANGEBYSCORE", expiry, "-inf", now, "LIMIT", 0, 10)) do
  remove(old, redis.call("HGET", records, old) or "")
end
if before then remove(id, before) end
if capacity >= 0 and redis.call("HLEN", records) >= capacity then return -1 end
redis.call("HSET", records, id, ARGV[2] .. "\\n" .. expires .. "\\n" .. body)
redis.call("ZADD", expiry, expires, id)
index(id, body, "add")
for _, key in ipairs(KEYS) do keep(key, ttl) end
return 1
`);

const REPLACE = script(`${COMMON}
local id, body, seen = ARGV[3], ARGV[4], tonumber(ARGV[5])
cjson.decode(body)
local _, version, expires, old = live(id)
if version ~= seen then return 0 end
index(id, old, "remove")
redis.call("HSET", records, id, string.format("%d", version + 1) .. "\\n" .. string.format("%d", expires) .. "\\n" .. body)
index(id, body, "add")
return 1
`);

const TAKE = script(`${COMMON}
local id = ARGV[3]
local there = redis.call("HGET", records, id)
-- What writes nothing may still be refused by a server that is full.
if not there and not redis.call("ZSCORE", expiry, id) then return false end
local value = live(id)
remove(id, there or "")
if not value then return false end
tell(id)
return value
`);

const TAKE_ALL = script(`${COMMON}
local which, value = tonumber(ARGV[3]), ARGV[4]
local ids, values = {}, {}
-- A vertical tab is what comes after a line feed.
for _, member in ipairs(redis.call("ZRANGEBYLEX", KEYS[3 + which], "[" .. value .. "\\n", "(" .. value .. "\\v")) do
  local id = string.sub(member, #value + 2)
  local alive = live(id)
  if alive then
    ids[#ids + 1], values[#values + 1] = id, alive
    tell(id)
  end
  remove(id, redis.call("HGET", records, id) or "")
  redis.call("ZREM", KEYS[3 + which], member)
end
return {ids, values}
`);

/** Removes what cannot be read, unless it has changed since. */
const DROP = script(`${COMMON}
local id, value = ARGV[3], ARGV[4]
if redis.call("HGET", records, id) ~= value then return 0 end
remove(id, value)
return 1
`);

/** As many as are asked for of those that live and can be read, in the order of one of the sorted sets. */
const FIND = script(`${COMMON}
local key, command, from, till, most = KEYS[tonumber(ARGV[3])], ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])
local ids, values, looked = {}, {}, 0
repeat
  local members = redis.call(command, key, from, till, "LIMIT", looked, 1000)
  for _, member in ipairs(members) do
    local id = string.match(member, "[^\\n]*$")
    local value, _, _, body = live(id)
    if value and #ids < most and pcall(cjson.decode, body) then
      ids[#ids + 1], values[#values + 1] = id, value
    end
  end
  looked = looked + #members
until #members == 0 or #ids == most
return {ids, values}
`);

/** So many at a time: a list of everything at once would keep the server from everybody else. */
const PAGE_SIZE = 1000;

export function createValkeyRecords<T extends object>(
  kind: Kind<T>,
  settings: {
    readonly link: {
      readonly run: Run;
      readonly channel: string;
      readonly name: string;
      onMessage(listener: (message: string) => void): void;
    };
    readonly clock: Clock;
    readonly log: Logger;
  },
): Records<T> {
  const { link, clock, log } = settings;
  const { name, by = [], order, capacity = -1 } = kind;
  const keys = recordKeys(name, by);
  const fields = JSON.stringify({ name, by, order, channel: link.channel, link: link.name });
  const taken = createListeners();

  link.onMessage((message) => {
    const [kind, id = "", by] = message.split("\n");
    // What was taken by way of this link was told with the answer.
    if (kind === name && by !== link.name) taken.tell(id);
  });

  const run = (what: typeof ADD, ...args: (string | number)[]) =>
    runScript(link.run, what, keys, [fields, Math.ceil(clock.now()), ...args]);

  /** Never rejects: whether or not it can be removed, it is no record. Whoever removes it says so, once. */
  async function drop(id: string, value: string): Promise<undefined> {
    if ((await run(DROP, id, value).catch(() => 0)) !== 1) return;
    log.error("removed a record that cannot be read", { kind: name, id: id.slice(0, 8) });
  }

  /** Undefined for one that has expired. */
  function seenOf(id: string, value: string | null | undefined): Seen<T> | "broken" | undefined {
    if (value === null || value === undefined) return undefined;
    const [, version = "", expires = "", body = ""] = /^(\d+)\n(\d+)\n(.*)$/s.exec(value) ?? [];
    try {
      const record = JSON.parse(body) as T;
      if (typeof record !== "object" || record === null || Array.isArray(record)) return "broken";
      const expiresAt = Number(expires);
      return expiresAt > clock.now() ? { id, version: Number(version), expiresAt, record } : undefined;
    } catch {
      return "broken";
    }
  }

  function seenOfAll(ids: readonly string[], values: readonly (string | null)[]): Seen<T>[] {
    const all = ids.map((id, i) => seenOf(id, values[i]));
    return all.filter((seen) => seen !== undefined && seen !== "broken");
  }

  const numberOf = (seen: Seen<T>) => (order === undefined ? seen.expiresAt : (seen.record[order] as number));
  /** By expiry, or by the order field. */
  const ordering = order === undefined ? 2 : 3;

  async function findIn(set: number, command: string, bounds: [string, string], most: number) {
    const [ids, values] = (await run(FIND, set, command, ...bounds, most)) as [string[], string[]];
    return seenOfAll(ids, values);
  }

  /** Whatever is there from beginning to end is among them, while others come and go. */
  async function findAll(): Promise<Seen<T>[]> {
    const found = new Map<string, Seen<T>>();
    let cursor = "0";
    do {
      const page = await link.run("HSCAN", [keys[0], cursor, "COUNT", `${PAGE_SIZE}`]);
      const [next, flat] = page as [string, string[]];
      cursor = next;
      for (let i = 0; i < flat.length; i += 2) {
        const seen = seenOf(flat[i] ?? "", flat[i + 1]);
        if (seen !== undefined && seen !== "broken") found.set(seen.id, seen);
      }
    } while (cursor !== "0");
    return [...found.values()];
  }

  return {
    async add(id, record, expiresAt) {
      const now = clock.now();
      if (expiresAt <= now) return false;
      checkRecord(kind, id, record);
      const expires = Math.ceil(expiresAt);
      const ttl = expires - Math.floor(now) + MARGIN_MS;
      const added = Number(await run(ADD, id, jsonOf(record), expires, ttl, capacity));
      if (added === -1)
        throw new StoreFull(`The Valkey server holds ${capacity} of ${name} and takes no more.`);
      return added === 1;
    },

    async get(id) {
      const value = (await link.run("HGET", [keys[0], id])) as string | null;
      const seen = seenOf(id, value);
      return seen === "broken" ? drop(id, value ?? "") : seen;
    },

    async replace(seen, record) {
      checkRecord(kind, seen.id, record);
      return Number(await run(REPLACE, seen.id, jsonOf(record), seen.version)) === 1;
    },

    async take(id) {
      const value = (await run(TAKE, id)) as string | null;
      if (value !== null) taken.tell(id);
      return seenOfAll([id], [value])[0]?.record;
    },

    async takeAll(field, value) {
      conditionOf(kind, { [field]: value } as Record<keyof T & string, string>);
      if (isNowhere(value)) return [];
      const all = await run(TAKE_ALL, 1 + by.indexOf(field), value);
      const [ids, values] = all as [string[], string[]];
      for (const id of ids) taken.tell(id);
      return seenOfAll(ids, values);
    },

    async find({ where, from = -Infinity, until = Infinity, newestFirst, most }) {
      const [field, value] = conditionOf(kind, where) ?? [];
      if (isNowhere(value)) return [];
      let found: Seen<T>[];
      if (field !== undefined) {
        const set = 4 + by.indexOf(field as keyof T & string);
        found = await findIn(set, "ZRANGEBYLEX", [`[${value}\n`, `(${value}\v`], Number.MAX_SAFE_INTEGER);
      } else if (order === undefined && most > PAGE_SIZE) found = await findAll();
      else if (newestFirst)
        found = await findIn(ordering, "ZREVRANGEBYSCORE", [scoreOf(until), scoreOf(from)], most);
      else found = await findIn(ordering, "ZRANGEBYSCORE", [scoreOf(from), scoreOf(until)], most);
      // Those of one value are in no order yet, as are all there are.
      found = found.filter((seen) => numberOf(seen) >= from && numberOf(seen) <= until);
      found.sort((a, b) => numberOf(a) - numberOf(b) || (a.id < b.id ? -1 : 1));
      return (newestFirst ? found.reverse() : found).slice(0, most);
    },

    count: async () => Number(await link.run("ZCOUNT", [keys[1], `(${clock.now()}`, "+inf"])),

    onTaken: taken.add,
  };
}

/** The index keeps value and id in one text, with an LF between: what asks for one would reach into the ids of another value. */
const isNowhere = (value: string | undefined) => value?.includes("\n") === true;

const scoreOf = (number: number) => (Number.isFinite(number) ? String(number) : number < 0 ? "-inf" : "+inf");

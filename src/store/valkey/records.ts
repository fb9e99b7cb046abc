import type { Clock } from "../../clock.ts";
import {
  checkRecord,
  conditionOf,
  createListeners,
  jsonOf,
  type Kind,
  type Query,
  type Records,
  type Seen,
  StoreFull,
} from "../records.ts";
import { recordKeys } from "./keys.ts";
import type { Link } from "./link.ts";
import { KEEP, MARGIN_MS, runScript, script } from "./script.ts";
import { createToldOnce } from "./told-once.ts";

/**
 * Records of one kind. A hash: id → `version LF expiry LF the record as JSON`. Sorted sets: ids by expiry, which decides whether
 * a record is alive; ids by the order field; and for each field of `by` its `value LF id` in alphabetical order (an LF is in
 * no value, see `checkRecord`). Up to what expiry records of a kind that comes `once` were forgotten. All of them are `KEYS`.
 *
 * Each addition takes up to ten expired ones with it. When nobody comes any more, the keys themselves run out. Whatever
 * cannot be read, because somebody else has written it, counts as gone, alone.
 */
const COMMON = `
local records, expiry, order, swept = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
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
      if change == "add" then redis.call("ZADD", KEYS[4 + i], 0, member) else redis.call("ZREM", KEYS[4 + i], member) end
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
if before and (fields.once or (ends and ends > now)) then return 0 end
for _, old in ipairs(redis.call("ZRANGEBYSCORE", expiry, "-inf", now, "LIMIT", 0, 10)) do
  local value = redis.call("HGET", records, old)
  if fields.once and value then
    local _, ended = parts(value)
    if (ended or 0) > tonumber(redis.call("GET", swept) or 0) then redis.call("SET", swept, string.format("%d", ended)) end
  end
  remove(old, value or "")
end
if before then remove(id, before) end
if fields.once and tonumber(expires) <= tonumber(redis.call("GET", swept) or 0) then return 0 end
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
local id, channel = ARGV[3], ARGV[4]
local there = redis.call("HGET", records, id)
if not there then return false end
local value = live(id)
remove(id, there)
if not value then return false end
redis.call("PUBLISH", channel, fields.name .. "\\n" .. id)
return value
`);

const TAKE_ALL = script(`${COMMON}
local which, value, channel = tonumber(ARGV[3]), ARGV[4], ARGV[5]
local ids, values = {}, {}
-- A vertical tab is what comes after a line feed.
for _, member in ipairs(redis.call("ZRANGEBYLEX", KEYS[4 + which], "[" .. value .. "\\n", "(" .. value .. "\\v")) do
  local id = string.sub(member, #value + 2)
  local alive = live(id)
  if alive then
    ids[#ids + 1], values[#values + 1] = id, alive
    redis.call("PUBLISH", channel, fields.name .. "\\n" .. id)
  end
  remove(id, redis.call("HGET", records, id) or "")
  redis.call("ZREM", KEYS[4 + which], member)
end
return {ids, values}
`);

/** A page of ids with their values and scores, from one of the sorted sets. */
const PAGE = script(`${COMMON}
local key, kind, from, till, skip, most = KEYS[tonumber(ARGV[3])], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local ids, cut = {}, 0
if kind == "lex" then
  ids, cut = redis.call("ZRANGEBYLEX", key, from, till, "LIMIT", skip, most), #from - 1
elseif kind == "newest" then
  ids = redis.call("ZREVRANGEBYSCORE", key, till, from, "LIMIT", skip, most)
else
  ids = redis.call("ZRANGEBYSCORE", key, from, till, "LIMIT", skip, most)
end
if #ids == 0 then return {{}, {}} end
for i, id in ipairs(ids) do ids[i] = string.sub(id, cut + 1) end
return {ids, redis.call("HMGET", records, unpack(ids))}
`);

/** So many at a time: a list of everything at once would keep the server from everybody else. */
const PAGE_SIZE = 1_000;

export function createValkeyRecords<T extends object>(kind: Kind<T>, link: Link, clock: Clock): Records<T> {
  const { name, by = [], order, capacity = -1, once = false } = kind;
  const keys = recordKeys(name, by);
  const fields = JSON.stringify({ name, by, order, once });
  const taken = createToldOnce(createListeners());

  link.onMessage((message) => {
    if (message.startsWith(`${name}\n`)) taken.tell(message.slice(name.length + 1));
  });

  const run = (what: typeof ADD, ...args: (string | number)[]) =>
    runScript(link, what, keys, [fields, Math.ceil(clock.now()), ...args]);

  function seenOf(id: string, value: string | null | undefined): Seen<T> | undefined {
    const [, version = "", expiresAt = "", body = ""] = /^(\d+)\n(\d+)\n(.*)$/s.exec(value ?? "") ?? [];
    if (!(Number(expiresAt) > clock.now())) return undefined;
    try {
      const record = JSON.parse(body) as T;
      // Written by somebody else, it may be anything.
      return typeof record === "object"
        ? { id, version: Number(version), expiresAt: Number(expiresAt), record }
        : undefined;
    } catch {
      return undefined;
    }
  }

  function seenOfAll([ids, values]: Page): Seen<T>[] {
    return ids.map((id, i) => seenOf(id, values[i])).filter((seen) => seen !== undefined);
  }

  const numberOf = (seen: Seen<T>) => (order === undefined ? 0 : (seen.record[order] as number));

  /** Which sorted set to look through, and between which bounds. */
  function rangeOf({ where, from, until, newestFirst }: Query<T>): (string | number)[] {
    const condition = conditionOf(kind, where);
    if (condition !== undefined) {
      const [field, value] = condition;
      return [5 + by.indexOf(field as keyof T & string), "lex", `[${value}\n`, `(${value}\v`];
    }
    if (order === undefined) return [2, "oldest", `(${clock.now()}`, "+inf"];
    return [3, newestFirst ? "newest" : "oldest", from ?? "-inf", until ?? "+inf"];
  }

  return {
    async add(id, record, expiresAt) {
      const now = clock.now();
      if (expiresAt <= now) return false;
      checkRecord(kind, record);
      const expires = Math.ceil(expiresAt);
      const ttl = expires - Math.floor(now) + MARGIN_MS;
      const added = Number(await run(ADD, id, jsonOf(record), expires, ttl, capacity));
      if (added === -1)
        throw new StoreFull(`The Valkey server holds ${capacity} of ${name} and takes no more.`);
      if (added === 1) taken.forget(id);
      return added === 1;
    },

    get: async (id) => seenOf(id, (await link.run("HGET", [keys[0], id])) as string | null),

    async replace(seen, record) {
      checkRecord(kind, record);
      return Number(await run(REPLACE, seen.id, jsonOf(record), seen.version)) === 1;
    },

    async take(id) {
      const value = (await run(TAKE, id, link.channel)) as string | null;
      if (value !== null) taken.tell(id);
      return seenOf(id, value)?.record;
    },

    async takeAll(field, value) {
      conditionOf(kind, { [field]: value } as Record<keyof T & string, string>);
      if (isNowhere(value)) return [];
      const page = (await run(TAKE_ALL, 1 + by.indexOf(field), value, link.channel)) as Page;
      for (const id of page[0]) taken.tell(id);
      return seenOfAll(page);
    },

    async find(query) {
      if (isNowhere(conditionOf(kind, query.where)?.[1])) return [];
      const { where, from = -Infinity, until = Infinity, newestFirst, most } = query;
      const found = new Map<string, Seen<T>>();
      const [key = 0, how = "", ...bounds] = rangeOf(query);
      // Few are asked for: no more are looked at. Those of one value are put in order here, so all of them are.
      const size = where === undefined ? Math.min(most, PAGE_SIZE) : PAGE_SIZE;
      for (let skip = 0; where !== undefined || found.size < most; skip += size) {
        const page = (await run(PAGE, key, how, ...bounds, skip, size)) as Page;
        for (const seen of seenOfAll(page)) found.set(seen.id, seen);
        if (page[0].length < size) break;
      }
      const all = [...found.values()];
      if (where === undefined) return all.slice(0, most);
      const matching = all.filter((seen) => numberOf(seen) >= from && numberOf(seen) <= until);
      if (order !== undefined) matching.sort((a, b) => numberOf(a) - numberOf(b) || (a.id < b.id ? -1 : 1));
      return (newestFirst ? matching.reverse() : matching).slice(0, most);
    },

    onTaken: taken.add,
  };
}

/** The index keeps value and id in one text, with an LF between: what asks for one would reach into the ids of another value. */
function isNowhere(value: string | undefined): boolean {
  return value?.includes("\n") === true;
}

type Page = [ids: string[], values: (string | null)[]];

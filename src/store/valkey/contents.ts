import type { Clock } from "../../clock.ts";
import type { Finding } from "../../option/finding.ts";
import { HOUR, MINUTE } from "../../option/values.ts";
import { type Contents, type Counted, PAGE, type Plain, type Row, type Shape } from "../contents.ts";
import { COPYING, limitKey, markKey, PROBE, recordKeys, SINCE, TAG, takenChannel } from "./keys.ts";
import { MARGIN_MS as LIMIT_MARGIN_MS } from "./limits.ts";
import { openPair } from "./pair.ts";
import { DONE } from "./predecessor.ts";
import { MARGIN_MS, type Run } from "./script.ts";

/** Keys that hold nothing to be moved: what is kept for its own sake, and what an older version left behind for an hour. */
const APART = new Set([PROBE, SINCE, COPYING, DONE].map((key) => key.slice(TAG.length + 1)));
const LEFT_BEHIND = new Set(["sessions", "outbox"]);
/** A page may hold megabytes, on a way that is slow. */
const PATIENCE_MS = MINUTE;
/** In number, few enough that everybody else is served in between. */
const UNLINKED = 500;

/**
 * What is on a Valkey server. While it is filled, {@link COPYING} keeps gateways from starting on it, and what was not finished
 * leaves that behind.
 */
export async function openValkeyContents(
  url: string,
  { clock }: { readonly clock: Clock },
): Promise<Contents> {
  const closing = new AbortController();
  const channel = takenChannel(new URL(url).pathname.slice(1));
  const warnings: string[] = [];
  const log = {
    enabled: () => false,
    trace() {},
    debug() {},
    info() {},
    warn: (text: string) => void warnings.push(text),
    error() {},
  };
  const pair = await openPair({
    ...{ url, channel, log, signal: closing.signal, patience: PATIENCE_MS },
    onMessage() {},
    onLost() {},
  });
  const run: Run = pair.run;
  const text = async (key: string) => (await run("GET", [key])) as string | null;

  /** All keys of ours, each once, by what follows the tag. */
  async function* keys(prefix = ""): AsyncGenerator<string[]> {
    const seen = new Set<string>();
    let cursor = "0";
    do {
      const answer = await run("SCAN", [
        cursor,
        "MATCH",
        `${TAG}:${escapedPattern(prefix)}*`,
        "COUNT",
        `${PAGE}`,
      ]);
      const [next, page] = answer as [string, string[]];
      cursor = next;
      const fresh = page.map((key) => key.slice(TAG.length + 1)).filter((key) => !seen.has(key));
      for (const key of fresh) seen.add(key);
      if (fresh.length > 0) yield fresh;
    } while (cursor !== "0");
  }

  /** What is added to a time by this machine's clock to have the server's. */
  async function ahead(): Promise<number> {
    const before = clock.now();
    const [seconds, micros] = (await run("TIME", [])) as [string, string];
    return Number(seconds) * 1000 + Number(micros) / 1000 - (before + clock.now()) / 2;
  }

  async function* marks({ name }: Shape, from: number): AsyncGenerator<Row[]> {
    const prefix = `${name}:`;
    for await (const page of keys(prefix)) {
      const ids = page.map((key) => key.slice(prefix.length));
      const values = await Promise.all(ids.map((id) => text(markKey(name, id))));
      const rows = ids.map(async (id, i): Promise<Row | undefined> => {
        const value = values[i];
        if (value === null || value === undefined) return undefined;
        const [, expires, body = "{}"] = /^(\d+)\n(.*)$/s.exec(value) ?? [];
        if (expires !== undefined) return { id, version: 0, expires: Number(expires), body };
        // The version before this one wrote no value.
        const left = Number(await run("PTTL", [markKey(name, id)]));
        return { id, version: 0, expires: clock.now() + left - MARGIN_MS, body };
      });
      const found = (await Promise.all(rows)).filter((row) => row !== undefined);
      yield found.filter(({ expires }) => expires > from);
    }
  }

  async function* records(kind: Shape, from: number): AsyncGenerator<Row[]> {
    const [hash, expiry] = recordKeys(kind.name, []);
    for (let at = 0; ; at += PAGE) {
      const ids = (await run("ZRANGE", [expiry, `${at}`, `${at + PAGE - 1}`])) as string[];
      if (ids.length === 0) return;
      const values = (await run("HMGET", [hash, ...ids])) as (string | null)[];
      const rows = ids.flatMap((id, i): Row[] => {
        const [, version, expires, body] = /^(\d+)\n(\d+)\n(.*)$/s.exec(values[i] ?? "") ?? [];
        if (body === undefined) return [];
        return [{ id, version: Number(version), expires: Number(expires), body }];
      });
      yield rows.filter(({ expires }) => expires > from);
    }
  }

  return {
    async kinds() {
      const kinds = new Set<string>();
      const taken = (await run("EXISTS", [DONE])) === 1;
      for await (const page of keys()) {
        for (const key of page) {
          const [first = "", second = ""] = key.split(":");
          if (APART.has(key) || first === "limit" || (taken && LEFT_BEHIND.has(first))) continue;
          kinds.add(first === "r" ? second : first);
        }
      }
      return [...kinds].sort();
    },

    rows: (kind, from) => (kind.once ? marks(kind, from) : records(kind, from)),

    forgottenUntil: async () => 0,

    async *counted() {
      const shift = await ahead();
      const prefix = limitKey("").slice(TAG.length + 1);
      for await (const page of keys(prefix)) {
        const names = page.map((key) => key.slice(prefix.length));
        const counted = names.map(async (key): Promise<Counted> => {
          const [hits, left] = await Promise.all([
            run("LRANGE", [limitKey(key), "0", "-1"]),
            run("PTTL", [limitKey(key)]),
          ]);
          const until = clock.now() + Number(left) - LIMIT_MARGIN_MS;
          return { key, until, hits: (hits as string[]).map((hit) => Number(hit) - shift) };
        });
        yield (await Promise.all(counted)).filter(({ hits }) => hits.length > 0);
      }
    },

    async since() {
      const value = await text(SINCE);
      // What was half filled remembers nothing, whatever is left of it.
      return value === null || (await text(COPYING)) !== null ? undefined : Number(value);
    },

    async inUse() {
      const [, listening] = (await run("PUBSUB", ["NUMSUB", channel])) as [string, number];
      // One of them is this connection.
      const others = Number(listening) - 1;
      return others > 0
        ? "A gateway listens to it, or another copy, or FROM and TO are the same store"
        : undefined;
    },

    async refill(work) {
      await run("SET", [COPYING, ""]);
      for await (const page of keys()) {
        const gone = page.filter((key) => `${TAG}:${key}` !== COPYING).map((key) => `${TAG}:${key}`);
        for (let i = 0; i < gone.length; i += UNLINKED) await run("UNLINK", gone.slice(i, i + UNLINKED));
      }
      await run("SET", [DONE, ""]);
      await work(refillOf(run, clock, Math.round(await ahead())));
      await run("DEL", [COPYING]);
    },

    async look() {
      await run("SET", [PROBE, "", "PX", "60000"]);
      const about = String(await run("INFO", []).catch(() => ""));
      const said = (name: string) => new RegExp(`^${name}:(\\S+)`, "m").exec(about)?.[1];
      const findings: Finding[] = [];
      const find = (problem: string, remedy: string) => findings.push({ option: "Valkey", problem, remedy });
      if (said("maxmemory") !== "0" && ![undefined, "noeviction"].includes(said("maxmemory_policy")))
        find("may forget spent links before their time", "Set maxmemory-policy to noeviction.");
      if (said("aof_enabled") === "0")
        find("forgets spent links and sessions when it restarts", "Set appendonly to yes.");
      if (said("aof_enabled") === undefined)
        find("does not let this user ask what it keeps", "Allow it INFO, or see to appendonly yourself.");
      if ((await text(COPYING)) !== null)
        find("is half filled by a copy that did not finish", "Copy again, with --replace.");
      const kept = said("aof_enabled");
      const name = said("server_name") ?? "redis";
      return {
        server: `${name === "valkey" ? "Valkey" : "Redis"} ${said("valkey_version") ?? said("redis_version") ?? "of a version that is not told"}`,
        ...{ layout: 1, ahead: Math.round(await ahead()), findings },
        ...(kept === undefined ? {} : { survivesRestart: kept === "1" }),
      };
    },

    async close() {
      closing.abort("The store has been closed.");
    },
  };
}

function refillOf(run: Run, clock: Clock, ahead: number) {
  return {
    // Keys come with what is in them.
    async open() {},

    async put(kind: Shape, rows: readonly Row[]) {
      const { name, by = [], order, once } = kind;
      const now = clock.now();
      if (once) {
        const set = ({ id, expires, body }: Row) =>
          run("SET", [markKey(name, id), `${expires}\n${body}`, "PX", `${expires - now + MARGIN_MS}`]);
        await Promise.all(rows.filter(({ expires }) => expires - now + MARGIN_MS > 0).map(set));
        return;
      }
      const [hash, expiry, ordered, ...fields] = recordKeys(name, by);
      const parsed = rows.map((row) => ({ ...row, record: JSON.parse(row.body) as Plain }));
      await run("HSET", [
        hash,
        ...rows.flatMap(({ id, version, expires, body }) => [id, `${version}\n${expires}\n${body}`]),
      ]);
      await run("ZADD", [expiry, ...rows.flatMap(({ id, expires }) => [`${expires}`, id])]);
      if (order !== undefined)
        await run("ZADD", [ordered, ...parsed.flatMap(({ id, record }) => [`${record[order]}`, id])]);
      for (const [i, field] of by.entries()) {
        const members = parsed.flatMap(({ id, record }) => {
          const value = record[field];
          return typeof value === "string" ? ["0", `${value}\n${id}`] : [];
        });
        if (members.length > 0) await run("ZADD", [fields[i] ?? "", ...members]);
      }
      const last = rows.reduce((latest, { expires }) => Math.max(latest, expires), 0);
      for (const key of [hash, expiry, ordered, ...fields]) await outlive(run, key, last - now + MARGIN_MS);
    },

    async count(counted: readonly Counted[]) {
      const all = counted.map(async ({ key, hits, until }) => {
        // Longer than it matters: it is compared before it may go.
        const left = Math.ceil(until - clock.now()) + HOUR;
        await run("RPUSH", [limitKey(key), ...hits.map((hit) => `${Math.round(hit + ahead)}`)]);
        await run("PEXPIRE", [limitKey(key), `${left}`]);
      });
      await Promise.all(all);
    },

    async remembers(since: number) {
      await run("SET", [SINCE, `${since}`]);
    },
  };
}

/** A key lives at least as long as what is in it. */
async function outlive(run: Run, key: string, ms: number): Promise<void> {
  const left = Number(await run("PTTL", [key]));
  // Without an end, -1: such as it is before this; -2: there is none.
  if (left !== -2 && left < ms) await run("PEXPIRE", [key, `${ms}`]);
}

const escapedPattern = (prefix: string) => prefix.replace(/[*?[\]\\]/g, "\\$&");

import { createHash, randomInt } from "node:crypto";
import { type Clock, systemClock } from "../../../src/clock.ts";
import { createLoggers } from "../../../src/observe/log.ts";
import { type KeptSession, SESSIONS } from "../../../src/session/record.ts";
import { storeLocation } from "../../../src/store/location.ts";
import { openStore } from "../../../src/store/open.ts";
import type { Awaitable, Seen } from "../../../src/store/records.ts";

/**
 * A store with many sessions, and nothing else in its process, that is told over HTTP what to do. Arguments: the port to
 * listen on, the store as `RUNEGATE_STORE` names it, the number of sessions.
 *
 * `POST /fill` puts them there. `POST /measure?seconds=S&batch=B&among=N` looks sessions up, drawn at random from N of them, B
 * at a time, and answers with {@link Lookups}.
 */
export type Lookups = {
  readonly lookups: number;
  readonly seconds: number;
  /** CPU seconds of this process. */
  readonly cpu: number;
};

const [port, store = "", count] = process.argv.slice(2);
const sessions = Number(count);
const log = createLoggers({
  format: "console",
  levels: { default: "warn", modules: {} },
  write: (line) => console.error(line),
  now: Date.now,
  color: false,
})("store");
/** On this clock seconds pass from one look to the next: what is asked here is the store, never a cache in front of it. */
let leaps = 0;
const clock: Clock = { now: systemClock.now, monotonic: () => systemClock.monotonic() + 10_000 * ++leaps };
const records = (await openStore(storeLocation(store), { clock, log })).records(SESSIONS);

/** As long as a real one and as evenly spread, and the same every time. */
function idOf(number: number): string {
  return createHash("sha256").update(String(number)).digest("base64url");
}

/** Drawn before the clock starts: drawing one costs more than some stores take to find it. */
const DRAWN = 1 << 18;
let drawn: readonly string[] = [];
let next = 0;

function draw(among: number): void {
  drawn = Array.from({ length: DRAWN }, () => idOf(randomInt(among)));
  // So that no garbage is left for while the clock runs.
  Bun.gc(true);
}

const AT_ONCE = 500;

async function fill(): Promise<void> {
  const now = Date.now();
  for (let from = 0; from < sessions; from += AT_ONCE) {
    const made: Awaitable<boolean>[] = [];
    for (let number = from; number < Math.min(from + AT_ONCE, sessions); number++) {
      const record: KeptSession = {
        email: `visitor-${number}@example.org`,
        createdAt: now,
        seenAt: now,
        ip: "192.0.2.1",
        userAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0",
        seal: `${now}.${"s".repeat(43)}`,
      };
      made.push(records.add(idOf(number), record, now + 7 * 86_400_000));
    }
    await Promise.all(made);
  }
}

async function measure(seconds: number, batch: number): Promise<Lookups> {
  const cpuBefore = process.cpuUsage();
  const begin = performance.now();
  const end = begin + seconds * 1000;
  let lookups = 0;
  let now = begin;
  while (now < end) {
    // The clock is not asked after every one: that, too, costs more than some stores take.
    for (let turn = 0; turn < 16; turn++) {
      if (batch === 1) await one();
      else await Promise.all(Array.from({ length: batch }, one));
    }
    lookups += 16 * batch;
    now = performance.now();
  }
  const { user, system } = process.cpuUsage(cpuBefore);
  return { lookups, seconds: (now - begin) / 1000, cpu: (user + system) / 1e6 };
}

function one(): void | Promise<void> {
  next = (next + 1) % DRAWN;
  const found = records.get(drawn[next] ?? "");
  if (found instanceof Promise) return found.then(mustExist);
  mustExist(found);
}

function mustExist(found: Seen<KeptSession> | undefined): void {
  if (found === undefined) throw new Error("a session is not in the store");
}

Bun.serve({
  hostname: "127.0.0.1",
  port: Number(port),
  idleTimeout: 0,
  routes: {
    "/fill": {
      async POST() {
        await fill();
        return new Response("filled\n");
      },
    },
    "/measure": {
      async POST({ url }) {
        const query = new URL(url).searchParams;
        draw(Number(query.get("among")));
        return Response.json(await measure(Number(query.get("seconds")), Number(query.get("batch"))));
      },
    },
  },
});

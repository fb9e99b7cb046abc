import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/clock.ts";
import { type KeptSession, SESSIONS } from "../../src/session/record.ts";
import { storeLocation } from "../../src/store/location.ts";
import { openStore } from "../../src/store/open.ts";
import type { Awaitable, Seen } from "../../src/store/records.ts";
import type { Store } from "../../src/store/store.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { postgresPrograms, startPostgres } from "../support/postgres.ts";
import { SILENT } from "../support/silent.ts";
import { startValkey } from "../support/valkey.ts";
import { cpuSeconds, familyOf } from "./accounting.ts";

/**
 * What `deploy/SCALE.md` reckons with: bytes for a session in each store, and commands and CPU of the store for each act, by a
 * gateway in this process. `bun test/bench/scale.ts [SESSIONS]`, some minutes for a million.
 */

const sessions = Number(process.argv[2] ?? "200000");
const AT_ONCE = 100;
const ACTS = 200;

type Measured = {
  readonly name: string;
  readonly location: string;
  /** Bytes that it holds. */
  bytes(): Promise<number>;
  /** Commands, or statements, that it was sent so far; undefined where it is in this process. */
  commands?(): Promise<number>;
  /** Its processes at the moment, where it has some of its own. */
  pids?(): readonly number[];
  stop(): Promise<void>;
};

const open = (location: string): Promise<Store> =>
  openStore(storeLocation(location), { clock: systemClock, log: SILENT });

/** As a gateway makes it. */
async function realSession(store: Store, gateway: TestGateway): Promise<Seen<KeptSession>> {
  await gateway.signIn("visitor-123456@example.org");
  const [one] = await store.records(SESSIONS).find({ most: 1 });
  if (one === undefined) throw new Error("there is no session");
  return one;
}

async function fill(store: Store, { record, expiresAt }: Seen<KeptSession>): Promise<void> {
  const records = store.records(SESSIONS);
  for (let from = 0; from < sessions; from += AT_ONCE) {
    const made: Awaitable<boolean>[] = [];
    for (let n = from; n < from + AT_ONCE; n++) {
      const id = createHash("sha256").update(String(n)).digest("base64url");
      const userAgent =
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0";
      made.push(records.add(id, { ...record, email: `visitor-${n}@example.org`, userAgent }, expiresAt));
    }
    await Promise.all(made);
  }
}

type Act = { readonly name: string; readonly do: (n: number) => Promise<unknown> };

function actsOf(gateway: TestGateway): readonly Act[] {
  const cookies: string[] = [];
  const get = (cookie = "") => fetch(`${gateway.url}/`, { headers: { Cookie: cookie }, redirect: "manual" });
  return [
    {
      name: "a sign-in: asking, mail, link",
      do: async (n) => cookies.push(await gateway.signIn(`visitor-${n}@example.net`)),
    },
    { name: "the first request of a session in 2.5 s", do: (n) => get(cookies[n]) },
    { name: "the next", do: (n) => get(cookies[n]) },
    {
      name: "a request with a cookie that is none",
      do: (n) => get(`runegate_id=${String(n).padStart(43, "A")}`),
    },
    {
      name: "a logout",
      do: (n) =>
        fetch(`${gateway.url}/_runegate/logout`, { method: "POST", headers: { Cookie: cookies[n] ?? "" } }),
    },
  ];
}

async function measure(server: Measured): Promise<void> {
  const store = await open(server.location);
  const application = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("here") });
  const env = {
    RUNEGATE_RATE_LIMIT_ENABLED: "true",
    RUNEGATE_LOGIN_RATE_LIMIT: "100000",
    RUNEGATE_TOKEN_RATE_LIMIT: "100000",
  };
  const gateway = await startGateway({
    stores: store,
    target: application.url.origin,
    env: { ...env, RUNEGATE_REQUEST_LOGS: "false", RUNEGATE_LOG: "warn" },
  });
  const real = await realSession(store, gateway);
  const before = await server.bytes();
  await fill(store, real);
  const each = (await server.bytes()) - before;
  console.log(`| ${server.name} | ${Math.round(each / sessions)} | ${JSON.stringify(real.record).length} |`);
  const { commands, pids } = server;
  for (const act of actsOf(gateway)) {
    if (commands === undefined || pids === undefined) break;
    const before = { sent: await commands(), cpu: cpuSeconds(pids()) };
    for (let n = 0; n < ACTS; n++) await act.do(n);
    const sent = ((await commands()) - before.sent) / ACTS;
    const cpu = (1e6 * (cpuSeconds(pids()) - before.cpu)) / ACTS;
    console.log(`| ${act.name} | ${sent.toFixed(1)} | ${cpu.toFixed(0)} |`);
  }
  await gateway.stop();
  await application.stop(true);
  await store.close();
  await server.stop();
}

async function valkey(): Promise<Measured> {
  const server = await startValkey(Bun.which("valkey-server") ?? Bun.which("redis-server") ?? "", {
    lines: ["appendonly yes"],
  });
  const info = async (section: string, field: string) =>
    Number(new RegExp(`^${field}:(\\d+)`, "m").exec(String(await server.run("INFO", section)))?.[1]);
  const pid = await info("server", "process_id");
  let monitor: Bun.Subprocess<"ignore", "pipe", "inherit"> | undefined;
  let heard = 0;
  async function listen(output: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    // Not what a script does inside the server.
    for await (const part of output)
      heard += decoder.decode(part).match(/^\d+\.\d+ \[\d+ (?!lua)/gm)?.length ?? 0;
  }
  return {
    name: "Valkey",
    location: server.url,
    bytes: () => info("memory", "used_memory"),
    async commands() {
      if (monitor === undefined) {
        monitor = Bun.spawn(["redis-cli", "-p", String(server.port), "monitor"], { stdin: "ignore" });
        void listen(monitor.stdout);
      }
      // What was sent is heard of a moment later.
      await Bun.sleep(300);
      return heard;
    },
    pids: () => [pid],
    async stop() {
      monitor?.kill();
      await server.stop();
    },
  };
}

async function postgres(): Promise<Measured> {
  const server = await startPostgres(postgresPrograms() ?? "", {
    lines: ["log_min_duration_statement = 0", "shared_buffers = '256MB'"],
  });
  const one = async (statement: string) => Number(Object.values((await server.run(statement))[0] ?? {})[0]);
  return {
    name: "PostgreSQL",
    location: server.url,
    bytes: () => one("SELECT pg_total_relation_size('runegate.r_session') AS bytes").catch(() => 0),
    commands: async () =>
      readFileSync(join(server.folder, "log"), "utf8").match(/ (?:execute|statement)[^:]*: /g)?.length ?? 0,
    pids: () =>
      familyOf(Number(readFileSync(join(server.folder, "data/postmaster.pid"), "utf8").split("\n")[0])),
    stop: server.stop,
  };
}

function sqlite(): Measured {
  const folder = mkdtempSync(join(tmpdir(), "runegate-scale-"));
  const file = join(folder, "runegate.db");
  const size = (name: string) => statSync(name, { throwIfNoEntry: false })?.size ?? 0;
  return {
    name: "SQLite",
    location: `sqlite:${file}`,
    bytes: async () => size(file),
    stop: async () => rmSync(folder, { recursive: true }),
  };
}

function memory(): Measured {
  return {
    name: "memory",
    location: "memory",
    async bytes() {
      Bun.gc(true);
      return process.memoryUsage().rss;
    },
    stop: async () => {},
  };
}

console.log(`${sessions} sessions. Load average ${readFileSync("/proc/loadavg", "utf8").split(" ")[0]}.`);
console.log("| store | bytes a session | of them JSON |\n| --- | ---: | ---: |");
for (const start of [memory, sqlite, valkey, postgres]) await measure(await start());
process.exit(0);

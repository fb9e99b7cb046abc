import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connectControl } from "../../../src/control/client.ts";
import { openWire, type Wire } from "../../support/wire.ts";
import { familyOf, residentMebibytes } from "../accounting.ts";
import { holdConnections, streamRequest } from "../connections.ts";
import { type Contestant, contestant, startScript, underLoad } from "../contestants.ts";
import { raiseDescriptorLimit } from "../descriptor-limit.ts";
import { createLoadGenerator } from "../load.ts";
import { findRathole, startRathole } from "../rivals/rathole.ts";
import { FROM_SOURCE, startRunegate } from "../runegate.ts";
import { type Bench, inTurn, medianOf, medianRatio, type Report, type Section } from "../section.ts";
import { freePort, type Stage } from "../stage.ts";
import { inWords, transfer } from "./bodies.ts";

/** What a tunnel costs between Runegate and an application, beside the same without one, and through rathole. */
export const tunnelSection: Section = {
  name: "tunnel",
  summary: "an application behind a tunnel: latency, large bodies, a thousand streams",
  atMostSeconds: ({ seconds, rounds, size }) => 120 + 4 * rounds * (seconds + 8 + (3 * size) / 50e6),
  run,
};

const DIRECT = "Runegate, no tunnel";
const TUNNEL = "Runegate and its tunnel";
const RATHOLE = "Runegate and rathole";
const STREAMS = 1_000;
const WARM_UP = 200;
const REST_MS = 3_000;
/** One way. */
const DELAY_MS = 25;
/** Of a large body, what goes over the delaying wire, which is of JavaScript. */
const FAR_SHARE = 16;

type Ends = Contestant & { readonly serverEnd: number[]; readonly homeEnd: number[] };
type Sample = { readonly p50: number; readonly down: number; readonly up: number };
type Held = { readonly seconds: number; readonly server: number; readonly home: number | undefined };

async function run(bench: Bench): Promise<Report> {
  const { stage, effort, say } = bench;
  const { rounds, seconds, size } = effort;
  raiseDescriptorLimit(4 * STREAMS);
  const generator = createLoadGenerator(stage);
  const file = join(stage.directory, "large");
  writeFileSync(file, "");
  truncateSync(file, size);
  const near = await startContestants(stage);
  // First: what an allocator has taken for large bodies is there for streams as well, and says nothing any more.
  const held = new Map<string, Held>();
  for (const who of near) {
    held.set(who.name, await hold(who));
    say(`${who.name}: ${STREAMS} streams in ${held.get(who.name)?.seconds.toFixed(1)} s`);
  }
  const wires: Wire[] = [];
  const far = await startContestants(stage, async (port) => {
    const wire = await openWire(port);
    wire.delayMs = DELAY_MS;
    wires.push(wire);
    return wire.port;
  });

  const measure = async (who: Ends, bytes: number): Promise<Sample> => {
    const { p50 } = await underLoad(who, generator, { connections: 1, seconds });
    const upload = ["/upload", "--upload-file", file];
    truncateSync(file, bytes);
    const down = bytes / (await transfer(stage, who, [`/bytes/${bytes}`], bytes));
    const up = bytes / (await transfer(stage, who, upload, bytes));
    say(
      `${who.name}: p50 ${p50.toFixed(2)} ms, ${(down / 1e6).toFixed(0)} MB/s down, ${(up / 1e6).toFixed(0)} up`,
    );
    return { p50, down, up };
  };
  const farBytes = Math.ceil(size / FAR_SHARE);
  const samples = await inTurn(near, rounds, (who) => measure(who, size));
  const farSamples = await inTurn(far, 1, (who) => measure(who, farBytes));
  for (const wire of wires) await wire.stop();
  const of = (name: string) => samples.get(name) ?? [];
  const added = (name: string) =>
    medianOf(of(name), ({ p50 }) => p50) - medianOf(of(DIRECT), ({ p50 }) => p50);
  const ratio = (name: string, way: "down" | "up") => medianRatio(of(name), of(DIRECT), (one) => one[way]);
  const speed = (all: readonly Sample[], way: "down" | "up") =>
    (medianOf(all, (one) => one[way]) / 1e6).toFixed(0);
  const extra = (end: "server" | "home", name: string) => {
    const each = held.get(name)?.[end];
    return each === undefined ? undefined : end === "server" ? each - (held.get(DIRECT)?.server ?? 0) : each;
  };
  const kilobytes = (value: number | undefined) => (value === undefined ? "" : value.toFixed(1));
  return {
    tables: [
      {
        columns: ["", "p50 ms", "added ms", "down MB/s", "ratio", "up MB/s", "ratio"],
        rows: near.map(({ name }) => [
          ...[name, medianOf(of(name), ({ p50 }) => p50).toFixed(2), added(name).toFixed(2)],
          ...[speed(of(name), "down"), ratio(name, "down").toFixed(2)],
          ...[speed(of(name), "up"), ratio(name, "up").toFixed(2)],
        ]),
      },
      {
        columns: [
          ...[`${STREAMS} streams`, "to open all s"],
          ...["KB each, all at the server", "of it the tunnel", "KB each at home"],
        ],
        rows: near.map(({ name }) => [
          ...[name, held.get(name)?.seconds.toFixed(1) ?? "", kilobytes(held.get(name)?.server)],
          ...[kilobytes(extra("server", name)), kilobytes(extra("home", name))],
        ]),
      },
      {
        columns: [`${2 * DELAY_MS} ms round trip`, "p50 ms", "down MB/s", "up MB/s"],
        rows: far.map(({ name }) => {
          const all = farSamples.get(name) ?? [];
          return [name, medianOf(all, ({ p50 }) => p50).toFixed(1), speed(all, "down"), speed(all, "up")];
        }),
      },
    ],
    targets: [
      target("under 0.3 ms added at the median", added(TUNNEL), "ms", (value) => value < 0.3),
      ...(["down", "up"] as const).map((way) =>
        target(
          `${inWords(size)} ${way}: at least 0.6 of the speed without`,
          ratio(TUNNEL, way),
          "times",
          (value) => value >= 0.6,
        ),
      ),
      target(
        "under 8 KB for an idle stream, at the server",
        extra("server", TUNNEL) ?? Number.NaN,
        "KB",
        (value) => value < 8,
      ),
      target(
        "under 8 KB for an idle stream, at home",
        extra("home", TUNNEL) ?? Number.NaN,
        "KB",
        (value) => value < 8,
      ),
    ],
    notes: [
      `Latency over one connection by ${generator.name}, ${inWords(size)} over one by curl. The tunnel's own connections are plain ` +
        "(`--insecure-loopback`), as rathole's are. Memory is resident, after a warm-up and 3 s of rest; what the tunnel takes at the server " +
        "is what the gateway takes more than without, or rathole's server besides.",
      `The round trip is that of a wire of JavaScript between the ends, without a tunnel between Runegate and the application, and the body there ${inWords(farBytes)}. ` +
        "Loss was not tried: this needs `tc netem`, which not every kernel has.",
      ...(findRathole() === undefined ? ["rathole is not installed here."] : []),
    ],
    figures: {
      rounds: Object.fromEntries(samples),
      far: Object.fromEntries(farSamples),
      held: Object.fromEntries(held),
    },
  };
}

function target(wanted: string, value: number, unit: string, isMet: (value: number) => boolean) {
  return { wanted, got: `${value.toFixed(2)} ${unit}`, met: isMet(value) };
}

/** Holds streams open of which nothing is heard. @returns KB for each, of each end. */
async function hold(who: Ends): Promise<Held> {
  const request = () => streamRequest(who.port, "/events", who.cookie);
  const settings = { port: who.port, request, ready: "data: hello" };
  (await holdConnections({ ...settings, count: WARM_UP })).close();
  await Bun.sleep(REST_MS);
  const each = (before: number, pids: readonly number[]) =>
    ((residentMebibytes(pids) - before) * 1024) / STREAMS;
  const [server, home] = [residentMebibytes(who.serverEnd), residentMebibytes(who.homeEnd)];
  const began = performance.now();
  const streams = await holdConnections({ ...settings, count: STREAMS });
  const seconds = (performance.now() - began) / 1000;
  try {
    await Bun.sleep(REST_MS);
    return {
      ...{ seconds, server: each(server, who.serverEnd) },
      home: who.homeEnd.length === 0 ? undefined : each(home, who.homeEnd),
    };
  } finally {
    streams.close();
  }
}

/** @param wire where there is a way between the ends: what leads to a port over it. */
async function startContestants(stage: Stage, wire?: (port: number) => Promise<number>): Promise<Ends[]> {
  const suffix = wire === undefined ? "" : "-far";
  const { port: application } = await startScript(stage, `raw${suffix}`, "applications/raw.ts");
  const options = { RUNEGATE_RATE_LIMIT_ENABLED: "false" };
  const direct = await startRunegate(stage, {
    ...{ name: `direct${suffix}`, options },
    upstreamPort: wire === undefined ? application : await wire(application),
  });
  const all: Ends[] = [
    { ...contestant(DIRECT, direct.cookie, direct), serverEnd: familyOf(direct.pid), homeEnd: [] },
    await startTunnel(stage, suffix, application, wire),
  ];
  const program = findRathole();
  if (program === undefined) return all;
  const rathole = await startRathole(stage, program, {
    ...{ name: `rathole${suffix}`, upstreamPort: application },
    ...(wire === undefined ? {} : { wire }),
  });
  const gateway = await startRunegate(stage, {
    ...{ name: `for-rathole${suffix}`, options, upstreamPort: rathole.server.port },
  });
  return [
    ...all,
    {
      ...contestant(RATHOLE, gateway.cookie, gateway, rathole.server),
      serverEnd: [gateway, rathole.server].flatMap(({ pid }) => familyOf(pid)),
      homeEnd: familyOf(rathole.client),
    },
  ];
}

async function startTunnel(
  stage: Stage,
  suffix: string,
  application: number,
  wire?: (port: number) => Promise<number>,
): Promise<Ends> {
  const gateway = await startRunegate(stage, {
    ...{ name: `tunnel${suffix}`, upstreamPort: freePort() },
    options: {
      ...{ RUNEGATE_RATE_LIMIT_ENABLED: "false", RUNEGATE_TARGET_SERVICE: "tunnel:home" },
      RUNEGATE_TUNNEL_DIRECTORY: join(stage.directory, `tunnels${suffix}`),
    },
  });
  const { token } = await connectControl(gateway.control).createTunnel("home");
  const file = join(stage.directory, `token${suffix}`);
  writeFileSync(file, token, { mode: 0o600 });
  const port = wire === undefined ? gateway.port : await wire(gateway.port);
  const up = Promise.withResolvers<void>();
  const flags = ["--tunnel", "home", "--token-file", file, "--to", `http://127.0.0.1:${application}`];
  const connector = stage.launch(
    `connector${suffix}`,
    [...FROM_SOURCE, "connect", `http://127.0.0.1:${port}`, ...flags, "--insecure-loopback"],
    {},
    (line) => line.startsWith("Connected") && up.resolve(),
  );
  await up.promise;
  return {
    ...contestant(TUNNEL, gateway.cookie, gateway),
    serverEnd: familyOf(gateway.pid),
    homeEnd: familyOf(connector.pid),
  };
}

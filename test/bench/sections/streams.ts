import { residentMebibytes } from "../accounting.ts";
import { handshakeRequest, holdConnections, streamRequest } from "../connections.ts";
import { type Contestant, contestant, processesOf, startBareProxy, startScript } from "../contestants.ts";
import { raiseDescriptorLimit } from "../descriptor-limit.ts";
import { findCaddy, startCaddyProxy } from "../rivals/caddy.ts";
import { startNginxProxy } from "../rivals/nginx.ts";
import { DOMAIN, mintLinks, redeem, startRunegate } from "../runegate.ts";
import { type Bench, percentile, type Report, type Section } from "../section.ts";
import { BenchError, type Listening, type Stage } from "../stage.ts";

/** What connections cost that are open for long and idle for most of it. */
export const streamsSection: Section = {
  name: "streams",
  summary: "idle event streams and WebSockets, and messages among them",
  atMostSeconds: ({ seconds, streams }) => 60 + 7 * (seconds + REST_SECONDS + 10 + streams / 200),
  run,
};

/** KB of memory for an idle event stream, and for an idle WebSocket of a browser that compresses. */
const MOST = 20;
const MOST_WEB_SOCKET = 30;
const WARM_UP = 200;
const REST_SECONDS = 5;
const ACTIVE = 100;
/** Milliseconds between the messages of one WebSocket. */
const PACE_MS = 100;
const MESSAGE = "x".repeat(64);
const RUNEGATE = "Runegate";
/** WebSockets of a session; it may have 256. */
const EACH_SESSION = 200;

type Idle = {
  /** KB of resident memory for each connection. */
  readonly each: number;
  /** MiB with all of them open. */
  readonly resident: number;
  /** Seconds it took to open them. */
  readonly opening: number;
};

type RoundTrips = {
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly messages: number;
};

/** Each proxy is started for its measurement alone: what an allocator has taken once says nothing any more. */
type Start = { readonly name: string; readonly start: (stage: Stage) => Promise<Started> };
type Started = {
  readonly who: Contestant;
  /** Of so many sessions that none has too many WebSockets. */
  readonly cookies: readonly string[];
  readonly end: () => Promise<void>;
};

async function run(bench: Bench): Promise<Report> {
  const { stage, effort, say } = bench;
  // The gateway has two for each, and so many again belong to other things.
  const limit = raiseDescriptorLimit(2 * effort.streams + 1000);
  const count = Math.min(effort.streams, Math.floor((limit - 1000) / 2));
  if (count < ACTIVE * 2) throw new BenchError(`Only ${limit} descriptors may be open here (ulimit -n).`);

  const raw = await startScript(stage, "raw", "applications/raw.ts");
  const streams = new Map<string, Idle>();
  for (const { name, start } of starts(raw.port, count, false)) {
    const { who, end } = await start(stage);
    const request = streamRequest(who.port, "/events", who.cookie);
    const idle = await holdIdle(who, count, () => request, "data: hello");
    streams.set(name, idle);
    say(`${name}: ${idle.each.toFixed(1)} KB per event stream`);
    await end();
  }

  const echo = await startScript(stage, "echo", "applications/echo.ts");
  const sockets = new Map<string, Idle>();
  const trips = new Map<string, RoundTrips>();
  for (const { name, start } of starts(echo.port, count, true)) {
    const { who, cookies, end } = await start(stage);
    const handshake = (index: number) =>
      handshakeRequest(who.port, "/", cookies[index % cookies.length] ?? who.cookie);
    const idle = await holdIdle(who, count, handshake, "\r\n\r\n", async () => {
      const trip = await exchangeMessages(who, effort.seconds);
      trips.set(name, trip);
      say(`${name}: round trips of ${trip.p50.toFixed(2)} ms, p99 ${trip.p99.toFixed(2)} ms`);
    });
    sockets.set(name, idle);
    say(`${name}: ${idle.each.toFixed(1)} KB per WebSocket`);
    await end();
  }

  const target = (what: string, most: number, idle: Idle | undefined) => {
    const each = idle?.each ?? Number.NaN;
    return { wanted: `below ${most} KB for ${what}`, got: `${each.toFixed(1)} KB`, met: each < most };
  };
  const number = (value: number | undefined, digits: number) =>
    value === undefined ? "" : value.toFixed(digits);
  return {
    tables: [
      {
        columns: [
          "",
          ...["event stream KB", "RSS MiB", "to open all s"],
          ...["WebSocket KB", "RSS MiB", "to open all s", "message p50 ms", "p99 ms"],
        ],
        rows: [...streams.keys()].map((name) => [
          name,
          ...idleCells(streams.get(name)),
          ...idleCells(sockets.get(name)),
          number(trips.get(name)?.p50, 2),
          number(trips.get(name)?.p99, 2),
        ]),
      },
    ],
    targets: [
      target("an idle event stream", MOST, streams.get(RUNEGATE)),
      target("an idle WebSocket with compression agreed", MOST_WEB_SOCKET, sockets.get(RUNEGATE)),
    ],
    notes: [
      `${count} of each, each kind in a process started for it, measured once after ${REST_SECONDS} s of rest. Messages: ` +
        `${ACTIVE} further WebSockets send ${MESSAGE.length} bytes each ${1000 / PACE_MS} times a second while the others are open.`,
      ...(count < effort.streams
        ? [`${effort.streams} were asked for, but no more than ${limit} descriptors may be open here.`]
        : []),
    ],
    figures: {
      streams: Object.fromEntries(streams),
      sockets: Object.fromEntries(sockets),
      roundTrips: Object.fromEntries(trips),
    },
  };
}

function idleCells(idle: Idle | undefined): string[] {
  if (idle === undefined) return ["", "", ""];
  return [idle.each.toFixed(1), idle.resident.toFixed(0), idle.opening.toFixed(1)];
}

/** Holds connections open and says what they take. `meanwhile` happens after that has been measured. */
async function holdIdle(
  who: Contestant,
  count: number,
  request: (index: number) => string,
  ready: string,
  meanwhile: () => Promise<void> = async () => {},
): Promise<Idle> {
  const { port } = who;
  const warmUp = await holdConnections({ port, count: WARM_UP, request, ready });
  warmUp.close();
  await Bun.sleep(2000);
  const before = residentMebibytes(processesOf(who));
  const begin = performance.now();
  const held = await holdConnections({ port, count, request, ready });
  const opening = (performance.now() - begin) / 1000;
  try {
    await Bun.sleep(REST_SECONDS * 1000);
    const resident = residentMebibytes(processesOf(who));
    await meanwhile();
    if (held.lost() > 0) throw new BenchError(`${who.name} closed ${held.lost()} of ${count} connections.`);
    return { each: ((resident - before) * 1024) / count, resident, opening };
  } finally {
    held.close();
  }
}

async function exchangeMessages(who: Contestant, seconds: number): Promise<RoundTrips> {
  const taken: number[] = [];
  const sockets = await Promise.all(Array.from({ length: ACTIVE }, () => openWebSocket(who)));
  const end = performance.now() + seconds * 1000;
  const converse = async (socket: WebSocket, index: number) => {
    // So that they do not all speak at once.
    await Bun.sleep((index / ACTIVE) * PACE_MS);
    while (performance.now() < end) {
      const begin = performance.now();
      await answered(socket);
      taken.push(performance.now() - begin);
      await Bun.sleep(PACE_MS);
    }
    socket.close();
  };
  await Promise.all(sockets.map(converse));
  taken.sort((a, b) => a - b);
  return { p50: percentile(taken, 0.5), p99: percentile(taken, 0.99), messages: taken.length };
}

function answered(socket: WebSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new BenchError("A message was not answered.")), 5000);
    socket.onmessage = () => {
      clearTimeout(timer);
      resolve();
    };
    socket.send(MESSAGE);
  });
}

function openWebSocket({ name, port, cookie }: Contestant): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/`, { headers: { Cookie: cookie } });
    socket.onopen = () => resolve(socket);
    socket.onerror = () => reject(new BenchError(`${name} does not take a WebSocket.`));
  });
}

function starts(upstreamPort: number, count: number, webSockets: boolean): Start[] {
  const as = async (stage: Stage, name: string, cookie: string, proxy: Listening): Promise<Started> => ({
    who: contestant(name, cookie, proxy),
    cookies: [cookie],
    end: () => stage.end(proxy),
  });
  // Nobody but Runegate looks at it: as long as a session's.
  const someCookie = `runegate_id=${"x".repeat(43)}`;
  const caddy = findCaddy();
  const kind = webSockets ? "sockets" : "streams";
  return [
    {
      name: "nginx",
      start: async (stage) => {
        const proxy = {
          name: `nginx-${kind}`,
          upstreamPort,
          unbuffered: true,
          webSockets,
          clients: count + ACTIVE,
        };
        return as(stage, "nginx", someCookie, await startNginxProxy(stage, proxy));
      },
    },
    ...(caddy === undefined
      ? []
      : [
          {
            name: "Caddy",
            start: async (stage: Stage) =>
              as(stage, "Caddy", someCookie, await startCaddyProxy(stage, caddy, upstreamPort)),
          },
        ]),
    {
      name: RUNEGATE,
      start: async (stage) => {
        const options = { RUNEGATE_RATE_LIMIT_ENABLED: "false" };
        const gateway = await startRunegate(stage, { name: `runegate-${kind}`, upstreamPort, options });
        const started = await as(stage, RUNEGATE, gateway.cookie, gateway);
        if (!webSockets) return started;
        const sessions = Math.ceil(count / EACH_SESSION);
        const addresses = Array.from({ length: sessions }, (_, index) => `user${index}@${DOMAIN}`);
        const links = await mintLinks(gateway, addresses);
        return { ...started, cookies: await Promise.all(links.map((link) => redeem(gateway.port, link))) };
      },
    },
    // It knows nothing of WebSockets.
    ...(webSockets
      ? []
      : [
          {
            name: "`Bun.serve` + `fetch`, bare",
            start: async (stage: Stage) =>
              as(stage, "bare", someCookie, await startBareProxy(stage, upstreamPort)),
          },
        ]),
  ];
}

import { readFileSync, statSync } from "node:fs";
import { systemClock, systemRandom } from "../clock.ts";
import { createConnector } from "../connect/connector.ts";
import { TUNNEL_PATH } from "../connect/protocol.ts";
import { readStatus, removeStatus, writeStatus } from "../connect/status-file.ts";
import { readServices, type Services } from "../connect/target.ts";
import { EXIT } from "../exit.ts";
import { CONNECTOR_PREFIX, parseKey } from "../keys/format.ts";
import { describeTarget, TUNNEL_NAME } from "../net/endpoint.ts";
import { isLoopbackHost } from "../net/loopback.ts";
import { ValueError } from "../option/value-error.ts";
import { OWN_PREFIX } from "../pages/paths.ts";
import type { Io } from "../process/io.ts";
import { VERSION } from "../version.ts";
import { type Command, failed, type Given, type Outcome, UsageError } from "./command.ts";

const FLAGS = {
  tunnel: { type: "string" },
  "token-file": { type: "string" },
  to: { type: "string", multiple: true },
  ca: { type: "string" },
  connections: { type: "string" },
  "insecure-loopback": { type: "boolean" },
  status: { type: "boolean" },
} as const;
type Values = Given<typeof FLAGS>["values"];

const STATUS_EVERY_MS = 5_000;
/** For what goes through it when it is stopped; systemd kills after 20 seconds (`runegate-connect.service`). */
const STOP_MS = 10_000;

/** `runegate connect`: brings an application behind a router to a Runegate that it may reach. */
export const connect: Command<typeof FLAGS> = {
  name: "connect",
  summary: "bring an application on this machine to a Runegate elsewhere",
  help: `Usage: runegate connect URL --tunnel NAME --token-file FILE --to TARGET
                        [--to NAME=TARGET]...
       runegate connect --status --tunnel NAME

Runs on the machine that has the application, and needs no port and no root: it
connects to the server's Runegate at URL, over https, and what that lets through
comes to the application. Nothing else here can be reached from there.

  --tunnel NAME      as made by \`runegate tunnels create NAME\` on the server
  --token-file FILE  with the token that printed
  --to TARGET        the application: http://127.0.0.1:7860, https://…, unix:/path;
                     with a name, for several: grafana=http://127.0.0.1:3000, which
                     is target = "tunnel:NAME/grafana" on the server
  --connections N    connections at once, 1 to 8; 2 by default
  --ca FILE          an authority to believe in besides those of the system (PEM)
  --insecure-loopback
                     lets URL be http:// on this machine, for trying it
  --status           says how the one that runs here is, and ends

Runs until SIGTERM or Ctrl-C, and connects again whenever it was cut off.

Exit codes: ${EXIT.done} stopped, or with --status connected; ${EXIT.failed} not connected.

Example: runegate connect https://app.example.org --tunnel home \\
           --token-file ~/.runegate/home --to http://127.0.0.1:7860`,

  flags: FLAGS,
  takes: { least: 0, most: 1, what: "the URL of a Runegate" },

  async run({ values, words: [url] }, io) {
    const tunnel = values.tunnel ?? "";
    if (!TUNNEL_NAME.test(tunnel)) throw new UsageError("--tunnel takes the name of a tunnel.");
    if (values.status === true) return status(tunnel, io);
    if (url === undefined)
      throw new UsageError("it takes the URL of a Runegate, such as https://app.example.org.");
    return run(originOf(url, values), tunnel, values, io);
  },
};

async function run(origin: string, tunnel: string, values: Values, io: Io): Promise<Outcome> {
  const services = servicesOf(values);
  const connections = Number(values.connections ?? "2");
  if (!/^[1-8]$/.test(values.connections ?? "2")) throw new UsageError("--connections takes 1 to 8.");
  const file = values["token-file"];
  if (file === undefined) throw new UsageError("it needs --token-file.");
  let token: string;
  let ca: string | undefined;
  try {
    token = readFileSync(file, "utf8").trim();
    ca = values.ca === undefined ? undefined : readFileSync(values.ca, "utf8");
    if ((statSync(file).mode & 0o077) !== 0)
      io.err(`Others may read ${file}: chmod 600 keeps the token yours.`);
  } catch (error) {
    return failed(io, error instanceof Error ? error.message : String(error));
  }
  if (parseKey(token, CONNECTOR_PREFIX) === undefined)
    return failed(
      io,
      `${file} holds no token: \`runegate tunnels create ${tunnel}\` on the server prints one.`,
    );

  const said = { up: 0, problem: "" };
  const connector = createConnector({
    url: `${origin.replace(/^http/, "ws")}${OWN_PREFIX}${TUNNEL_PATH}?name=${tunnel}`,
    headers: { Authorization: `Bearer ${token}`, "User-Agent": `Runegate/${VERSION}` },
    tls: ca === undefined ? undefined : { ca },
    ...{ services, connections, clock: systemClock, random: systemRandom },
    changed(up, problem) {
      if (up > 0 && said.up === 0)
        io.out(`Connected: ${origin} reaches ${describe(services)} by the tunnel ${tunnel}.`);
      if (up === 0 && (said.up > 0 || (problem ?? "") !== said.problem))
        io.err(`Not connected to ${origin}: ${problem}. Trying again.`);
      said.up = up;
      said.problem = problem ?? "";
      write();
    },
  });
  function write(): void {
    writeStatus(io.env, tunnel, {
      ...connector.status(),
      pid: process.pid,
      url: origin,
      at: systemClock.now(),
    });
  }
  const timer = setInterval(write, STATUS_EVERY_MS);
  await new Promise<void>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => resolve());
  });
  clearInterval(timer);
  await connector.stop(STOP_MS);
  removeStatus(io.env, tunnel);
  return EXIT.done;
}

function status(tunnel: string, io: Io): Outcome {
  const written = readStatus(io.env, tunnel);
  if (written === undefined) return failed(io, `No connector of the tunnel ${tunnel} runs here.`);
  const { connections, url, sent, received, problem } = written;
  if (connections.length === 0) {
    io.err(`Not connected to ${url}: ${problem ?? "not yet"}.`);
    return { code: EXIT.failed, data: written };
  }
  const trips = connections.map(({ roundTripMs }) =>
    roundTripMs === null ? "?" : `${roundTripMs.toFixed(1)} ms`,
  );
  io.out(
    `Connected to ${url}: ${connections.length} connections (round trip ${trips.join(", ")}), ` +
      `${connections.reduce((sum, { streams }) => sum + streams, 0)} streams, ${sent} bytes sent, ${received} received.`,
  );
  return { data: written };
}

/** @throws {UsageError} */
function servicesOf({ to = [] }: Values): Services {
  if (to.length === 0) throw new UsageError("it needs --to, the application.");
  try {
    return readServices(to);
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    throw new UsageError(`--to ${error.problem}. ${error.remedy}`);
  }
}

/** @throws {UsageError} for what would send the token in clear. */
function originOf(text: string, values: Values): string {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol) || url.pathname !== "/" || url.username !== "")
    throw new UsageError(
      `${JSON.stringify(text)} is not the address of a Runegate, such as https://app.example.org.`,
    );
  if (url.protocol === "http:") {
    const isHere = isLoopbackHost(url.hostname.replace(/^\[|\]$/g, ""));
    if (!isHere || values["insecure-loopback"] !== true)
      throw new UsageError("the token would cross the network in clear: it takes an https:// address.");
  }
  return url.origin;
}

function describe(services: Services): string {
  return [...services.values()].map(describeTarget).join(", ");
}

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openStage, type Stage, until } from "../process/stage.ts";
import { skipBecause } from "../support/needs.ts";
import { type RunningProcess, runegate, startProcess } from "../support/process.ts";

/**
 * Many come at the same instant, to an application behind a tunnel: more than its socket lets wait (512). The gateway is stopped
 * until all of them have asked, so that it finds them all at once however busy the machine is.
 */

setDefaultTimeout(60_000);

const MANY = 1_500;
/** A session has at most 256, so there are several; beside them the gateway has a connection of each. */
const WEB_SOCKETS = 700;
const EACH_SESSION = 250;
/** Two ends of two connections for each, half of them in this process. */
const FILES_NEEDED = 2 * MANY + 500;

const files = Number(/^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1]);
const enough = files >= FILES_NEEDED;
if (!enough) skipBecause(`it takes ${FILES_NEEDED} open files, and \`ulimit -n\` allows ${files}`);

let stage: Stage;
let connector: RunningProcess;
let cookie: string;

beforeAll(async () => {
  stage = await openStage({ sqlite: true, options: { RUNEGATE_TARGET_SERVICE: "tunnel:home" } });
  cookie = await stage.signIn();
  const file = join(stage.directory, "token");
  writeFileSync(file, (await stage.command("tunnels", "create", "home")).output, { mode: 0o600 });
  const flags = ["--tunnel", "home", "--token-file", file, "--to", stage.application.url];
  connector = startProcess(
    runegate("connect", stage.url, ...flags, "--insecure-loopback"),
    { ...stage.env, XDG_RUNTIME_DIR: stage.directory },
    stage.directory,
  );
  await connector.waitFor(/Connected: /);
});

afterAll(async () => {
  connector?.signal("SIGKILL");
  await stage?.[Symbol.asyncDispose]();
});

/** Sends every request by a connection of its own before the gateway sees any. @returns how often there was which status. */
async function atOnce(requests: readonly string[], meanwhile = async () => {}) {
  const statuses: Record<string, number> = {};
  let sent = 0;
  const answers = requests.map(async (request) => {
    const { promise, resolve } = Promise.withResolvers<string>();
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port: stage.port,
      socket: {
        data: (_, bytes) => resolve(bytes.subarray(9, 12).toString()),
        close: () => resolve("closed"),
        error: () => {},
      },
    });
    socket.write(request);
    sent++;
    const status = await promise;
    statuses[status] = (statuses[status] ?? 0) + 1;
    return socket;
  });
  stage.main.signal("SIGSTOP");
  // Those that do not fit into the queue of the port come later.
  await until("500 have asked", () => sent >= Math.min(500, requests.length));
  stage.main.signal("SIGCONT");
  await meanwhile();
  for (const socket of await Promise.all(answers)) socket.terminate();
  return statuses;
}

const head = (line: string, who: string, ...fields: string[]) =>
  `${[`${line} HTTP/1.1`, `Host: 127.0.0.1:${stage.port}`, `Cookie: ${who}`, ...fields].join("\r\n")}\r\n\r\n`;

test.skipIf(!enough)("requests: all are answered, and all were at the application together", async () => {
  const statuses = await atOnce(Array<string>(MANY).fill(head("GET /held", cookie)), async () => {
    const { held } = stage.application;
    await until("all are there", () => held.length >= MANY, 40_000);
    for (const one of held) one.release();
  });
  expect(statuses).toEqual({ 200: MANY });
});

test.skipIf(!enough)("bodies, which may not be sent twice: all are answered", async () => {
  const request = `${head("POST /upload", cookie, `Origin: ${stage.url}`, "Content-Length: 5")}hello`;
  expect(await atOnce(Array<string>(MANY).fill(request))).toEqual({ 200: MANY });
});

test.skipIf(!enough)("WebSockets: all are open", async () => {
  const sessions: string[] = [];
  while (sessions.length * EACH_SESSION < WEB_SOCKETS)
    sessions.push(await stage.signIn(`${sessions.length}@example.org`));
  const handshake = [
    ...["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"],
    ...["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", `Origin: ${stage.url}`],
  ];
  const requests = Array.from({ length: WEB_SOCKETS }, (_, index) =>
    head("GET /socket", sessions[Math.floor(index / EACH_SESSION)] ?? "", ...handshake),
  );
  expect(await atOnce(requests)).toEqual({ 101: WEB_SOCKETS });
});

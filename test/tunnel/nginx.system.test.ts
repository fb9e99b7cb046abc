import { afterEach, beforeEach, expect, jest, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Connector, createConnector } from "../../src/connect/connector.ts";
import { BEAT_MS, TUNNEL_PATH } from "../../src/connect/protocol.ts";
import { readServices } from "../../src/connect/target.ts";
import { OWN_PREFIX } from "../../src/pages/paths.ts";
import { settle } from "../connect/gateway.ts";
import { testClock, testRandom } from "../support/clock.ts";
import { writeNginx } from "../support/nginx.ts";
import { freePort } from "../support/process.ts";
import { openStage, type TunnelStage } from "./stage.ts";

/**
 * nginx in front of the gateway, as people have it: by default it cuts WebSockets that say nothing for 60 seconds. Here it is one second,
 * which is nginx's own and real, and the heart-beat comes as often as it would in 60.
 */

setDefaultTimeout(60_000);

const LIMIT_MS = 1_000;
/** Of our time in nginx's. */
const PACE = 60;

let clock = testClock();
let folder: string;
let stage: TunnelStage;
let home: Bun.Server<undefined>;
let nginx: Bun.Subprocess;
let port: number;
let connector: Connector;

beforeEach(async () => {
  clock = testClock();
  folder = mkdtempSync(join(tmpdir(), "tunnel-nginx-"));
  home = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("home") });
  stage = await openStage({ clock });
  port = freePort();
  const args = writeNginx(
    folder,
    `server {
       listen 127.0.0.1:${port};
       location / {
         proxy_pass ${stage.gateway.url};
         proxy_http_version 1.1;
         proxy_set_header Host $http_host;
         proxy_set_header Upgrade $http_upgrade;
         proxy_set_header Connection upgrade;
         proxy_read_timeout ${LIMIT_MS}ms;
       }
     }`,
  );
  nginx = Bun.spawn(["nginx", ...args], { stdout: "ignore", stderr: "ignore" });
  while (
    !(await fetch(`http://127.0.0.1:${port}/`).then(
      () => true,
      () => false,
    ))
  )
    await settle();
  jest.useFakeTimers();
});
afterEach(async () => {
  jest.useRealTimers();
  await connector.stop(0);
  nginx.kill();
  await nginx.exited;
  await stage.stop();
  await home.stop(true);
  rmSync(folder, { recursive: true });
});

function connectThrough(): void {
  connector = createConnector({
    url: `ws://127.0.0.1:${port}${OWN_PREFIX}${TUNNEL_PATH}?name=home`,
    headers: { Authorization: `Bearer ${stage.token}`, Host: new URL(stage.gateway.url).host },
    tls: undefined,
    services: readServices([`http://127.0.0.1:${home.port}`]),
    ...{ connections: 2, clock, random: testRandom(), network: () => "home" },
    changed() {},
  });
}

const STEP_MS = 20;

/** In nginx's time, which nobody but the machine moves. @param moves whether our clocks go on meanwhile. */
async function pass(milliseconds: number, moves: boolean): Promise<void> {
  for (let gone = 0; gone < milliseconds; gone += STEP_MS) {
    Bun.sleepSync(STEP_MS);
    if (moves) {
      clock.advance(STEP_MS * PACE);
      jest.advanceTimersByTime(STEP_MS * PACE);
    }
    await settle(5);
  }
}

const left = () => stage.gateway.lines.filter((line) => line.includes("a connector has left")).length;

test("nginx, that cuts WebSockets after 60 idle seconds, never does: the heart-beat is in between", async () => {
  expect(BEAT_MS / PACE).toBeLessThan(LIMIT_MS / 2);
  connectThrough();
  await pass(4 * LIMIT_MS, true);
  expect(left()).toBe(0);
  expect(connector.status().connections).toHaveLength(2);
  expect((await stage.get("/")).status).toBe(200);
});

test("without one it does, and the connector comes again", async () => {
  connectThrough();
  await pass(2 * LIMIT_MS, false);
  expect(left()).toBe(2);
  await pass(LIMIT_MS / 2, true);
  expect(connector.status().connections).toHaveLength(2);
  expect((await stage.get("/")).status).toBe(200);
});

import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock, systemRandom } from "../../src/clock.ts";
import { type Connector, createConnector } from "../../src/connect/connector.ts";
import { TUNNEL_PATH } from "../../src/connect/protocol.ts";
import { readServices } from "../../src/connect/target.ts";
import { OWN_PREFIX } from "../../src/pages/paths.ts";
import { kill, openStage, type Stage, until } from "../process/stage.ts";

/** Processes of the gateway that are killed, or give way to others, while visitors ask. */

setDefaultTimeout(60_000);

let sockets: string;
let connector: Connector | undefined;
beforeEach(() => {
  sockets = mkdtempSync(join(tmpdir(), "takeover-"));
});
afterEach(async () => {
  await connector?.stop(0);
  rmSync(sockets, { recursive: true, force: true });
});

const start = () =>
  openStage({
    workers: 2,
    sqlite: true,
    options: { RUNEGATE_TARGET_SERVICE: "tunnel:home", RUNEGATE_TUNNEL_DIRECTORY: sockets },
  });

/** Ids of the processes that listen for the tunnel. */
const owners = () => new Set(readdirSync(sockets).flatMap((name) => /\.(\d+)-\d+$/.exec(name)?.[1] ?? []));

/** Which worker a connection comes to is the system's choice: as many as it takes until each has one. */
async function connect(stage: Stage): Promise<void> {
  const { output } = await stage.command("tunnels", "create", "home");
  for (let tries = 0; tries < 10; tries++) {
    const made = createConnector({
      url: `${stage.url.replace(/^http/, "ws")}${OWN_PREFIX}${TUNNEL_PATH}?name=home`,
      headers: { Authorization: `Bearer ${output.trim()}` },
      tls: undefined,
      services: readServices([stage.application.url]),
      ...{ connections: 4, clock: systemClock, random: systemRandom, changed() {} },
    });
    connector = made;
    await until("up", () => made.status().connections.length === 4, 10_000);
    if (owners().size === 2) return;
    await made.stop(0);
  }
  throw new Error("all come to one worker");
}

function load(stage: Stage, cookie: string, init: RequestInit = {}) {
  const answers: number[] = [];
  let going = true;
  const all = Array.from({ length: 4 }, async () => {
    while (going) {
      const asked = fetch(stage.url, { ...init, headers: { Cookie: cookie }, keepalive: false });
      answers.push(
        await asked.then(
          ({ status }) => status,
          () => 0,
        ),
      );
    }
  });
  return {
    answers,
    async stop() {
      going = false;
      await Promise.all(all);
      return answers;
    },
  };
}

test("connections that came to different workers serve the visitors of all, and each by its own", async () => {
  await using stage = await start();
  const cookie = await stage.signIn();
  await connect(stage);
  expect([...owners()].map(Number).sort((a, b) => a - b)).toEqual(stage.workers());
  const under = load(stage, cookie);
  await until("answers", () => under.answers.length > 200, 20_000);
  expect(new Set(await under.stop())).toEqual(new Set([200]));
});

test("kill -9 of a worker under load: only what it was doing fails, and safe requests of others are repeated", async () => {
  await using stage = await start();
  const cookie = await stage.signIn();
  await connect(stage);
  const under = load(stage, cookie);
  await until("answers", () => under.answers.length > 50, 10_000);
  const [victim = 0] = stage.workers();
  kill(victim, "SIGKILL");
  const before = under.answers.length;
  await until("more answers", () => under.answers.length > before + 200, 20_000);
  await until("all up again", () => connector?.status().connections.length === 4, 20_000);
  const answers = await under.stop();
  // 0 is who was connected to it, or about to be. Nobody gets an error from the other worker.
  expect(answers.filter((answer) => answer === 0).length).toBeLessThan(20);
  expect(new Set(answers.filter((answer) => answer !== 0))).toEqual(new Set([200]));
});

test("a hand-over to another executable under load: the tunnel fails nobody", async () => {
  await using stage = await start();
  const cookie = await stage.signIn();
  await connect(stage);
  const before = owners();
  const under = load(stage, cookie);
  await until("answers", () => under.answers.length > 50, 10_000);
  stage.main.signal("SIGUSR2");
  await stage.says(/ handed over /);
  const at = under.answers.length;
  await until("more answers", () => under.answers.length > at + 100, 20_000);
  const answers = await under.stop();
  // 0 would be a visitor's own connection, which is not the tunnel's.
  expect(new Set(answers.filter((answer) => answer !== 0))).toEqual(new Set([200]));
  await until("the ones before are gone", () => [...owners()].every((one) => !before.has(one)), 10_000);
  await until("all up again", () => connector?.status().connections.length === 4, 20_000);
});

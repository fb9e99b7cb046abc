import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { runegate, startProcess } from "../support/process.ts";
import { exchange, type RawResponse, requestHead } from "../support/raw.ts";
import { type Front, frontOfEach } from "./front.ts";
import { startLoad } from "./load.ts";
import { dripped, openEvents, openSocket, slowUpload } from "./long.ts";
import { isAlive, isPortFree, kill, openStage, type Stage, until } from "./stage.ts";

/** `RUNEGATE_WORKERS` with the memory store: several processes that behave as one. */

// Processes are started here, on machines that may be busy.
setDefaultTimeout(60_000);

const JSON_BODY = (response: RawResponse) => JSON.parse(response.body.toString());

describe.each([2, 3])("%d workers are one", (workers) => {
  let stage: Stage;
  let fronts: Front[];
  let one: Front;
  let other: Front;
  beforeAll(async () => {
    stage = await openStage({
      workers,
      options: { RUNEGATE_RATE_LIMIT_ENABLED: "true", RUNEGATE_EMAIL_COOLDOWN: "0" },
    });
    fronts = await frontOfEach(stage);
    [one, other] = fronts as [Front, Front];
  });
  afterAll(() => stage[Symbol.asyncDispose]());

  const session = (front: Front, cookie: string) =>
    front.ask("GET /_runegate/session", [`Cookie: ${cookie}`]);
  /** Limits go by the client's address, which the trusted proxy at 127.0.0.1 may name. */
  const from = (client: string) => `X-Forwarded-For: ${client}`;

  test("each answers, and a session made at one is known to all, at once", async () => {
    expect(fronts.length).toBe(workers);
    const cookie = await stage.signIn();
    for (const front of fronts) expect(JSON_BODY(await session(front, cookie)).authenticated).toBe(true);
    for (const front of fronts) expect((await front.ask("GET /", [`Cookie: ${cookie}`])).status).toBe(200);
  });

  test("a link redeemed at all of them together makes exactly one session", async () => {
    for (let turn = 0; turn < 2; turn++) {
      const { link, cookie } = await stage.askForLink(`link${turn}@example.org`);
      const { pathname, search } = new URL(link);
      const answers = await Promise.all(
        fronts.map((front) =>
          front.ask(`GET ${pathname}${search}`, [`Cookie: ${cookie}`, from(`192.0.2.${turn}`)]),
        ),
      );
      expect(answers.map(({ status }) => status).sort()).toEqual([302, ...Array(workers - 1).fill(401)]);
    }
  });

  test("logins a minute are counted together", async () => {
    const statuses: number[] = [];
    for (let i = 0; i < 12; i++) {
      const front = fronts[i % workers] as Front;
      const { status } = await front.ask("POST /login", [from("198.51.100.1")], {
        email: `many${i}@example.org`,
      });
      statuses.push(status);
    }
    expect(statuses).toEqual([...Array(5).fill(200), ...Array(7).fill(429)]);
  });

  test("tries of a code are counted together", async () => {
    const { code, cookie } = await stage.askForLink("code@example.org");
    const tryAt = (front: Front, typed: string, client: string) =>
      front.ask("POST /auth", [`Cookie: ${cookie}`, from(client)], { code: typed });
    for (let i = 0; i < 5; i++) {
      expect(
        (
          await tryAt(
            fronts[i % workers] as Front,
            code === "0000 0000" ? "1111 1111" : "0000 0000",
            `203.0.113.${i}`,
          )
        ).status,
      ).toBe(401);
    }
    expect((await tryAt(one, code, "203.0.113.9")).status).toBe(401);
    await stage.main.waitFor(/redemption_refused client=203\.0\.113\.9 reason=too_many_tries/);
  });

  test("a mail is sent once, and the mailbox of each shows it", async () => {
    await stage.askForLink("mail@example.org");
    for (const front of fronts) {
      const page = (await front.ask("GET /_runegate/mailbox", ["Host: localhost"])).body.toString();
      expect(page.match(/mail@example\.org/g)?.length).toBeGreaterThan(0);
    }
    expect(stage.main.output().match(/Mail for mail@example\.org/g)?.length).toBe(1);
  });

  test("a logout at one closes what is open at another, at once", async () => {
    const cookie = await stage.signIn("leaves@example.org");
    const [events, socket] = await frontOfEach(stage).then(([, second]) => [second, second] as const);
    if (events === undefined || socket === undefined) throw new Error("there are two");
    const { wire } = socket;
    await wire.write(
      requestHead("GET /socket", [
        `Host: 127.0.0.1:${stage.port}`,
        `Cookie: ${cookie}`,
        `Origin: ${stage.url}`,
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      ]),
    );
    expect((await wire.readUntil("\r\n\r\n")).toString()).toContain(" 101 ");
    const stream = other.wire;
    await stream.write(requestHead("GET /events", [`Cookie: ${cookie}`]));
    await stream.readUntil("data: hello");
    const streamEnded = stream.readToEnd();

    const begun = performance.now();
    const out = await one.ask("POST /_runegate/logout", [`Cookie: ${cookie}`, `Origin: ${stage.url}`]);
    expect(out.status).toBe(200);
    // RFC 6455 §5.5.1: a close frame, whose code is 1008 here.
    const [opcode, , high = 0, low = 0] = await wire.read(4);
    const socketAfter = performance.now() - begun;
    await streamEnded;
    const streamAfter = performance.now() - begun;
    expect([opcode, high * 256 + low]).toEqual([0x88, 1008]);
    expect(Math.max(socketAfter, streamAfter)).toBeLessThan(1000);
    expect(JSON_BODY(await session(one, cookie)).authenticated).toBe(false);
    fronts = await frontOfEach(stage);
    [one, other] = fronts as [Front, Front];
  });

  test("the command line lists and revokes everybody's sessions, and its links work everywhere", async () => {
    const cookie = await stage.signIn("listed@example.org");
    for (const front of fronts) await session(front, cookie);
    const listed = await stage.command("sessions", "list", "--json");
    expect(listed.output).toContain("listed@example.org");
    expect(await stage.command("sessions", "revoke", "listed@example.org")).toMatchObject({ code: 0 });
    for (const front of fronts) expect(JSON_BODY(await session(front, cookie)).authenticated).toBe(false);
    const { output: link } = await stage.command("link", "linked@example.org");
    const { pathname, search } = new URL(link.trim());
    for (const front of fronts) expect((await front.ask(`GET ${pathname}${search}`)).status).toBe(200);
  });
});

describe("a worker that ends", () => {
  test.concurrent("is replaced, and the other's connections notice nothing", async () => {
    await using stage = await openStage({ workers: 2 });
    const cookie = await stage.signIn();
    const [victim, survivor] = await frontOfEach(stage);
    if (victim === undefined || survivor === undefined) throw new Error("there are two");
    const statuses = new Set<number>();
    let asking = true;
    const others = (async () => {
      while (asking) statuses.add((await survivor.ask("GET /", [`Cookie: ${cookie}`])).status);
    })();
    kill(victim.worker, "SIGKILL");
    await stage.says(/ ERROR main +a worker ended, another will be started +worker=\d+ how="?signal SIGKILL/);
    await stage.says(/ worker listens /);
    asking = false;
    await others;
    expect([...statuses]).toEqual([200]);
    expect(stage.workers().length).toBe(2);
    const fresh = startLoad({ ...stage, path: "/", cookie, connections: "fresh", perSecond: 500 });
    await until("all answer", () => fresh.answered > 100);
    expect((await fresh.stop()).errors).toEqual([]);
  });

  test.concurrent("again and again is started after ever longer waits, and one that hangs is killed", async () => {
    await using stage = await openStage({
      workers: 2,
      command: [process.execPath, join(import.meta.dir, "impatient.ts"), "serve"],
    });
    const cookie = await stage.signIn();
    const waits: number[] = [];
    const [stays = 0, first = 0] = stage.workers();
    let victim = first;
    for (let i = 0; i < 4; i++) {
      const begun = performance.now();
      kill(victim, "SIGKILL");
      await until("there is another", () => stage.workers().some((pid) => pid !== stays && pid !== victim));
      waits.push(performance.now() - begun);
      await stage.says(/ worker listens /);
      victim = stage.workers().find((pid) => pid !== stays) ?? 0;
    }
    for (const [i, wait] of waits.entries()) expect(wait).toBeGreaterThan(100 * 2 ** i - 20);
    expect(waits[0]).toBeLessThan(waits[3] ?? 0);

    kill(stays, "SIGSTOP");
    await stage.says(new RegExp(`gives no sign of life and is killed +worker=${stays}`));
    await stage.says(/ worker listens /);
    expect(stage.workers()).not.toContain(stays);
    for (let i = 0; i < 20; i++) {
      expect((await exchange(stage.port, "GET /", [`Cookie: ${cookie}`])).status).toBe(200);
    }
  });

  test.concurrent("because it was told to, alone, finishes what it has and is replaced", async () => {
    await using stage = await openStage({ workers: 2 });
    const cookie = await stage.signIn();
    const [one] = await frontOfEach(stage);
    if (one === undefined) throw new Error("there are two");
    const answer = one.ask("GET /held", [`Cookie: ${cookie}`]);
    await until("the application has it", () => stage.application.held.length === 1);
    kill(one.worker, "SIGTERM");
    await Bun.sleep(100);
    expect(isAlive(one.worker)).toBe(true);
    for (const { release } of stage.application.held) release();
    expect((await answer).body.toString()).toBe("held");
    await stage.says(/ worker listens /);
    expect(stage.workers()).not.toContain(one.worker);
  });
});

test.concurrent("without their supervisor the workers end, and the port is free", async () => {
  await using stage = await openStage({ workers: 2 });
  const workers = stage.workers();
  // Theirs alone it is not.
  for (const pid of workers) kill(pid, "SIGHUP");
  expect((await exchange(stage.port, "GET /_runegate/health")).status).toBe(200);
  expect(stage.workers()).toEqual(workers);
  kill(stage.main.pid, "SIGKILL");
  await until("the workers are gone", () => !workers.some(isAlive), 5000);
  expect(isPortFree(stage.port)).toBe(true);
});

test.concurrent.each([
  [1, 2],
  [2, 1],
])("where one with %d processes runs, another with %d is refused the port", async (workers, others) => {
  await using stage = await openStage({ workers });
  const env = { ...stage.env, RUNEGATE_WORKERS: String(others), RUNEGATE_CONTROL_SOCKET: "off" };
  const second = startProcess(runegate("serve"), env, stage.directory);
  expect(await second.exited).toBe(1);
  expect(second.output()).toContain(
    `Cannot listen on 127.0.0.1:${stage.port}: EADDRINUSE. Is something else listening there?`,
  );
  expect((await exchange(stage.port, "GET /_runegate/health")).status).toBe(200);
});

test.concurrent.each([
  ["to one process", 1, false],
  ["to a supervisor", 2, false],
  ["to a supervisor and all its workers, as systemd sends it", 2, true],
])("SIGTERM %s lets requests finish and says good-bye", async (_, workers, group) => {
  await using stage = await openStage({ workers });
  const cookie = await stage.signIn();
  const fields = [`Cookie: ${cookie}`];
  const sockets = await Promise.all(Array.from({ length: 4 }, () => openSocket(stage, cookie)));
  const events = await Promise.all(Array.from({ length: 4 }, () => openEvents(stage, cookie)));
  const held = Array.from({ length: 4 }, () => exchange(stage.port, "GET /held", fields));
  const long = [dripped(stage, cookie, 900), slowUpload(stage, cookie, 900)];
  await until("the application has them", () => stage.application.held.length === 4);
  await Bun.sleep(300);
  const running = stage.workers();
  if (group) for (const pid of running) kill(pid, "SIGTERM");
  stage.main.signal("SIGTERM");
  expect(await Promise.all(sockets.map(({ closed }) => closed))).toEqual([1001, 1001, 1001, 1001]);
  await Promise.all(events.map(({ ended }) => ended));
  await until("nobody is let in", () => isPortFree(stage.port));
  for (const { release } of stage.application.held) release();
  for (const { status, complete } of await Promise.all(held))
    expect({ status, complete }).toEqual({ status: 200, complete: true });
  expect(await Promise.all(long)).toEqual(["whole", "whole"]);
  expect(await stage.main.exited).toBe(0);
  expect(running.filter(isAlive)).toEqual([]);
  expect(stage.complaints()).toEqual([]);
  expect(stage.main.output().match(/worker listens/g)?.length ?? 0).toBe(workers === 1 ? 0 : workers);
  expect(stage.main.output().trimEnd()).toMatch(/ stopped$/);
});

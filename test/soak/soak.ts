import { randomInt } from "node:crypto";
import { connectionsTo } from "../bench/accounting.ts";
import { FROM_SOURCE } from "../bench/runegate.ts";
import type { Stage } from "../bench/stage.ts";
import { startStores } from "../bench/stores.ts";
import { ACTS, type Act, browse, stayOnStream } from "./acts.ts";
import { type RestartingApplication, startApplication } from "./application.ts";
import { SESSION_COOKIE, startGateway } from "./gateway.ts";
import { createLedger, Mishap, Wrong } from "./ledger.ts";
import { createLogReader, type LogReader } from "./log-reader.ts";
import { type MailServer, startMailServer } from "./mail.ts";
import type { SoakOptions } from "./options.ts";
import { type Flatness, idleCpu, judgeMemory, type Sample, takeSample } from "./samples.ts";
import {
  createVisitor,
  expectSignedOut,
  expectStatus,
  read,
  reasonOf,
  send,
  signIn,
  type Visitor,
  type World,
} from "./visitor.ts";

/** What a soak found out. */
export type Outcome = {
  readonly seconds: number;
  readonly requests: number;
  readonly statuses: Readonly<Record<string, number>>;
  readonly done: Readonly<Record<string, number>>;
  readonly excused: Readonly<Record<string, number>>;
  readonly unexplained: readonly string[];
  readonly memory: Flatness;
  /** Before anybody came, and when everybody has gone. */
  readonly before: Sample;
  readonly after: Sample;
  /** Share of a core in the quiet. */
  readonly idleCpu: number;
  readonly samples: readonly Sample[];
  /** What is not as it should be; empty if all is well. */
  readonly problems: readonly string[];
};

const PROGRESS_EVERY_MS = 5_000;
const SAMPLES = 200;
/** For everything to end that has no reason to go on. */
const QUIET_SECONDS = 20;
const IDLE_CPU_SECONDS = 2;
/** A gateway that nobody uses looks at its sessions now and then, and that is all. Each worker has its own timers. */
const MOST_IDLE_CPU = 0.05;
/** Descriptors that a runtime opens the first time it needs them, in each process: an event queue, a source of randomness. */
const LATE_DESCRIPTORS = 4;

export async function soak(
  stage: Stage,
  options: SoakOptions,
  say: (line: string) => void,
): Promise<Outcome> {
  const { seconds } = options;
  const ledger = createLedger();
  const command = options.binary === undefined ? FROM_SOURCE : [options.binary];
  const application = await startApplication(stage, command);
  const mail = await startMailServer();
  const log = createLogReader(ledger, () => application);
  const gateway = await startGateway(stage, {
    command,
    applicationPort: application.port,
    mailPort: mail.port,
    store: await locate(stage, options.store),
    workers: options.workers,
    onLine: log.line,
  });
  const world: World = { gateway, application, mail, ledger, opened: { streams: 0, sockets: 0 } };
  await ready(world);
  const begin = performance.now();
  const elapsed = () => (performance.now() - begin) / 1000;
  const before = takeSample(gateway.pid, 0);
  const samples: Sample[] = [];

  const sampling = setInterval(
    () => samples.push(takeSample(gateway.pid, elapsed())),
    Math.max(500, (seconds * 1000) / SAMPLES),
  );
  const progress = setInterval(() => say(progressLine(elapsed(), world, log)), PROGRESS_EVERY_MS);
  try {
    const over = () => elapsed() >= seconds;
    const deck = createDeck();
    const people = Array.from({ length: options.visitors }, async () => {
      // So that they do not all ask for mail at once.
      await Bun.sleep(randomInt(1000));
      while (!over()) await live(createVisitor(world), deck, over);
    });
    await Promise.all([...people, restartNowAndThen(application, seconds, over)]);
  } finally {
    clearInterval(sampling);
    clearInterval(progress);
  }
  const took = elapsed();
  say(`${progressLine(took, world, log)}; now everybody leaves`);
  const { after, openEnds } = await quieten(world, mail, log, before, elapsed);
  const idle = await idleCpu(gateway.pid, IDLE_CPU_SECONDS);
  const memory = judgeMemory(samples, seconds);
  if (mail.unexpected() > 0) ledger.blame(`${mail.unexpected()} mails came that nobody had asked for`);

  return {
    seconds: took,
    requests: log.requests(),
    statuses: sorted([...log.statuses].map(([status, count]) => [String(status), count])),
    done: sorted(ledger.done),
    excused: sorted(ledger.excused),
    unexplained: ledger.unexplained,
    memory,
    before,
    after,
    idleCpu: idle,
    samples,
    problems: [
      ...problemsOf({ before, after, memory, idle }),
      ...openEnds,
      ...(ledger.unexplainedCount() === 0 ? [] : [`${ledger.unexplainedCount()} errors have no explanation`]),
    ],
  };
}

/** What `--store` says, as `RUNEGATE_STORE` says it. */
async function locate(stage: Stage, store: string): Promise<string> {
  const name = { sqlite: "SQLite", valkey: "Valkey" }[store];
  if (name === undefined) return store;
  const { choices, notes } = await startStores(stage, "soak");
  const chosen = choices.find((choice) => choice.name === name);
  if (chosen === undefined) throw new Error(notes.join(" "));
  return chosen.location;
}

/** Waits until the gateway says so itself: its workers and its control socket may be there a moment after its port. */
async function ready({ gateway }: World): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      const response = await fetch(`${gateway.url}/_runegate/health/ready`, { keepalive: false });
      if (response.status === 200) break;
    } catch (error) {
      if (tries > 100) throw error;
    }
    await Bun.sleep(50);
  }
  await gateway.run("sessions", "list", "--json");
  await Bun.sleep(500);
}

/** Deals every act once before any comes again. */
function createDeck(): () => Act {
  let cards: Act[] = [];
  return () => {
    if (cards.length === 0) {
      cards = [...ACTS];
      for (let last = cards.length - 1; last > 0; last--) {
        const other = randomInt(last + 1);
        [cards[last], cards[other]] = [cards[other] as Act, cards[last] as Act];
      }
    }
    return cards.pop() as Act;
  };
}

const WAYS = ["link", "click", "code"] as const;
const ENDS = ["logout", "logout", "revocation", "nothing"] as const;
let turns = 0;

/** One visitor, from signing in to the end of the session. */
async function live(visitor: Visitor, deck: () => Act, over: () => boolean): Promise<void> {
  const turn = turns++;
  const signedIn = await attempt(visitor, "sign in", () =>
    signIn(visitor, WAYS[turn % WAYS.length] ?? "link"),
  );
  if (!signedIn) return;
  for (let left = randomInt(5, 14); left > 0 && !over(); left--) {
    const act = deck();
    if (await attempt(visitor, act.name, () => act.do(visitor))) visitor.world.ledger.did(act.name);
    await attempt(visitor, "small requests", () => browse(visitor));
    await Bun.sleep(randomInt(100));
  }
  const end = ENDS[turn % ENDS.length] ?? "nothing";
  if (end === "nothing") return;
  if (await attempt(visitor, end, () => endSession(visitor, end))) visitor.world.ledger.did(end);
}

/** Spec: what is open on a session that ends is closed within this time. */
const CLOSED_WITHIN_MS = 5_000;

async function endSession(visitor: Visitor, how: "logout" | "revocation"): Promise<void> {
  const cookie = visitor.cookies.get(SESSION_COOKIE) ?? "";
  const { gateway, application } = visitor.world;
  const stream = await stayOnStream(visitor);
  try {
    if (how === "logout") {
      const response = await send(visitor, "/_runegate/logout", { method: "POST" });
      await expectStatus(response, 200, "a logout");
      await read(response);
    } else {
      const answer = await gateway.run("sessions", "revoke", visitor.email, "--json");
      if (!/"revoked":\s*1\b/.test(answer)) throw new Wrong(`a revocation answers ${answer}`);
    }
    const begin = performance.now();
    const late = Bun.sleep(CLOSED_WITHIN_MS).then(() => "late");
    if ((await Promise.race([stream.ended, late])) === "late") {
      throw new Wrong(`an event stream is still open ${CLOSED_WITHIN_MS} ms after a ${how}`);
    }
    if (!application.wasAway(begin)) visitor.world.ledger.did(`stream closed by a ${how}`);
    await expectSignedOut(visitor, cookie);
  } finally {
    stream.close();
  }
}

const ACT_PATIENCE_MS = 30_000;
/** Nobody asks again at once. */
const AFTER_MISHAP_MS = 300;

/** @returns whether it went well. What went wrong is in the ledger. */
async function attempt(visitor: Visitor, what: string, act: () => Promise<void>): Promise<boolean> {
  const { application, ledger } = visitor.world;
  const begin = performance.now();
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Wrong("it does not come to an end")), ACT_PATIENCE_MS);
  try {
    await Promise.race([act(), late.promise]);
    return true;
  } catch (error) {
    if (error instanceof Mishap && application.wasAway(begin)) ledger.excuse(`${error.kind} (restart)`);
    else ledger.blame(`${what}: ${reasonOf(error)}`);
    await Bun.sleep(AFTER_MISHAP_MS);
    return false;
  } finally {
    clearTimeout(timer);
  }
}

async function restartNowAndThen(
  application: RestartingApplication,
  seconds: number,
  over: () => boolean,
): Promise<void> {
  const every = Math.max(5, Math.min(30, seconds / 4)) * 1000;
  for (;;) {
    const next = performance.now() + every;
    while (performance.now() < next) {
      if (over()) return;
      await Bun.sleep(100);
    }
    await application.restart();
  }
}

function progressLine(elapsed: number, { ledger, application, gateway }: World, log: LogReader): string {
  const { resident, descriptors, threads } = takeSample(gateway.pid, elapsed);
  const excused = [...ledger.excused.values()].reduce((sum, count) => sum + count, 0);
  return (
    `${elapsed.toFixed(0)} s: ${log.requests()} requests, ${application.restarts()} restarts, ${excused} errors explained, ` +
    `${ledger.unexplainedCount()} not; ${resident.toFixed(0)} MiB, ${descriptors} descriptors, ${threads} threads`
  );
}

/**
 * Takes away everybody whom the gateway may still be connected to, and waits until its descriptors are what they were.
 * @returns how they are in the end, and what has not been told as ended.
 */
async function quieten(
  { application, gateway, opened }: World,
  mail: MailServer,
  log: LogReader,
  before: Sample,
  elapsed: () => number,
): Promise<{ readonly after: Sample; readonly openEnds: string[] }> {
  await application.stop();
  await mail.stop();
  const giveUpAt = performance.now() + QUIET_SECONDS * 1000;
  for (;;) {
    await Bun.sleep(250);
    const sample = takeSample(gateway.pid, elapsed());
    // What the visitors' own pool of connections keeps open is not the gateway's doing.
    const kept = connectionsTo(gateway.port);
    const after = {
      ...sample,
      descriptors: sample.descriptors - kept,
      sockets: sample.sockets - kept,
    };
    const ended = log.ended();
    const openEnds = [
      ...fewer("event streams", opened.streams, ended.streams),
      ...fewer("WebSockets", opened.sockets, ended.sockets),
    ];
    const settled = after.sockets <= before.sockets && openEnds.length === 0;
    if (settled || performance.now() > giveUpAt) return { after, openEnds };
  }
}

/** More may have ended than were opened: what breaks off before its head arrives was not opened for its visitor. */
function fewer(what: string, opened: number, ended: number): string[] {
  if (ended >= opened) return [];
  return [`${opened} ${what} were opened, and the log tells of the end of ${ended}`];
}

type Findings = {
  readonly before: Sample;
  readonly after: Sample;
  readonly memory: Flatness;
  readonly idle: number;
};

function problemsOf({ before, after, memory, idle }: Findings): string[] {
  const problems: string[] = [];
  if (memory.flat === false) {
    const allowed = memory.allowed.toFixed(0);
    problems.push(
      `memory grows: ${memory.early.toFixed(0)} MiB in the second quarter, ${memory.late.toFixed(0)} in the last (at most ${allowed})`,
    );
  }
  if (after.sockets > before.sockets) {
    problems.push(`${after.sockets} sockets are open, and were ${before.sockets} before`);
  }
  if (after.descriptors > before.descriptors + LATE_DESCRIPTORS * after.processes) {
    problems.push(`${after.descriptors} descriptors are open, and were ${before.descriptors} before`);
  }
  if (after.processes !== before.processes) {
    problems.push(`there are ${after.processes} processes, and were ${before.processes}`);
  }
  if (idle > MOST_IDLE_CPU * after.processes) {
    problems.push(`something goes on: ${(idle * 100).toFixed(1)} % of a core while nobody asks for anything`);
  }
  return problems;
}

function sorted(counts: Iterable<readonly [string, number]>): Record<string, number> {
  return Object.fromEntries([...counts].sort(([a], [b]) => a.localeCompare(b)));
}

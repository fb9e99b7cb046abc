import type { Stage, Started } from "../bench/stage.ts";
import { accepts, freePort } from "../bench/stage.ts";

/** The sample application, which is stopped and started again now and then. */
export type RestartingApplication = {
  readonly port: number;
  /** Whether it was away at some time since, or only just came back. */
  wasAway(since: number): boolean;
  /** Whether it was away at a time, in milliseconds since the Unix epoch. */
  wasAwayAt(time: number): boolean;
  /** Kills it or asks it to stop, in turn, and starts it again. */
  restart(): Promise<void>;
  restarts(): number;
  stop(): Promise<void>;
};

/**
 * After it listens again: connections to the one before may still be in the gateway's pool, and a visitor may only now hear of
 * what happened.
 */
const AFTERMATH_MS = 2_000;
const ABSENCE_MS = 500;
const START_MS = 10_000;

export async function startApplication(
  stage: Stage,
  runegate: readonly string[],
): Promise<RestartingApplication> {
  const port = freePort();
  const command = [...runegate, "target", "--listen", `127.0.0.1:${port}`];
  /** Monotonic and wall-clock milliseconds; the end is open while it is away. */
  const absences: { readonly from: Moment; until: Moment | undefined }[] = [];
  let restarts = 0;
  let running = await stage.start("application", command, port);

  async function start(): Promise<Started> {
    const started = stage.launch("application", command);
    const giveUpAt = performance.now() + START_MS;
    while (!(await accepts(port))) {
      if (performance.now() > giveUpAt) throw new Error("the application does not start again");
      await Bun.sleep(20);
    }
    return started;
  }

  return {
    port,
    wasAway: (since) =>
      absences.some(({ until }) => until === undefined || until.monotonic + AFTERMATH_MS >= since),
    wasAwayAt: (time) =>
      absences.some(
        ({ from, until }) => time >= from.wall && (until === undefined || time <= until.wall + AFTERMATH_MS),
      ),
    async restart() {
      const absence: (typeof absences)[number] = { from: now(), until: undefined };
      absences.push(absence);
      // Nothing asks about absences of long ago.
      if (absences.length > 100) absences.shift();
      if (restarts % 2 === 0) process.kill(running.pid, "SIGKILL");
      await stage.end(running);
      await Bun.sleep(ABSENCE_MS);
      running = await start();
      restarts++;
      absence.until = now();
    },
    restarts: () => restarts,
    async stop() {
      absences.push({ from: now(), until: undefined });
      await stage.end(running);
    },
  };
}

type Moment = { readonly monotonic: number; readonly wall: number };

function now(): Moment {
  return { monotonic: performance.now(), wall: Date.now() };
}

import { systemClock } from "../clock.ts";
import { EXIT } from "../exit.ts";
import { type Command, failed, UsageError } from "./command.ts";

/** The main process takes 18 seconds at most (`src/process/serving.ts`), and systemd waits for this one for 20. */
const WITHIN_MS = 19_000;
const LOOK_MS = 50;

const FLAGS = { pid: { type: "string" } } as const;

/**
 * `runegate stop`: ExecStop= of the unit. systemd does not wait for a main process that was not its child when it was told of it, as
 * after each hand-over: it would send SIGTERM and SIGKILL at once. Not listed, because for people there is systemctl.
 */
export const stop: Command<typeof FLAGS> = {
  name: "stop",
  summary: "what systemd stops the service with",
  help: `Usage: runegate stop --pid PID

Sends SIGTERM to the main process, and waits until it has gone. The unit calls it;
people stop the service by \`systemctl stop runegate\`.`,

  flags: FLAGS,

  async run({ values: { pid: given } }, io) {
    // A main process that has gone by itself has no number any more.
    if (given === "") return EXIT.done;
    const pid = Number(given);
    if (given === undefined || !/^\d+$/.test(given) || !Number.isSafeInteger(pid) || pid < 2)
      throw new UsageError("the unit calls it with the number of the main process.");
    const began = systemClock.monotonic();
    // Just once: should the number be another process's later, that is waited for, and no more.
    for (let there = signal(pid, "SIGTERM"); there; there = signal(pid, 0)) {
      if (systemClock.monotonic() - began > WITHIN_MS)
        return failed(io, `process ${pid} has not ended within ${WITHIN_MS / 1000} s.`);
      await Bun.sleep(LOOK_MS);
    }
    return EXIT.done;
  },
};

/** @returns whether there is such a process of this user's. */
function signal(pid: number, what: "SIGTERM" | 0): boolean {
  try {
    return process.kill(pid, what);
  } catch (error) {
    // No such process (ESRCH), or somebody else's (EPERM): then what was meant is gone.
    if (error instanceof Error && "code" in error && (error.code === "ESRCH" || error.code === "EPERM"))
      return false;
    throw error;
  }
}

import { existsSync } from "node:fs";
import type { Pause } from "../clock.ts";
import { identityOf } from "./executables.ts";

/** The service as systemd has it. */
export type Service = {
  /** Whether it runs, and its main process is what has this name now. */
  runs(path: string): boolean;
  isActive(): boolean;
  /** Waits for it. @returns false if it went wrong, which the journal explains. */
  call(verb: "reload" | "restart"): boolean;
  /** Waits until the main process is what has this name. @returns false if that does not come about. */
  comesToRun(path: string): Promise<boolean>;
};

const NAME = "runegate";
/** There where systemd is process 1 (sd_booted(3)). */
const BOOTED = "/run/systemd/system";
/** As TimeoutStartSec= of the unit. */
const SWITCH_MS = 90_000;
/** A reload is asked for by a signal, and so is not under way at once. */
const BEGINS_MS = 3_000;
const LOOK_MS = 200;

export function systemdService(settings: {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly pause: Pause;
  readonly monotonic: () => number;
}): Service {
  const { env, pause, monotonic } = settings;

  function systemctl(...args: string[]): { readonly ok: boolean; readonly said: string } {
    const program = Bun.which("systemctl", { PATH: env.PATH ?? "" });
    if (program === null || !existsSync(BOOTED)) return { ok: false, said: "" };
    const { success, stdout } = Bun.spawnSync([program, ...args], {
      env,
      stdin: "ignore",
      stderr: "inherit",
    });
    return { ok: success, said: stdout.toString().trim() };
  }

  /** "active", "reloading", "failed", … */
  const state = () => systemctl("show", "--property=ActiveState", "--value", NAME).said;
  const mainProcess = () => Number(systemctl("show", "--property=MainPID", "--value", NAME).said);

  function runs(path: string): boolean {
    const pid = mainProcess();
    if (!(pid > 0)) return false;
    const running = identityOf(`/proc/${pid}/exe`);
    return running !== undefined && running === identityOf(path);
  }

  return {
    runs,
    isActive: () => ["active", "reloading"].includes(state()),
    call: (verb) => systemctl(verb, NAME).ok,
    async comesToRun(path) {
      const began = monotonic();
      while (monotonic() - began < SWITCH_MS) {
        const now = state();
        if (now === "active") {
          if (runs(path)) return true;
          if (monotonic() - began > BEGINS_MS) return false;
        } else if (now !== "reloading") return false;
        await pause(LOOK_MS);
      }
      return false;
    },
  };
}

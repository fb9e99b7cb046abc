import type { Clock } from "../clock.ts";
import type { Options } from "../config/options.ts";
import type { Logger } from "../observe/logger.ts";
import { longestLife } from "../rotation/life.ts";

/** Timers hold 24 days at most, and the wall clock may be set meanwhile. */
const LOOK_MS = 6 * 60 * 60_000;

/** Says in the log how far a change of the secrets is: at the start, at a reload, and once nothing needs the ones before. */
export function createRotationNotes(clock: Clock, logger: () => Logger) {
  let timer: ReturnType<typeof setTimeout> | undefined;

  function waitUntil(due: number): void {
    timer = setTimeout(() => (clock.now() < due ? waitUntil(due) : sayDue()), LOOK_MS).unref();
  }

  function sayDue(): void {
    logger().warn("the secrets before the last change can go: runegate secrets rotate --finish");
  }

  return {
    say(options: Options): void {
      clearTimeout(timer);
      if (options.jwtSecretNext !== undefined || options.sessionKeyNext !== undefined)
        logger().info(
          "the next secrets are accepted: go on with runegate secrets rotate once all machines have them",
        );
      if (options.jwtSecretPrevious === undefined && options.sessionKeyPrevious === undefined) return;
      const { secretsRotated } = options;
      const due = secretsRotated === undefined ? undefined : secretsRotated + longestLife(options);
      if (due !== undefined && clock.now() >= due) {
        sayDue();
        return;
      }
      const until = due === undefined ? "RUNEGATE_SECRETS_ROTATED does not say" : new Date(due).toISOString();
      logger().info("the secrets before the last change are accepted too", { needed_until: until });
      if (due !== undefined) waitUntil(due);
    },
    stop(): void {
      clearTimeout(timer);
    },
  };
}

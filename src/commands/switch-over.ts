import { systemClock } from "../clock.ts";
import { readOptions } from "../config/load.ts";
import { EXIT } from "../exit.ts";
import { canHandOver } from "../process/handover.ts";
import type { Io } from "../process/io.ts";
import { type Service, systemdService } from "../upgrade/service.ts";
import { failed, type Outcome } from "./command.ts";
import { isReady, mayStart } from "./other-version.ts";

/** Brings the service onto the executable that has the name now. */

/** `runegate upgrade --switch-over`, for who has exchanged the executable already. */
export async function switchOver(path: string, io: Io): Promise<Outcome> {
  const service = systemd(io);
  if (!service.isActive()) {
    io.out("The service does not run.");
    return { data: { changed: false } };
  }
  if (service.runs(path)) {
    io.out("The service runs this executable already.");
    return { data: { changed: false } };
  }
  if (!mayStart(path, io)) return EXIT.config;
  if (await bringOver(way(io), service, path, io)) {
    io.out("The service runs it and is ready.");
    return { data: { changed: true } };
  }
  return failed(io, "This version did not take over, or is not ready: journalctl -u runegate");
}

export function systemd({ env }: Io): Service {
  return systemdService({ env, pause: Bun.sleep, monotonic: systemClock.monotonic });
}

/** @returns whether it runs it, and is ready. What it does if not is the caller's to mend. */
export async function bringOver(
  how: "reload" | "restart",
  service: Service,
  path: string,
  io: Io,
): Promise<boolean> {
  io.out(
    how === "reload"
      ? "The service is reloaded: it hands over to the executable, and no connection is refused."
      : "The service is restarted.",
  );
  return service.call(how) && (await service.comesToRun(path)) && (await isReady(path, io));
}

/** By a hand-over, where two can be for a moment. */
export function way(io: Io): "reload" | "restart" {
  const { store, listen, checkListen } = readOptions(io).options;
  const isKnown = store !== undefined && listen !== undefined;
  return isKnown && canHandOver({ store, listen, checkListen }) ? "reload" : "restart";
}

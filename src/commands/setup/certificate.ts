import { systemClock } from "../../clock.ts";
import type { Configuration } from "../../config/configuration.ts";
import { SECOND } from "../../option/values.ts";
import { hostsOf } from "../../process/hosts.ts";
import type { Io } from "../../process/io.ts";
import { look } from "../certificates.ts";
import { probeNames } from "../probe-names.ts";
import { minutes } from "../table.ts";

/** An order takes seconds; what takes longer has met with an obstacle, and is tried again after a minute. */
const WITHIN_MS = 45 * SECOND;
const BETWEEN_MS = SECOND / 2;
/** Times in a row: the listener with the certificate before answers for a moment beside the one with the new one. */
const OFTEN = 3;

/**
 * Waits for the certificate of a service that has just been started, and says how it goes.
 * @param within milliseconds.
 * @returns whether one was given.
 */
export async function waitForCertificate(
  configuration: Pick<Configuration, "options" | "routesFile">,
  io: Pick<Io, "out" | "err">,
  within = WITHIN_MS,
): Promise<boolean> {
  const { listen } = configuration.options;
  const hosts = hostsOf(configuration);
  const [host = ""] = hosts;
  if (listen.kind === "unix") return true;
  io.out(`Waiting for a certificate for ${host} …`);
  let seen = 0;
  for (const until = systemClock.now() + within; systemClock.now() < until; await Bun.sleep(BETWEEN_MS)) {
    const { issuer, until: end, problem } = await look(host, listen);
    // The one that is shown until then is from the host itself.
    seen = issuer === undefined || hosts.includes(issuer) ? 0 : seen + 1;
    if (seen < OFTEN || end === undefined) continue;
    io.out(
      `It is from ${issuer}, and good until ${minutes(end)}.${problem === undefined ? "" : ` But: ${problem}.`}`,
    );
    return true;
  }
  io.err("There is none yet. It is tried again by itself; `journalctl -u runegate` says why it was refused.");
  for (const line of (await probeNames(configuration))?.lines ?? []) io.err(`  ${line}`);
  return false;
}

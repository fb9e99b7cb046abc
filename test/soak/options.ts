import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";

export type SoakOptions = {
  /** Of mixed use; the quiet at the end comes on top. */
  readonly seconds: number;
  readonly visitors: number;
  readonly workers: number;
  /** `memory`, `sqlite`, `valkey`, or a location as `RUNEGATE_STORE` says it. */
  readonly store: string;
  /** The executable; undefined runs from source. */
  readonly binary: string | undefined;
  readonly json: string | undefined;
};

export const HELP = `Usage: npm run soak -- [options]

Runs a gateway under mixed use: logins by mail, pages, event streams,
WebSockets, uploads, downloads, visitors who leave in the middle, slow readers,
logouts, revocations, an application that is restarted. At the end everything
is left alone for a while, and memory, descriptors, threads and open streams
must be what they were. Every error is counted by its cause; one without a cause
fails the run.

  --minutes N     how long (10)
  --seconds N     the same in seconds
  --visitors N    at the same time (12)
  --workers N     RUNEGATE_WORKERS (1)
  --store WHERE   memory (the default), sqlite, valkey (a server is started for
                  it), or a location as RUNEGATE_STORE takes it
  --binary PATH   run this executable and not the source
  --json FILE     write everything that was counted and sampled to FILE
  --help

Exit codes: 0 all is well, 1 it is not, 64 usage, 130 interrupted.`;

/**
 * @returns undefined if help was asked for.
 * @throws {TypeError} for what cannot be understood.
 */
export function readOptions(args: string[]): SoakOptions | undefined {
  const { values } = parseArgs({
    args,
    options: {
      minutes: { type: "string" },
      seconds: { type: "string" },
      visitors: { type: "string", default: "12" },
      workers: { type: "string", default: "1" },
      store: { type: "string", default: "memory" },
      binary: { type: "string" },
      json: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  const { minutes, seconds, binary } = values;
  if (minutes !== undefined && seconds !== undefined) throw new TypeError("give --minutes or --seconds");
  if (binary !== undefined && !existsSync(binary)) throw new TypeError(`there is no ${binary}`);
  return {
    seconds:
      seconds === undefined
        ? 60 * wholeNumber("--minutes", minutes ?? "10", 1, 10_080)
        : wholeNumber("--seconds", seconds, 5, 604_800),
    visitors: wholeNumber("--visitors", values.visitors, 1, 100),
    workers: wholeNumber("--workers", values.workers, 1, 64),
    store: values.store,
    binary: binary === undefined ? undefined : resolve(binary),
    json: values.json,
  };
}

function wholeNumber(name: string, text: string, least: number, most: number): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && number >= least && number <= most) return number;
  throw new TypeError(`${name} is a whole number from ${least} to ${most}`);
}

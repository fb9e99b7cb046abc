import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import { STORES, type StoreKind } from "./stores.ts";

export type SimulationOptions = {
  readonly acts: number;
  readonly seed: number;
  readonly store: StoreKind;
  /** At the same time. */
  readonly people: number;
  /** Milliseconds without trouble between two. */
  readonly calm: number;
};

export const HELP = `Usage: npm run simulate -- [options]

Runs three gateways of two workers each in network namespaces over one store,
kills and cuts off each of them, lets people do what people do meanwhile, and
holds every answer against a model of what must be true. As root, on Linux.

  --acts N       how many things are done (100000)
  --store WHICH  valkey (the default) or postgres
  --seed N       repeats what was drawn in a run before; drawn if it is not given
  --people N     at the same time (40)
  --calm MS      between two troubles (6000)
  --help

RUNEGATE_EXECUTABLE=PATH runs that executable and not the source.
Exit codes: 0 all is well, 1 it is not, 64 usage.`;

/** @returns undefined if help was asked for. @throws {TypeError} for what cannot be understood. */
export function readOptions(args: string[]): SimulationOptions | undefined {
  const { values } = parseArgs({
    args,
    options: {
      acts: { type: "string", default: "100000" },
      store: { type: "string", default: "valkey" },
      seed: { type: "string", default: String(1 + Math.floor(Math.random() * 1_000_000)) },
      people: { type: "string", default: "40" },
      calm: { type: "string", default: "6000" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  const store = STORES.find((one) => one === values.store);
  if (store === undefined) throw new TypeError(`--store is one of ${STORES.join(", ")}`);
  const executable = process.env.RUNEGATE_EXECUTABLE;
  if (executable !== undefined && !existsSync(executable)) throw new TypeError(`there is no ${executable}`);
  return {
    acts: wholeNumber("--acts", values.acts, 100, 10_000_000),
    seed: wholeNumber("--seed", values.seed, 1, 1_000_000_000),
    store,
    people: wholeNumber("--people", values.people, 1, 500),
    calm: wholeNumber("--calm", values.calm, 0, 600_000),
  };
}

function wholeNumber(name: string, text: string, least: number, most: number): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && number >= least && number <= most) return number;
  throw new TypeError(`${name} is a whole number from ${least} to ${most}`);
}

import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Effort, Section } from "./section.ts";

export type BenchOptions = Effort & {
  readonly sections: readonly Section[];
  readonly list: boolean;
  readonly binary: string | undefined;
  /** A directory with executables of others. */
  readonly peers: string | undefined;
  readonly json: string | undefined;
  readonly write: boolean;
};

export const HELP = `Usage: npm run bench -- [options]

  --only A,B       these sections alone, in their order (all of them)
  --list           say which there are
  --seconds N      load on each contestant in each round (5)
  --rounds N       each round loads every contestant in turn; medians are reported (3)
  --connections N  kept alive, each with one request under way (32)
  --streams N      idle event streams and WebSockets (5000)
  --size N         MiB of the large body (1024)
  --sessions N     sessions in the large store (1000000)
  --binary PATH    the executable to measure (dist/runegate; built if it is missing or old)
  --peers DIR      take oauth2-proxy, Traefik, Caddy, nginx and rathole from here, where they are
  --json FILE      write every figure of every round to FILE
  --write          put the tables into test/bench/README.md
  --help`;

/**
 * @returns undefined if help was asked for.
 * @throws {TypeError} for what cannot be understood.
 */
export function readOptions(args: string[], sections: readonly Section[]): BenchOptions | undefined {
  const { values } = parseArgs({
    args,
    options: {
      only: { type: "string" },
      list: { type: "boolean", default: false },
      seconds: { type: "string", default: "5" },
      rounds: { type: "string", default: "3" },
      connections: { type: "string", default: "32" },
      streams: { type: "string", default: "5000" },
      size: { type: "string", default: "1024" },
      sessions: { type: "string", default: "1000000" },
      binary: { type: "string" },
      peers: { type: "string" },
      json: { type: "string" },
      write: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  const { binary, peers } = values;
  if (peers !== undefined && !existsSync(peers)) throw new TypeError(`there is no ${peers}`);
  if (binary !== undefined && !existsSync(binary)) throw new TypeError(`there is no ${binary}`);
  return {
    sections: choose(values.only, sections),
    list: values.list,
    seconds: wholeNumber("--seconds", values.seconds, 1, 3600),
    rounds: wholeNumber("--rounds", values.rounds, 1, 100),
    connections: wholeNumber("--connections", values.connections, 1, 900),
    // Every one of them needs a port of its own towards the application, of which there are some 28,000.
    streams: wholeNumber("--streams", values.streams, 200, 20_000),
    size: wholeNumber("--size", values.size, 1, 65_536) * 2 ** 20,
    sessions: wholeNumber("--sessions", values.sessions, 2000, 10_000_000),
    binary: binary === undefined ? undefined : resolve(binary),
    peers: peers === undefined ? undefined : resolve(peers),
    json: values.json,
    write: values.write,
  };
}

function choose(only: string | undefined, sections: readonly Section[]): readonly Section[] {
  if (only === undefined) return sections;
  const names = only.split(",").map((name) => name.trim());
  const unknown = names.find((name) => !sections.some((section) => section.name === name));
  if (unknown !== undefined)
    throw new TypeError(`there is no section "${unknown}"; --list says which there are`);
  return sections.filter(({ name }) => names.includes(name));
}

function wholeNumber(name: string, text: string, least: number, most: number): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && number >= least && number <= most) return number;
  throw new TypeError(`${name} is a whole number from ${least} to ${most}`);
}

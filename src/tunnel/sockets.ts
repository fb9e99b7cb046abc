import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../clock.ts";
import { checkPlace } from "../net/directory.ts";
import type { TunnelAddress } from "../net/endpoint.ts";

/**
 * The unix sockets of tunnels: each process has one for what it has a connector of, and all processes of the instance connect to
 * them. Which there are is a listing of their directory.
 */
export type TunnelSockets = {
  /** Where to connect to now: to this process's own if it has one. Of a tunnel without a connector, where nothing is. */
  pathOf(address: TunnelAddress): string;
  isUp(address: TunnelAddress): boolean;
  /** For this process to listen at. */
  ownPath(address: TunnelAddress): string;
  /** What this process listens at has changed. */
  changed(own: ReadonlyMap<string, string>): void;
};

/** Until then others are believed to be there, or not. */
const LISTING_MS = 200;
/** Where nothing ever listens, and nobody can make something that does. */
const NOWHERE = "/dev/null/none";

/** Of what the sockets of one target have in common. */
export function socketKey({ name, service }: Pick<TunnelAddress, "name" | "service">): string {
  return `${name}.${service}.`;
}

/** Gateways of one process follow each other in a reload, and the one before goes on for a while. */
let made = 0;

export function createTunnelSockets(directory: string, clock: Clock): TunnelSockets {
  const serial = made++;
  let own: ReadonlyMap<string, string> = new Map();
  let listed: readonly string[] = [];
  let listedAt = Number.NEGATIVE_INFINITY;
  let turn = 0;

  function listAnew(now: number): void {
    listedAt = now;
    try {
      checkPlace(directory);
      listed = readdirSync(directory).filter(isAlive);
    } catch {
      // Nobody has made it yet; or somebody who wants what is meant for our application.
      listed = [];
    }
  }

  /** One may have gone since it was listed. */
  function others(key: string): string[] {
    const paths = listed.filter((name) => name.startsWith(key)).map((name) => join(directory, name));
    return paths.filter((path) => existsSync(path));
  }

  function find(address: TunnelAddress): string | undefined {
    const key = socketKey(address);
    const mine = own.get(key);
    if (mine !== undefined) return mine;
    const now = clock.monotonic();
    if (now - listedAt >= LISTING_MS) listAnew(now);
    let all = others(key);
    if (all.length === 0) {
      listAnew(now);
      all = others(key);
    }
    return all[turn++ % all.length];
  }

  return {
    pathOf: (address) => find(address) ?? NOWHERE,
    isUp: (address) => find(address) !== undefined,
    ownPath: (address) => join(directory, `${socketKey(address)}${process.pid}-${serial}`),
    changed(now) {
      own = now;
      listedAt = Number.NEGATIVE_INFINITY;
    },
  };
}

/** Takes away what processes have left behind that were killed. */
export function removeDead(directory: string): void {
  for (const name of readdirSync(directory)) {
    if (OF_PROCESS.test(name) && !isAlive(name)) rmSync(join(directory, name), { force: true });
  }
}

const OF_PROCESS = /\.(\d+)-\d+$/;

/** Whether the process is there that made it: one that was killed left it behind. */
function isAlive(name: string): boolean {
  const pid = Number(OF_PROCESS.exec(name)?.[1]);
  if (!(pid > 0)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

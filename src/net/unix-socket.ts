import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fstatSync,
  linkSync,
  lstatSync,
  openSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { dirname, join } from "node:path";

/** Unix sockets that others are to find under a name: whoever may write to one may connect to it (unix(7)). */

export type SocketAccess = {
  /** Permission bits. */
  readonly mode: number;
  /** A name or a number; undefined leaves the group that the directory or the process gives it. */
  readonly group?: string | undefined;
};

/** Whoever is connected to but says nothing for so long listens all the same. */
const ANSWER_MS = 1_000;

/**
 * Removes the socket that a killed process has left at `path`. Nothing else is ever removed: a mistyped option must not cost
 * anybody a file, and no instance takes another's name.
 * @throws if something listens there, or something that is no socket has that name.
 */
export async function removeStaleSocket(path: string): Promise<void> {
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there === undefined) return;
  if (!there.isSocket()) throw new Error(`something that is no socket has the name ${path}`);
  if (!(await isDeserted(path))) throw new Error(`another instance listens on ${path}`);
  if (lstatSync(path, { throwIfNoEntry: false })?.ino === there.ino) rmSync(path);
}

/**
 * Of all errors only this one says that nobody listens: a full queue is a listener's (connect(2), EAGAIN). `node:net` tells the
 * two alike in Bun, `fetch` does not.
 */
async function isDeserted(path: string): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(ANSWER_MS);
    await fetchOnSocket(path, "http://localhost/_runegate/health/live", { redirect: "manual", signal });
    return false;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "ECONNREFUSED";
  }
}

/** Linux: opens what has the name itself, links included, without doing anything to it (open(2)). */
const O_PATH = 0o10000000;

/**
 * Asks on the socket that has the name itself: no link is followed, and none that is put there meanwhile.
 * @throws {Error} with `code` if nothing has the name, or `ENOTSOCK` if something else has.
 */
export async function fetchOnSocket(path: string, url: string, init: RequestInit): Promise<Response> {
  const linux = process.platform === "linux";
  const file = linux ? openSync(path, O_PATH | constants.O_NOFOLLOW) : undefined;
  try {
    const stats = file === undefined ? lstatSync(path) : fstatSync(file);
    if (!stats.isSocket()) throw Object.assign(new Error(`${path} is no socket`), { code: "ENOTSOCK" });
    const unix = file === undefined ? path : `/proc/self/fd/${file}`;
    // The name is used again for another socket: no connection to this one may be kept for it.
    return await fetch(url, { ...init, unix, proxy: false, keepalive: false } as BunFetchRequestInit);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/**
 * Lets `serve` listen where nobody looks, and gives the socket its name when it has its owner and mode: it is never open to
 * more than it should be. Nothing is replaced. Bun removes whatever has the name that a listener was opened with, also if
 * that is somebody else's by then; of the hidden name nothing is left.
 * @returns the server, and what takes the name away if it is still this socket's.
 * @throws with the reason; nothing is left behind then.
 */
export function bindUnixSocket<Server extends { stop(closeActive: boolean): unknown }>(
  path: string,
  { mode, group }: SocketAccess,
  serve: (path: string) => Server,
): { readonly server: Server; release(): void } {
  const gid = group === undefined ? undefined : groupId(group);
  const hidden = join(dirname(path), `.${process.pid}`);
  // Left behind by a process that had the same id.
  if (lstatSync(hidden, { throwIfNoEntry: false })?.isSocket()) rmSync(hidden);
  const umask = process.umask(0o177);
  let server: Server;
  try {
    server = serve(hidden);
  } finally {
    process.umask(umask);
  }
  try {
    const { ino, uid } = lstatSync(hidden);
    if (gid !== undefined) chownSync(hidden, uid, gid);
    chmodSync(hidden, mode);
    linkSync(hidden, path);
    rmSync(hidden);
    return {
      server,
      release() {
        if (lstatSync(path, { throwIfNoEntry: false })?.ino === ino) rmSync(path);
      },
    };
  } catch (error) {
    server.stop(true);
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (code === "EEXIST") throw new Error(`something else has just taken the name ${path}`);
    if (code === "EPERM" && group !== undefined) {
      throw new Error(`${path} cannot be given to the group ${group}, of which this user is no member`);
    }
    throw error;
  }
}

/** @throws if the machine has no such group (group(5)). A directory service is not asked: numbers work everywhere. */
function groupId(group: string): number {
  if (/^\d+$/.test(group)) return Number(group);
  const lines = readFileSync("/etc/group", "utf8").split("\n");
  const id = lines.map((line) => line.split(":")).find(([name]) => name === group)?.[2];
  if (id === undefined) throw new Error(`there is no group ${group} in /etc/group: write its number instead`);
  return Number(id);
}

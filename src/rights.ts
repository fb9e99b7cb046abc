import { lstatSync, readlinkSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

/**
 * What root's command line does with files that another user could exchange, such as the service's, it does with that user's
 * rights: a link that leads elsewhere then leads to nothing that they could not read or write themselves, what SQLite makes
 * beside its database is theirs, and no check can be outrun. In root's own directories, and for everybody else, nothing changes.
 */

export type Owner = { readonly uid: number; readonly gid: number };

/** As many links may follow each other (path_resolution(7)). */
const MOST_LINKS = 40;

/** Whoever decides where `path` leads: the owner of the first part of it that is not root's, a link or what it leads to. */
export function ownerOf(path: string, links = 0): Owner | undefined {
  let at = "/";
  const parts = resolve(path).split("/").filter(Boolean);
  for (const [i, part] of parts.entries()) {
    at = join(at, part);
    const stats = lstatSync(at, { throwIfNoEntry: false });
    if (stats === undefined) return undefined;
    if (stats.uid !== 0) return { uid: stats.uid, gid: stats.gid };
    if (!stats.isSymbolicLink()) continue;
    if (links === MOST_LINKS) throw new Error(`${path} leads through too many links`);
    return ownerOf(resolve(dirname(at), readlinkSync(at), ...parts.slice(i + 1)), links + 1);
  }
  return undefined;
}

/** Whether {@link asOwnerOf} does work with the same rights for both. */
export function haveOneOwner(path: string, other: string): boolean {
  return process.geteuid?.() !== 0 || ownerOf(path)?.uid === ownerOf(other)?.uid;
}

/** Does `work` with the rights of the owner of `path`, if root runs this and the path is not all root's. */
export function asOwnerOf<T>(path: string, work: () => T): T {
  const owner = process.geteuid?.() === 0 ? ownerOf(path) : undefined;
  if (owner === undefined) return work();
  const groups = process.getgroups?.() ?? [];
  const group = process.getegid?.() ?? 0;
  process.setgroups?.([owner.gid]);
  process.setegid?.(owner.gid);
  process.seteuid?.(owner.uid);
  const restore = () => {
    process.seteuid?.(0);
    process.setegid?.(group);
    process.setgroups?.(groups);
  };
  let result: T;
  try {
    result = work();
  } catch (error) {
    restore();
    throw error;
  }
  // A promise goes on with these rights until it is settled; commands do one thing at a time.
  if (result instanceof Promise) return result.finally(restore) as T;
  restore();
  return result;
}

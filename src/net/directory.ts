import { lstatSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Whether nobody but the service's user and root could put a socket of their own into `directory` in place of the real one.
 * Both ends ask: a listener that strangers could replace, and a caller who would believe the stranger.
 * @throws with the reason if somebody could, or if there is no such directory.
 */
export function checkDirectory(directory: string): void {
  const stats = lstatSync(directory, { throwIfNoEntry: false });
  if (stats === undefined) throw new Error(`there is no ${directory}`);
  const ours = stats.uid === 0 || stats.uid === process.getuid?.();
  // Below a directory of root's alone, such as /run, it was root who gave it to the service's user.
  const given = isRootsAlone(dirname(directory));
  if (!stats.isDirectory() || !(ours || given) || isOpenToOthers(stats.mode)) {
    throw new Error(`${directory} belongs to somebody else, or others may write to it`);
  }
}

/**
 * As {@link checkDirectory}, for one whose own name nobody could take away either, to give it to a directory of theirs: that which it
 * is in is ours or root's as well, and open to nobody, or sticky as /tmp is.
 */
export function checkPlace(directory: string): void {
  checkDirectory(directory);
  const parent = dirname(directory);
  const stats = lstatSync(parent);
  if (stats.uid !== 0 || (stats.mode & STICKY) === 0) checkDirectory(parent);
}

function isRootsAlone(directory: string): boolean {
  const stats = lstatSync(directory, { throwIfNoEntry: false });
  return stats?.isDirectory() === true && stats.uid === 0 && !isOpenToOthers(stats.mode);
}

/** Who may write here may take away what is theirs, and nothing else (inode(7)). */
const STICKY = 0o1000;

function isOpenToOthers(mode: number): boolean {
  return (mode & 0o022) !== 0;
}

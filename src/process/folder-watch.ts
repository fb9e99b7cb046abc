import { type FSWatcher, readlinkSync, statSync, watch } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { messageOf } from "../observe/message-of.ts";

/**
 * Watches what decides about files, which is not the files themselves: editors rename a new one over the old, and Kubernetes
 * exchanges a link to a folder. So every folder on the way to a file is watched for the next name on that way.
 */
export type FolderWatch = {
  /** From now on for these files, absolute paths. They need not be there. */
  follow(paths: Iterable<string>): void;
  stop(): void;
};

/** As many links may follow each other (path_resolution(7)). */
const MOST_LINKS = 40;

/** @param onUnwatched of a folder that cannot be watched, each time. */
export function watchFolders(
  onEvent: () => void,
  onUnwatched: (folder: string, reason: string) => void,
): FolderWatch {
  type Watched = { readonly watcher: FSWatcher; readonly inode: string; names: ReadonlySet<string> };
  const watched = new Map<string, Watched>();

  function open(folder: string, names: ReadonlySet<string>): void {
    const inode = inodeOf(folder);
    const known = watched.get(folder);
    if (known !== undefined && known.inode === inode) {
      known.names = names;
      return;
    }
    close(folder);
    if (inode === undefined) return;
    try {
      const watcher = watch(folder, { persistent: false }, (_, name) => {
        if (name === null || watched.get(folder)?.names.has(name)) onEvent();
      });
      // A folder that has gone is seen by the one above it.
      watcher.on("error", onEvent);
      watched.set(folder, { watcher, inode, names });
    } catch (error) {
      onUnwatched(folder, messageOf(error));
    }
  }

  function close(folder: string): void {
    watched.get(folder)?.watcher.close();
    watched.delete(folder);
  }

  return {
    follow(paths) {
      const wanted = new Map<string, Set<string>>();
      for (const path of paths) addWay(path, wanted);
      for (const folder of watched.keys()) if (!wanted.has(folder)) close(folder);
      for (const [folder, names] of wanted) open(folder, names);
    },
    stop() {
      for (const folder of watched.keys()) close(folder);
    },
  };
}

/** Adds the folders on the way to a file, through all links, each with the names that lead on. */
function addWay(path: string, way: Map<string, Set<string>>, links = 0): void {
  let at = "/";
  const parts = resolve(path).split("/").filter(Boolean);
  for (const [i, part] of parts.entries()) {
    way.set(at, (way.get(at) ?? new Set()).add(part));
    at = join(at, part);
    const link = linkAt(at);
    if (link === undefined) continue;
    if (links < MOST_LINKS) addWay(resolve(dirname(at), link, ...parts.slice(i + 1)), way, links + 1);
    return;
  }
}

/** Undefined for what is no link, or is not there, or not for us to see. */
function linkAt(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

function inodeOf(folder: string): string | undefined {
  try {
    const stats = statSync(folder);
    return stats.isDirectory() ? `${stats.dev} ${stats.ino}` : undefined;
  } catch {
    return undefined;
  }
}

import { type FilesRead, haveChanged } from "../option/files.ts";
import { watchFolders } from "./folder-watch.ts";

/** Tells when a file that the configuration was read from says something else. */
export type ConfigWatch = {
  /** What was looked at when the configuration was read last. */
  follow(files: ReadonlyMap<string, string | undefined>): void;
  stop(): void;
};

/** An editor is done when nothing has happened for so long; what never rests is looked at all the same. */
const QUIET_MS = 150;
const LONGEST_MS = 2_000;

/**
 * @param onChange reads the configuration again and calls `follow`. Never rejects; while it is under way, it is not called again.
 * @param onUnwatched of a folder that cannot be watched, once for each.
 */
export function watchConfig(
  onChange: () => Promise<void>,
  onUnwatched: (folder: string, reason: string) => void,
): ConfigWatch {
  const unwatched = new Set<string>();
  const folders = watchFolders(lookSoon, (folder, reason) => {
    if (!unwatched.has(folder)) onUnwatched(folder, reason);
    unwatched.add(folder);
  });
  let files: FilesRead = new Map();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let waitingSince: number | undefined;
  let looking = false;
  let lookAgain = false;

  function lookSoon(): void {
    if (looking) {
      lookAgain = true;
      return;
    }
    const now = performance.now();
    waitingSince ??= now;
    const wait = Math.min(QUIET_MS, waitingSince + LONGEST_MS - now);
    clearTimeout(timer);
    timer = setTimeout(look, Math.max(0, wait)).unref();
  }

  async function look(): Promise<void> {
    waitingSince = undefined;
    looking = true;
    lookAgain = false;
    // First the folders, which may be others by now: what changes after that is seen.
    folders.follow(files.keys());
    if (haveChanged(files)) await onChange();
    looking = false;
    if (lookAgain) lookSoon();
  }

  return {
    follow(next) {
      files = new Map(next);
      folders.follow(files.keys());
      // It may have changed between the reading and the watching.
      lookSoon();
    },
    stop() {
      clearTimeout(timer);
      folders.stop();
    },
  };
}

import { mkdtempSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { needsRoot, skipBecause } from "../support/needs.ts";

/** A file system of its own that is soon full, for what only a real one shows. */
export type SmallDisk = {
  readonly directory: string;
  /** Leaves no byte free. */
  fill(): void;
  free(): void;
  readOnly(): void;
} & Disposable;

const BYTES = 2 * 1024 * 1024;

/** @returns what mounts one, or undefined to skip. */
export function needsSmallDisk(): (() => SmallDisk) | undefined {
  if (!needsRoot("to mount a disk")) return undefined;
  try {
    mountSmallDisk()[Symbol.dispose]();
    return mountSmallDisk;
  } catch (error) {
    // Root in a container may not.
    skipBecause(`no disk can be mounted (${error instanceof Error ? error.message : error})`);
    return undefined;
  }
}

function mountSmallDisk(): SmallDisk {
  const directory = mkdtempSync(join(tmpdir(), "runegate-small-disk-"));
  const filler = join(directory, "filler");
  try {
    run("mount", "-t", "tmpfs", "-o", `size=${BYTES},mode=700`, "tmpfs", directory);
  } catch (error) {
    rmdirSync(directory);
    throw error;
  }
  return {
    directory,
    fill() {
      // The kernel takes what fits, and says so by an error at the end.
      try {
        writeFileSync(filler, Buffer.alloc(BYTES));
      } catch (error) {
        if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
      }
    },
    free: () => rmSync(filler),
    readOnly: () => run("mount", "-o", "remount,ro", directory),
    [Symbol.dispose]() {
      run("umount", directory);
      rmdirSync(directory);
    },
  };
}

function run(...command: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(command, { stdout: "ignore", stderr: "pipe" });
  if (exitCode !== 0) throw new Error(stderr.toString().trim());
}

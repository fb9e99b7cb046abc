import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import type { Random } from "../clock.ts";

/**
 * The executable that has the name, the one before it, and one that is to be tried, all in one folder, so that an exchange is
 * a rename(2): whoever starts it meanwhile gets one of them whole. `deploy/install.sh` uses the same names.
 */
export type Executables = {
  readonly path: string;
  readonly previous: string;
  /** Takes away what an upgrade or install.sh has left that was killed. To be called with the folder locked. */
  sweep(): void;
  /** Writes one to be tried; nobody but the owner can read or run it before `write` has returned. @returns its path. */
  stage(write: (take: (piece: Uint8Array) => void) => void): string;
  /** Another name for the one before, to be tried. @returns its path. */
  stagePrevious(): string;
  /** Gives the one that was tried the name, and keeps what had it as the one before. */
  exchange(staged: string): void;
  /** Gives the one before its name back. */
  restore(): void;
  /** Takes away one that was tried and is not wanted. */
  discard(staged: string): void;
};

const EVERYBODY_RUNS = 0o755;
const OWNER_ONLY = 0o600;

export function executablesAt(path: string, random: Random): Executables {
  const folder = dirname(path);
  const previous = `${path}.previous`;
  // As install.sh names its own.
  const temporary = () => join(folder, `.runegate.${Buffer.from(random.bytes(6)).toString("hex")}.tmp`);

  function rename(from: string, to: string): void {
    renameSync(from, to);
    const file = openSync(folder, "r");
    fsyncSync(file);
    closeSync(file);
  }

  return {
    path,
    previous,
    sweep() {
      const left = readdirSync(folder).filter((name) => /^\.runegate\.[^.]+\.tmp$/.test(name));
      for (const name of left) rmSync(join(folder, name), { recursive: true });
    },
    stage(write) {
      const staged = temporary();
      const file = openSync(staged, "wx", OWNER_ONLY);
      try {
        write((piece) => {
          for (let written = 0; written < piece.length; ) written += writeSync(file, piece, written);
        });
        fsyncSync(file);
      } catch (error) {
        rmSync(staged, { force: true });
        throw error;
      } finally {
        closeSync(file);
      }
      chmodSync(staged, EVERYBODY_RUNS);
      return staged;
    },
    stagePrevious() {
      const staged = temporary();
      linkSync(previous, staged);
      return staged;
    },
    exchange(staged) {
      const kept = temporary();
      linkSync(path, kept);
      rename(kept, previous);
      // Still there where both were one file already: then nothing was to be renamed (rename(2)).
      rmSync(kept, { force: true });
      rename(staged, path);
    },
    restore() {
      rename(this.stagePrevious(), path);
    },
    discard(staged) {
      if (existsSync(staged)) rmSync(staged);
    },
  };
}

/** Names a file by what it is, not by where. */
export function identityOf(path: string): string | undefined {
  const file = statSync(path, { throwIfNoEntry: false });
  return file === undefined ? undefined : `${file.dev}:${file.ino}`;
}

import { createReadStream, createWriteStream } from "node:fs";
import { type FileHandle, open, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import type { Clock } from "../clock.ts";
import { messageOf } from "../observe/message-of.ts";
import { DAY } from "../option/values.ts";
import type { FilePlace } from "./address.ts";
import type { Transport } from "./transport.ts";

/**
 * A file of lines. One that is full, or of another day, is renamed after the time, compressed aside and renamed again, so that
 * whoever looks sees whole files alone; the oldest are removed. A file that somebody else has moved is left to them.
 */
export function createFileTransport(
  { path, max, daily, keep, mode }: FilePlace,
  { clock, onTrouble }: { readonly clock: Clock; readonly onTrouble: (reason: string) => void },
): Transport {
  let file: FileHandle | undefined;
  /** Of the file that is open. */
  let bytes = 0;
  let day = 0;
  /** Finished files are compressed one after the other, while lines go on. */
  let tidying: Promise<void> | undefined;

  async function ready(): Promise<FileHandle> {
    if (file !== undefined && (await isMoved(file))) await letGo();
    if (file === undefined) {
      file = await open(path, "a", mode);
      const status = await file.stat();
      if (!status.isFile()) {
        await letGo();
        throw new Error(`${path} is not a file`);
      }
      // Whatever the umask left of it; one that somebody else has made for us is theirs.
      if (status.size === 0 && status.uid === process.getuid?.()) await file.chmod(mode);
      bytes = status.size;
      day = dayOf(status.size === 0 ? clock.now() : status.mtimeMs);
      tidying ??= tidy();
    }
    return file;
  }

  /** By logrotate(8), say, or by the process that this one has been replaced by. */
  async function isMoved(there: FileHandle): Promise<boolean> {
    const named = await stat(path).catch(() => undefined);
    const { ino, dev } = await there.stat();
    return named?.ino !== ino || named.dev !== dev;
  }

  async function letGo(): Promise<void> {
    const closed = file;
    file = undefined;
    await closed?.close();
  }

  async function rotate(): Promise<void> {
    await letGo();
    // Sorts by time, and is a name everywhere.
    const time = new Date(clock.now()).toISOString().replaceAll(":", "-");
    await rename(path, `${path}.${time}`);
    tidying = (tidying ?? Promise.resolve()).then(tidy);
  }

  /** Compresses what is finished, also what a process that was killed has left, and removes what is too old. */
  async function tidy(): Promise<void> {
    const folder = dirname(path);
    try {
      const finished = (await readdir(folder)).filter((name) => isFinished(name)).sort();
      const removed = finished.splice(0, Math.max(0, finished.length - keep));
      for (const name of removed) await rm(join(folder, name), { force: true });
      for (const name of finished) if (!name.endsWith(".gz")) await compress(join(folder, name));
    } catch (error) {
      onTrouble(messageOf(error));
    }
  }

  function isFinished(name: string): boolean {
    const own = `${basename(path)}.`;
    return name.startsWith(own) && FINISHED.test(name.slice(own.length));
  }

  async function compress(finished: string): Promise<void> {
    const aside = `${finished}.new`;
    try {
      await pipeline(createReadStream(finished), createGzip(), createWriteStream(aside, { mode }));
      await rename(aside, `${finished}.gz`);
    } catch (error) {
      await rm(aside, { force: true });
      throw error;
    }
    await rm(finished, { force: true });
  }

  async function write(lines: readonly string[]): Promise<void> {
    let to = await ready();
    const data = Buffer.from(`${lines.join("\n")}\n`);
    const isFull = bytes + data.length > max;
    if (bytes > 0 && (isFull || (daily && day !== dayOf(clock.now())))) {
      await rotate();
      to = await ready();
    }
    try {
      await to.appendFile(data);
    } catch (error) {
      // A full disk takes a part. It is taken back, since all of it is written again.
      await to.truncate(bytes).catch(() => {});
      throw error;
    }
    bytes += data.length;
  }

  /** One thing at a time is done with the file. */
  let doing: Promise<unknown> = Promise.resolve();
  function next<T>(what: () => Promise<T>): Promise<T> {
    const done = doing.then(what);
    doing = done.catch(() => {});
    return done;
  }

  return {
    async send(lines) {
      await next(() => write(lines));
      return 0;
    },
    reopen() {
      next(letGo).catch((error: unknown) => onTrouble(messageOf(error)));
    },
    async close() {
      await next(letGo);
      await tidying;
    },
  };
}

const FINISHED = /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}Z(?:\.gz)?$/;

function dayOf(time: number): number {
  return Math.floor(time / DAY);
}

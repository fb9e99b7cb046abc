import fs from "node:fs";
import { KIB, MIB } from "../option/values.ts";

/** Where lines go. Writing one never throws and never waits. */
export type Sink = {
  /** @param line without its line feed. */
  readonly write: (line: string) => void;
  /** Writes out what is pending before it returns, unless the output is stalled: for the end of the process. */
  readonly flush: () => void;
  readonly state: () => SinkState;
};

export type SinkState = {
  /** Lines that were lost since it was made. */
  readonly lost: number;
  /** Characters that wait to be written. */
  readonly pending: number;
};

export type SinkSettings = {
  readonly fd: number;
  /**
   * Whether other processes write there too. Each write is then of whole lines and no longer than what is taken in one
   * piece, so that no line is torn by another's: files and sockets, as journald's, take 16 KiB so, a pipe a page.
   */
  readonly shared?: boolean;
  /** Called once the output takes lines again after `lines` of them were lost; writes a line that says so. */
  readonly onDropped: (lines: number) => void;
};

/** Characters that are worth a write of their own; fewer wait for company. */
const BATCH = 64 * KIB;
/** `PIPE_BUF` of Linux, in bytes (pipe(7)), and what a unix socket takes before it makes pieces of it. */
const ATOMIC = { pipe: 4096, other: 16 * KIB };
const GATHER_MS = 100;
/** Characters kept while the output does not take them. */
const MAX_PENDING = MIB;
/** For a descriptor that is non-blocking and full. */
const RETRY_MS = 10;
/** A write that takes longer has a reader that stalls: one more would hang the end of the process. */
const STALLED_MS = 50;

type Batch = { bytes: Uint8Array; readonly lines: number; begun: boolean };

/**
 * A buffered writer of lines to a file descriptor.
 *
 * One asynchronous write is under way at a time. A descriptor that blocks, as standard output does when it is a pipe or
 * journald's socket, then holds up a thread of the pool and never the event loop, and errors arrive in a callback.
 * (Bun's `FileSink` does not block either, but keeps what it is given without bound and reports `EPIPE` and `ENOSPC` as
 * unhandled errors.) While the output stalls, lines are kept up to a bound, and dropped and counted beyond it.
 */
export function createSink({ fd, shared = false, onDropped }: SinkSettings): Sink {
  const atomic = () => (fs.fstatSync(fd).isFIFO() ? ATOMIC.pipe : ATOMIC.other);
  const worthAWrite = shared ? atomic() : BATCH;
  let pending = "";
  let pendingLines = 0;
  let dropped = 0;
  let lost = 0;
  /** The output's last line was cut short: the next one must not continue it. */
  let torn = false;
  let underway: Batch | undefined;
  /** When the operating system was handed the batch under way, on the monotonic clock. */
  let writingSince: number | undefined;
  let timer: Timer | undefined;

  function write(line: string): void {
    if (pending.length + line.length >= MAX_PENDING) {
      lose(1);
      return;
    }
    pending += `${line}\n`;
    pendingLines++;
    schedule();
  }

  function lose(lines: number): void {
    dropped += lines;
    lost += lines;
  }

  function schedule(): void {
    if (underway !== undefined || pending === "") return;
    if (pending.length >= worthAWrite) begin();
    else timer ??= setTimeout(begin, GATHER_MS).unref();
  }

  function begin(): void {
    proceed(takePending());
  }

  function takePending(): Batch {
    clearTimeout(timer);
    timer = undefined;
    const end = shared ? endOfWholeLines(pending, worthAWrite - 1) : pending.length;
    const text = pending.slice(0, end);
    const lines = end === pending.length ? pendingLines : text.split("\n").length - 1;
    pending = pending.slice(end);
    pendingLines -= lines;
    const batch = { bytes: Buffer.from(torn ? `\n${text}` : text), lines, begun: false };
    torn = false;
    return batch;
  }

  function proceed(batch: Batch): void {
    underway = batch;
    writingSince = performance.now();
    fs.write(fd, batch.bytes, (error, written) => {
      writingSince = undefined;
      if (error === null) advance(batch, written);
      else if (error.code === "EAGAIN") setTimeout(retry, RETRY_MS, batch).unref();
      else abandon(batch);
    });
  }

  function retry(batch: Batch): void {
    // A flush may have written it meanwhile.
    if (underway === batch) proceed(batch);
  }

  function advance(batch: Batch, written: number): void {
    if (written < batch.bytes.length) {
      proceed({ bytes: batch.bytes.subarray(written), lines: batch.lines, begun: true });
      return;
    }
    underway = undefined;
    // What has waited goes first: the lines that were dropped came after it.
    schedule();
    if (dropped === 0) return;
    const lines = dropped;
    dropped = 0;
    onDropped(lines);
  }

  function abandon(batch: Batch): void {
    underway = undefined;
    torn = batch.begun;
    lose(batch.lines);
    schedule();
  }

  function flush(): void {
    if (writingSince !== undefined) {
      if (performance.now() - writingSince > STALLED_MS) return;
      // Its callback cannot come while this one runs: the thread gets the time a write takes, and more.
      Bun.sleepSync(STALLED_MS);
    } else if (underway !== undefined) {
      writeOut(underway.bytes);
      underway = undefined;
    }
    while (pending !== "" && writeOut(takePending().bytes));
  }

  /** @returns whether all of it was taken. */
  function writeOut(bytes: Uint8Array): boolean {
    const giveUpAt = performance.now() + STALLED_MS;
    let offset = 0;
    while (offset < bytes.length) {
      try {
        offset += fs.writeSync(fd, bytes, offset);
      } catch (error) {
        const full = error instanceof Error && "code" in error && error.code === "EAGAIN";
        if (!full || performance.now() > giveUpAt) return false;
        Bun.sleepSync(1);
      }
    }
    return true;
  }

  return { write, flush, state: () => ({ lost, pending: pending.length }) };
}

/** Where the lines end that fit into `most` bytes; the end of the first if that is longer. */
function endOfWholeLines(text: string, most: number): number {
  let end = text.lastIndexOf("\n", most - 1) + 1;
  while (end > 0 && Buffer.byteLength(text.slice(0, end)) > most) end = text.lastIndexOf("\n", end - 2) + 1;
  return end > 0 ? end : text.indexOf("\n") + 1;
}

import { createQueue } from "../sinks/queue.ts";
import type { Lines } from "./messages.ts";

/** How long lines of the log wait for company; those of the audit do not. */
const GATHER_MS = 100;
/** At the end of the process, for a supervisor that is busy or gone. */
const FLUSH_MS = 1_000;

/**
 * A worker's lines, on their way to the supervisor. What is sent waits until that has been taken which was sent before, so a
 * supervisor that is behind costs a bounded number of lines and no memory.
 */
export function createLineSender(send: (lines: Lines) => void) {
  const queues = { log: createQueue(), audit: createQueue() };
  let timer: Timer | undefined;
  /** What was sent and is not taken yet. */
  let sent: { readonly log: number; readonly audit: number } | undefined;
  let lost = 0;
  let emptied = Promise.withResolvers<void>();

  const isEmpty = () => queues.log.length + queues.audit.length === 0;

  function add(to: keyof typeof queues, line: string, withinMs: number): void {
    lost += queues[to].add(line);
    if (sent !== undefined) return;
    if (withinMs === 0) begin();
    else timer ??= setTimeout(begin, withinMs).unref();
  }

  function begin(): void {
    clearTimeout(timer);
    timer = undefined;
    if (sent !== undefined || isEmpty()) return;
    const [log, audit] = [queues.log.batch(), queues.audit.batch()];
    sent = { log: log.end, audit: audit.end };
    send({ kind: "lines", log: log.lines, audit: audit.lines, lost });
    lost = 0;
  }

  return {
    log: (line: string) => add("log", line, GATHER_MS),
    audit: (line: string) => add("audit", line, 0),
    taken(): void {
      if (sent === undefined) return;
      queues.log.release(sent.log);
      queues.audit.release(sent.audit);
      sent = undefined;
      if (isEmpty()) emptied.resolve();
      else begin();
    },
    /** Resolves when all are taken, or after a moment. */
    async flush(): Promise<void> {
      if (isEmpty()) return;
      emptied = Promise.withResolvers();
      begin();
      await Promise.race([emptied.promise, Bun.sleep(FLUSH_MS)]);
    },
  };
}

import type { RestartingApplication } from "./application.ts";
import type { Ledger } from "./ledger.ts";

/** Reads the gateway's log as it comes: requests are counted, and every warning and error must have its cause. */
export type LogReader = {
  line(text: string): void;
  /** Event streams and WebSockets whose end has been logged. */
  ended(): { readonly streams: number; readonly sockets: number };
  requests(): number;
  /** Requests by status. */
  readonly statuses: ReadonlyMap<number, number>;
};

type Line = {
  readonly time: string;
  readonly level: string;
  readonly module: string;
  readonly message: string;
  readonly path?: string;
  readonly status?: number;
  readonly event?: string;
  readonly reason?: string;
};

/** Messages that a restart of the application explains. */
const RESTART_MESSAGES = new Set([
  "the application did not answer",
  "the application did not take the WebSocket",
  "the response broke off",
]);

export function createLogReader(ledger: Ledger, application: () => RestartingApplication): LogReader {
  const statuses = new Map<number, number>();
  let streams = 0;
  let sockets = 0;
  let requests = 0;

  function countRequest({ path, status = 0 }: Line): void {
    requests++;
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    if (path === "/events" && status === 200) streams++;
    if (path === "/ws/echo" && status === 101) sockets++;
  }

  /** Undefined for what nothing explains. */
  function causeOf(line: Line): string | undefined {
    const { message, path, event, reason } = line;
    if (RESTART_MESSAGES.has(message) && application().wasAwayAt(Date.parse(line.time))) {
      return `log: ${message} (restart)`;
    }
    if (message === "the response broke off" && path === "/broken") return `log: ${message} (/broken)`;
    if (message === "audit" && event === "redemption_refused" && reason === "spent") {
      return "log: a link was opened twice";
    }
    if (message.startsWith("RUNEGATE_STORE is memory")) return "log: the store is memory";
    return undefined;
  }

  return {
    statuses,
    requests: () => requests,
    ended: () => ({ streams, sockets }),
    line(text) {
      const line = parse(text);
      if (line === undefined) ledger.blame(`output that is no log line: ${text}`);
      else if (line.module === "request") countRequest(line);
      else if (line.level === "warn" || line.level === "error") {
        const cause = causeOf(line);
        if (cause === undefined) ledger.blame(`log: ${text}`);
        else ledger.excuse(cause);
      }
    },
  };
}

function parse(text: string): Line | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && "module" in value ? (value as Line) : undefined;
  } catch {
    return undefined;
  }
}

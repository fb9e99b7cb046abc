import type { LogFormat, Logger } from "./logger.ts";

/** One request that has been answered, or was left by the client before it was. */
export type RequestLine = {
  readonly id: string;
  readonly method: string;
  /** Without the query: the query of a login link is a secret. */
  readonly path: string;
  readonly status: number;
  /** Of the response's body; undefined if nobody counted them. */
  readonly bytes: number | undefined;
  readonly ms: number;
  /** The client's IP address. */
  readonly client: string;
  /** The canonical address of whoever is signed in. */
  readonly user: string | undefined;
  /** Name of the application, where there are several. */
  readonly route: string | undefined;
  /** The client left before the response was complete. */
  readonly aborted?: boolean | undefined;
  /** One of many that a page sends by itself. */
  readonly quiet?: boolean | undefined;
};

export type RequestLog = (line: RequestLine) => void;

/**
 * One line a request: `GET /path 200` and what else is known of it. A machine's format also gets the message's parts as
 * fields, which on a console would only say everything twice.
 */
export function createRequestLog(log: Logger, format: LogFormat): RequestLog {
  if (!log.enabled("info")) return () => {};
  const split = format === "json";

  return ({ id, method, path, status, bytes, ms, client, user, route, aborted, quiet }) => {
    const message = `${method} ${path} ${status}`;
    const tenths = Math.round(ms * 10) / 10;
    const write = quiet === true ? log.debug : log.info;
    // Written out twice: objects of one shape, made in one go, are the cheapest there are.
    if (split) write(message, { method, path, status, bytes, ms: tenths, client, user, route, aborted, id });
    else write(message, { bytes, ms: tenths, client, user, route, aborted, id });
  };
}

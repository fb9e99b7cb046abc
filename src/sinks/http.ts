import { readFile } from "node:fs/promises";
import type { Clock } from "../clock.ts";
import { boundedText } from "../net/bounded-text.ts";
import { retryAfterOf } from "../net/retry-after.ts";
import { messageOf } from "../observe/message-of.ts";
import { KIB } from "../option/values.ts";
import type { HttpPlace } from "./address.ts";
import { otlpRejected, otlpRequest } from "./otlp.ts";
import { Refused, type Transport, TryLater } from "./transport.ts";

/** Batches by HTTP: newline-delimited JSON, or the logs of OTLP/HTTP in JSON. */

/** Those that the specification of OTLP/HTTP has sent again; the rest would be answered alike. */
const AGAIN: ReadonlySet<number> = new Set([429, 502, 503, 504]);
const MAX_ANSWER = 64 * KIB;

const FORMATS = {
  ndjson: {
    type: "application/x-ndjson",
    body: (lines: readonly string[]) => `${lines.join("\n")}\n`,
    rejected: () => 0,
  },
  otlp: { type: "application/json", body: otlpRequest, rejected: otlpRejected },
} as const;

export function createHttpTransport({ kind, url, basic, bearerFile }: HttpPlace, clock: Clock): Transport {
  const { type, body, rejected } = FORMATS[kind];
  return {
    async send(lines, signal) {
      const token = bearerFile === undefined ? undefined : (await readFile(bearerFile, "utf8")).trim();
      const authorization = token === undefined ? basic : `Bearer ${token}`;
      const response = await fetch(url, {
        method: "POST",
        headers: {
          "Content-Type": type,
          "User-Agent": "Runegate",
          ...(authorization === undefined ? {} : { Authorization: authorization }),
        },
        body: body(lines),
        // The token goes nowhere else.
        redirect: "manual",
        signal,
      }).catch((error: unknown) => {
        throw new Error(reasonOf(error));
      });
      const { status } = response;
      const answer = await boundedText(response, MAX_ANSWER).catch(() => "");
      if (response.ok) return rejected(answer);
      if (!AGAIN.has(status)) throw new Refused(`it answers with ${status}`);
      throw new TryLater(`it answers with ${status}`, retryAfterOf(response, clock.now()));
    },
    close() {},
  };
}

/** Never the message of `fetch`, which quotes the URL. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "it cannot be reached";
  return "code" in error && typeof error.code === "string"
    ? error.code
    : error.name === "Error"
      ? messageOf(error)
      : error.name;
}

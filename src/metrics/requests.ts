import { BOUNDS, DURATIONS, REQUESTS } from "./day.ts";
import type { Metrics } from "./metrics.ts";
import type { Cell, Observe } from "./registry.ts";

/** What is counted with every request: numbers that are looked up once for each application. */

/** `own` is what is answered here, for no application; `check` the question of an edge. */
export type RequestKind = "http" | "websocket" | "own" | "check";

/** What is counted of one application. */
export type RouteCounts = {
  /** Bytes from visitors, and to them. */
  readonly received: Cell;
  readonly sent: Cell;
  /** What is open and lasts longer than a moment. */
  readonly open: { readonly http: Cell; readonly websocket: Cell };
  /** Its answer did not come. */
  readonly errors: Readonly<Record<UpstreamError, Cell>>;
  /** How long a request has been here when it goes on to the application, in seconds. */
  readonly passedOn: Observe;
};

/** `handshake`: of a WebSocket, which tells no more. */
export type UpstreamError = "unreachable" | "connect_timeout" | "response_timeout" | "broken" | "handshake";

/** `invalid`: nothing was decided, since it was not for such a question or not for one that is understood. */
export type CheckVerdict = "allow" | "challenge" | "refuse" | "invalid" | "failed";

export type RequestCounts = {
  /**
   * @param route the name of the application; undefined where it is none's.
   * @param bytes of the answer's body, where somebody counted them.
   */
  answered(kind: RequestKind, route: string | undefined, status: number, ms: number, bytes?: number): void;
  /** By what came of them. @param edge the dialect they are asked in. */
  checks(edge: string): Readonly<Record<CheckVerdict, Cell>>;
  of(route: string): RouteCounts;
};

const OWN_BOUNDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1];

export function createRequestCounts(metrics: Metrics): RequestCounts {
  const requests = metrics.counter(REQUESTS, "Requests that were answered.", ["route", "code", "kind"]);
  const durations = metrics.histogram(
    DURATIONS,
    "From the arrival of a request to the end of its answer; of a WebSocket, to its end.",
    ["route", "kind"],
    BOUNDS,
  );
  const own = metrics.histogram(
    "runegate_http_own_duration_seconds",
    "What Runegate takes: for its own answers all of it, and for an application until the request goes there.",
    ["kind"],
    OWN_BOUNDS,
  );
  const bytes = metrics.counter("runegate_bytes_total", "Bytes of bodies and messages, by direction.", [
    "route",
    "direction",
  ]);
  const errors = metrics.counter(
    "runegate_upstream_errors_total",
    "Requests an application did not answer.",
    ["route", "reason"],
  );
  const open = metrics.counter(
    "runegate_open_streams",
    "WebSockets that are open, and requests that last: downloads, uploads, streams of events.",
    ["route", "kind"],
  );

  const checks = metrics.counter(
    "runegate_checks_total",
    "Questions of proxies in front, by what came of them.",
    ["edge", "verdict"],
  );

  type Answered = { readonly codes: readonly Cell[]; readonly took: Observe; readonly sent: Cell };
  /** For each kind, by the name of the application. */
  function answeredOf(kind: RequestKind): (route: string) => Answered {
    const known = new Map<string, Answered>();
    const make = (route: string): Answered => ({
      codes: ["1xx", "2xx", "3xx", "4xx", "5xx"].map((code) => requests.of(route, code, kind)),
      took: durations.of(route, kind),
      sent: bytes.of(route, "out"),
    });
    return (route) => known.getOrInsertComputed(route, make);
  }
  const known = {
    http: answeredOf("http"),
    websocket: answeredOf("websocket"),
    own: answeredOf("own"),
    check: answeredOf("check"),
  };
  const ofOwn = { http: undefined, websocket: undefined, own: own.of("own"), check: own.of("check") };
  const passedOn = own.of("http");

  return {
    answered(kind, route, status, ms, length = 0) {
      const { codes, took, sent } = known[kind](route ?? "");
      const code = codes[Math.trunc(status / 100) - 1];
      if (code !== undefined) code.value++;
      sent.value += length;
      took(ms / 1000);
      ofOwn[kind]?.(ms / 1000);
    },

    checks: (edge) => ({
      allow: checks.of(edge, "allow"),
      challenge: checks.of(edge, "challenge"),
      refuse: checks.of(edge, "refuse"),
      invalid: checks.of(edge, "invalid"),
      failed: checks.of(edge, "failed"),
    }),

    of: (route) => ({
      received: bytes.of(route, "in"),
      sent: bytes.of(route, "out"),
      open: { http: open.of(route, "http"), websocket: open.of(route, "websocket") },
      errors: {
        unreachable: errors.of(route, "unreachable"),
        connect_timeout: errors.of(route, "connect_timeout"),
        response_timeout: errors.of(route, "response_timeout"),
        broken: errors.of(route, "broken"),
        handshake: errors.of(route, "handshake"),
      },
      passedOn,
    }),
  };
}

import { failure, NOT_FOUND } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { readJson } from "../edge/body.ts";
import { createCookieReader } from "../edge/cookies.ts";
import type { AnswerOwn } from "../edge/own.ts";
import { API_PREFIX, isBelow, parseTarget } from "../edge/target.ts";
import { NO_GROUPS, type Principal } from "../identity/principal.ts";
import { PLAIN } from "../pages/look.ts";
import type { Counts } from "../store/copy.ts";
import { StoreUnavailable } from "../store/records.ts";
import type { WantedCopy } from "./copy.ts";

/** What the process does for whoever is on its machine, beside the management API. */
export type Operations = {
  /** Reads the configuration again. @returns why it stays as it was; undefined where it is in force. */
  reload(): Promise<string | undefined>;
  /** Has certificates ordered now; undefined where none are ordered. */
  readonly orderCertificates?: (() => void) | undefined;
  /** Copies what this process keeps in memory; undefined where it keeps nothing there. @throws {StoreUnavailable} */
  readonly copyMemory?: ((wanted: WantedCopy) => Promise<Counts>) | undefined;
};

export const RELOAD_PATH = `${API_PREFIX}/reload`;
export const ORDER_PATH = `${API_PREFIX}/certificates/renew`;
export const COPY_PATH = `${API_PREFIX}/store/copy`;

/** The management API for whoever has come to it by the rights of the machine: the operator, whatever a request shows. */
export function serveOperator(
  answer: AnswerOwn,
  operations?: Operations,
): (request: Request) => Promise<Response> {
  const noCookies = createCookieReader([])(null);
  let count = 0;

  return async (request) => {
    const id = `operator-${++count}`;
    const target = parseTarget(request.url);
    if (target === undefined || !isBelow(target.path, API_PREFIX))
      return failure({ request, id, lookOf }, NOT_FOUND);
    if (operations !== undefined && target.path === RELOAD_PATH && request.method === "POST") {
      const refused = await operations.reload();
      if (refused === undefined) return new Response(null, { status: 204 });
      return Response.json({ error: "not_reloaded", message: refused }, { status: 409 });
    }
    if (
      operations?.orderCertificates !== undefined &&
      target.path === ORDER_PATH &&
      request.method === "POST"
    ) {
      operations.orderCertificates();
      return new Response(null, { status: 204 });
    }
    if (operations?.copyMemory !== undefined && target.path === COPY_PATH && request.method === "POST") {
      try {
        return Response.json(await operations.copyMemory((await readJson(request)) as WantedCopy));
      } catch (error) {
        if (!(error instanceof StoreUnavailable)) throw error;
        return Response.json({ error: "not_copied", message: error.message }, { status: 409 });
      }
    }
    const arrival: Arrival = {
      id,
      request,
      method: request.method,
      headers: request.headers.toJSON(),
      target,
      client: CLIENT,
      origin: "http://localhost",
      cookies: noCookies,
      isOwn: () => false,
      identify: () => OPERATOR,
      lookOf,
      startedAt: performance.now(),
    };
    return answer(arrival);
  };
}

const lookOf = () => PLAIN;

const CLIENT: Arrival["client"] = {
  ip: "unix",
  proto: "http",
  host: "localhost",
  forwardedFor: "unix",
  peerTrusted: false,
  ipIsCertain: true,
};

const OPERATOR: Principal = {
  subject: { service: "operator" },
  groups: NO_GROUPS,
  proof: { kind: "operator", id: "socket" },
  provenAt: 0,
};

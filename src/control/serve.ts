import { failure, NOT_FOUND } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { createCookieReader } from "../edge/cookies.ts";
import type { AnswerOwn } from "../edge/own.ts";
import { API_PREFIX, isBelow, parseTarget } from "../edge/target.ts";
import { NO_GROUPS, type Principal } from "../identity/principal.ts";
import { PLAIN } from "../pages/look.ts";

/** The management API for whoever has come to it by the rights of the machine: the operator, whatever a request shows. */
export function serveOperator(answer: AnswerOwn): (request: Request) => Promise<Response> {
  const noCookies = createCookieReader([])(null);
  let count = 0;

  return async (request) => {
    const id = `operator-${++count}`;
    const target = parseTarget(request.url);
    if (target === undefined || !isBelow(target.path, API_PREFIX))
      return failure({ request, id, lookOf }, NOT_FOUND);
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

import { isBelow } from "../edge/target.ts";
import { OWN_PREFIX } from "../pages/paths.ts";
import {
  arrivalOf,
  type Case,
  isJudgement,
  isSuccess,
  type Judgement,
  ok,
  PROTECT,
  unknown,
  wrong,
} from "./finding.ts";
import { FORGERIES } from "./forgeries.ts";
import type { ArrivedProbe } from "./probes.ts";
import { type EdgeRequest, get, NAVIGATION } from "./request.ts";

/** What any visitor may send to an edge, and what is to be made of the answer and of what arrived. */

export const PAGE: EdgeRequest = {
  name: "page",
  send: ({ path }) => ({ method: "GET", target: path, lines: NAVIGATION }),
  judge(one) {
    const arrived = arrivalOf(one);
    if (!isJudgement(arrived)) return judgeArrival(arrived, one) ?? judgeSignIn(one, 302);
    if (arrived.state === "wrong") return arrived;
    if (one.arrived === "unasked")
      return isSuccess(one.status) ? wrong(one.said, OPEN) : judgeSignIn(one, 302);
    return wrong(
      `${one.said}, and nothing of it arrived at the running instance`,
      `See that ${one.origin} leads to this machine, and that the edge there passes requests or checks to Runegate.`,
    );
  },
};

const OPEN = `${PROTECT} Or, if this page is open to everybody, name one that is not.`;

/** What everything else depends on; undefined where all is well with it. */
function judgeArrival(arrived: ArrivedProbe, { origin, status, said }: Case): Judgement | undefined {
  const { edge, problem, trusted, certain, client, host, identity } = arrived;
  if (!trusted && (edge !== null || !certain))
    return wrong(`it comes from ${client}, which is not trusted`, "Add that to RUNEGATE_TRUSTED_PROXIES.");
  if (problem !== null)
    return wrong(
      `the edge does not say what it asks about: ${problem}`,
      edge === "nginx" || edge === "challenge"
        ? "nginx, where it asks: proxy_set_header X-Original-URL $scheme://$host$request_uri; and X-Original-Method."
        : "Have it set X-Forwarded-Method, -Proto, -Host and -Uri itself, each once.",
    );
  if (edge !== null && identity.length > 0 && status !== 302)
    return wrong(
      `the edge asks with ${identity.join(", ")}, which no request may have: ${said}`,
      "Have it set that for the application only; or RUNEGATE_CHECK_FORGED=ignore, where an edge before it means it so.",
    );
  const name = URL.parse(`http://${host}`)?.hostname;
  if (name !== new URL(origin).hostname) return wrong(`it arrives as one for ${name ?? host}`, SAY_HOST);
  if (isSuccess(status)) return unknown(`${said}: this page is open to everybody. Name one that is not`);
  return undefined;
}

const SAY_HOST =
  "Have the edge say the visitor's host. nginx: proxy_set_header Host $host; and X-Forwarded-Host $host;";

/** To the login page, or where that is of another host, on the way there. */
function judgeSignIn(one: Case, expected: 302 | 303): Judgement {
  if (one.status !== expected) return judgeStatus(one, expected);
  const to = URL.parse(one.location ?? "", one.origin + one.target);
  const isHome = one.home === undefined ? to?.pathname === `${OWN_PREFIX}/handoff` : to?.origin === one.home;
  if (to === null || !(to.origin === one.origin || isHome) || !isBelow(to.pathname, OWN_PREFIX))
    return wrong(`${one.said}, to ${JSON.stringify(one.location ?? "nowhere")}`, SAY_HOST);
  return ok(`${one.said}, to ${to.origin}${to.pathname}`);
}

function judgeStatus({ status, said, page }: Case, expected: number): Judgement {
  if (status === expected) return ok(said);
  if (page?.state === "wrong" && status === page.status) return unknown(`${said}, as for the page`);
  const detail = `${said} in place of ${expected}`;
  if (isSuccess(status)) return wrong(detail, PROTECT);
  if (status < 300 || status >= 500) return wrong(detail, "Its log, or Runegate's, says why.");
  return wrong(
    detail,
    "Have the edge pass on what Runegate answers, and send nobody to the login page by itself. nginx: " +
      "error_page 401 403 = /_runegate/challenge; and no other error_page for these.",
  );
}

/** The scheme, of the request for a page. */
export function judgeScheme(one: Case): Judgement {
  const arrived = arrivalOf(one);
  if (isJudgement(arrived)) return unknown("nothing arrives at Runegate that would say");
  const scheme = new URL(one.origin).protocol.slice(0, -1);
  if (arrived.problem !== null) return unknown("the edge does not say what it asks about");
  if (arrived.proto === scheme) return ok(scheme);
  return wrong(
    `${scheme} arrives as ${arrived.proto}`,
    "Have the edge say how visitors come. nginx: proxy_set_header X-Forwarded-Proto $scheme;",
  );
}

/** In the order they are sent, after the page. */
export const REQUESTS: readonly EdgeRequest[] = [
  { name: "script", send: ({ path }) => get(path), judge: (one) => judgeStatus(one, 401) },
  {
    name: "form",
    send: ({ origin, path }) => ({
      method: "POST",
      target: path,
      lines: [
        ...NAVIGATION,
        `Origin: ${origin}`,
        "Content-Type: application/x-www-form-urlencoded",
        "Content-Length: 3",
      ],
      body: "a=b",
    }),
    judge: (one) => judgeSignIn(one, 303),
  },
  {
    name: "websocket",
    send: ({ origin, path }) => ({
      method: "GET",
      target: path,
      lines: [
        `Origin: ${origin}`,
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      ],
    }),
    judge: (one) => judgeStatus(one, 401),
  },
  ...FORGERIES,
];

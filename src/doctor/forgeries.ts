import { OWN_PREFIX } from "../pages/paths.ts";
import { arrivalOf, type Case, isJudgement, ok, plainOf, seesEdge, unknown, wrong } from "./finding.ts";
import type { ArrivedProbe } from "./probes.ts";
import { type At, type EdgeRequest, get, SCRIPT } from "./request.ts";

/** What somebody may send who means ill, and what is to be made of what arrived. */

/** Of the documentation network TEST-NET-2 (RFC 5737): nobody's. */
const FORGED_ADDRESS = "198.51.100.77";

/** A header by which a visitor could say something in the name of the edge. */
function forged(
  name: string,
  forge: (at: At) => string,
  isBelieved: (arrived: ArrivedProbe, one: Case) => boolean,
  value: string,
): EdgeRequest {
  return {
    name,
    send: (at) => get(at.path, `${name}: ${forge(at)}`),
    judge(one) {
      const arrived = arrivalOf(one);
      if (isJudgement(arrived)) return arrived;
      if (!isBelieved(arrived, one)) {
        const carried = arrived.carried.includes(name.toLowerCase());
        return ok(carried ? "comes through, and is not read" : "a visitor's does not come through");
      }
      const plain = plainOf(one);
      if (!seesEdge(arrived) || (plain !== undefined && !seesEdge(plain)))
        return unknown(
          "this machine is a trusted proxy, and no edge is seen in between. Ask by the public name",
        );
      if (name === "X-Forwarded-For" && isAppended(arrived, plain))
        return unknown(
          "the edge adds to a visitor's, and this machine is a trusted proxy. Ask from another machine",
        );
      return wrong(
        "a visitor's is believed",
        `Have the edge set it itself, where it asks or passes on. nginx: proxy_set_header ${name} ${value};`,
      );
    },
  };
}

/** A hop more than without it: the visitor's own is still there, behind what is forged. */
function isAppended({ hops }: ArrivedProbe, plain: ArrivedProbe | undefined): boolean {
  return plain !== undefined && plain.hops > 1 && hops > plain.hops;
}

const pathIsForged = ({ path }: ArrivedProbe, { nonce }: Case) => path.includes(nonce);
const HEADERS: readonly EdgeRequest[] = [
  forged("X-Original-URL", originalUrl, pathIsForged, "$scheme://$host$request_uri"),
  forged("X-Original-URI", forgedPath, pathIsForged, '""'),
  forged("X-Forwarded-Uri", forgedPath, pathIsForged, "$request_uri"),
  forged("X-Forwarded-Prefix", forgedPath, pathIsForged, '""'),
  forged(
    "X-Forwarded-Host",
    ({ nonce }) => `${nonce}.invalid`,
    ({ host }, { nonce }) => host.includes(nonce),
    "$host",
  ),
  forged(
    "X-Forwarded-For",
    () => FORGED_ADDRESS,
    ({ client }) => client === FORGED_ADDRESS,
    "$remote_addr",
  ),
];

function originalUrl(at: At): string {
  return at.origin + forgedPath(at);
}

function forgedPath({ nonce }: At): string {
  return `/${nonce}`;
}

/** One name to whoever runs applications by CGI, WSGI or PHP. */
const SPELLINGS = ["Remote-User", "Remote_User", "Remote.User", "Remote~User"] as const;

const IDENTITY: EdgeRequest = {
  name: "identity headers",
  send: ({ path, nonce }) => get(path, ...SPELLINGS.map((name) => `${name}: ${nonce}`)),
  judge(one) {
    const arrived = arrivalOf(one);
    if (isJudgement(arrived)) return arrived;
    const { edge, carried } = arrived;
    const names = carried.join(", ");
    if (carried.length === 0) return ok("a visitor's do not come through");
    if (edge === null) return ok(`${names}: Runegate takes them out of what the application gets`);
    const aliases = carried.filter((name) => name !== "remote-user");
    if (edge === "nginx" && aliases.length > 0)
      return wrong(
        `${aliases.join(", ")} come through: many applications take them for Remote-User`,
        "nginx, as it is by default: underscores_in_headers off; ignore_invalid_headers on;",
      );
    // What any script gets: it was not refused for this.
    if (one.status === 401 && arrived.trusted)
      return wrong(
        `${names} come through, and RUNEGATE_CHECK_FORGED=ignore lets them`,
        "Have the edge take them out of what visitors send, in every spelling.",
      );
    return ok(`a request with ${names} is refused`);
  },
};

const TRAILER: EdgeRequest = {
  name: "trailer",
  send: ({ path, nonce }) => ({
    method: "POST",
    target: path,
    lines: [...SCRIPT, "Transfer-Encoding: chunked", "Trailer: Remote-User"],
    body: `1\r\nx\r\n0\r\nRemote-User: ${nonce}\r\n\r\n`,
  }),
  judge(one) {
    const arrived = arrivalOf(one);
    if (isJudgement(arrived)) return arrived;
    if (!arrived.carried.includes("remote-user")) return ok("a visitor's does not come through");
    return wrong("a trailer field arrives as a header", "Update the edge, or have it drop trailers.");
  },
};

const H2C: EdgeRequest = {
  name: "h2c",
  send: ({ path }) =>
    get(path, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"),
  judge(one) {
    if (one.status === 101) return wrong("the edge passes HTTP/2 on, unseen", WEBSOCKETS_ONLY);
    const arrived = arrivalOf(one);
    if (isJudgement(arrived)) return arrived;
    if (arrived.edge === null || arrived.upgrade === null) return ok("nobody speaks HTTP/2 past Runegate");
    return wrong("the edge passes `Upgrade: h2c` on", WEBSOCKETS_ONLY);
  },
};

const WEBSOCKETS_ONLY =
  'Have it pass on upgrades to websocket only. nginx: map $http_upgrade $up { default ""; ~*^websocket$ websocket; }';

/**
 * What an edge alone should ask.
 * @param edge what it arrives as where a visitor may.
 * @param matters whether edges that ask in this way have it closed. It tells visitors of nobody but themselves, but scripts of
 * cookies that are hidden from them.
 */
function direct(path: string, edge: string, matters: (asks: string) => boolean): EdgeRequest {
  return {
    name: path,
    send: (at) => get(path, `X-Original-URL: ${originalUrl(at)}`, "X-Original-Method: GET"),
    judge(one) {
      if (one.status === 404) return ok(one.said);
      const arrived = arrivalOf(one);
      if (isJudgement(arrived)) return arrived;
      const asks = plainOf(one)?.edge ?? null;
      if (arrived.edge !== edge || asks === null || !matters(asks))
        return ok(`${one.said}, of nobody but who asks`);
      return wrong(
        `${one.said}: everybody may ask`,
        `Answer it with 404: scripts may learn hidden cookies there. nginx: location ^~ ${OWN_PREFIX}/check/ { return 404; } and \`internal;\` wherever it asks.`,
      );
    },
  };
}

const ODD_PATH: EdgeRequest = {
  name: "odd path",
  send: ({ path }) => get(`${path.replace(/\/$/, "")}/x/%2e/y;z//%41?a=%2f`),
  judge(one) {
    const arrived = arrivalOf(one);
    if (isJudgement(arrived)) return arrived;
    if (arrived.edge !== "nginx" || arrived.path === one.target || arrived.problem !== null)
      return ok(one.said);
    return wrong(
      `it arrives as ${arrived.path}, which is not what the application may get`,
      "nginx, where it asks: $request_uri in X-Original-URL, not $uri.",
    );
  },
};

export const FORGERIES: readonly EdgeRequest[] = [
  ...HEADERS,
  IDENTITY,
  TRAILER,
  H2C,
  direct(`${OWN_PREFIX}/check/nginx`, "nginx", () => true),
  // Other edges pass on whatever is Runegate's.
  direct(`${OWN_PREFIX}/challenge`, "challenge", (asks) => asks === "nginx"),
  ODD_PATH,
];

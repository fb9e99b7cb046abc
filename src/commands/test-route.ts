import { decide, openBecause } from "../access/decision.ts";
import { explain } from "../access/explain.ts";
import { createPolicy, type Granted, type Standing } from "../access/policy.ts";
import { createRoutes, routeFor } from "../access/routes.ts";
import { systemClock } from "../clock.ts";
import { loadAccess } from "../config/configuration.ts";
import { routesOf } from "../config/routes.ts";
import { ROOT_PATHS } from "../edge/root-paths.ts";
import { applicationPath, placeOf } from "../edge/target.ts";
import { EXIT } from "../exit.ts";
import { givenBy } from "../grants/book.ts";
import { type Address, domainOf } from "../identity/address.ts";
import type { Principal } from "../identity/principal.ts";
import type { Io } from "../process/io.ts";
import { type Outcome, UsageError } from "./command.ts";
import { addressIn } from "./link.ts";
import { isUnreached, reach } from "./operate.ts";

/** `runegate routes test`: what would become of a request, and why, in a sentence. */

type Answer = {
  readonly route: string | null;
  readonly verdict: "allow" | "challenge" | "refuse" | "own" | "unknown_host" | "not_found";
  readonly why: string;
};

type Asked = { readonly as?: string; readonly method?: string };

/** @throws {UsageError} if it is no URL, or no address. */
export async function testRoute(written: string, asked: Asked, io: Io): Promise<Outcome> {
  const url = urlIn(written);
  const email = asked.as === undefined ? undefined : addressIn(asked.as);
  const access = loadAccess(io);
  const { options, routesFile } = access;
  const routes = createRoutes(routesOf(options, routesFile), options.baseUrl);
  const site = routes.siteOf(url.host);
  const path = applicationPath(url.pathname);
  const route = site && path !== undefined ? routeFor(site, path) : undefined;
  const granted = email === undefined || !options.dynamicUsers ? undefined : await grantedTo(email, io);
  const policy = createPolicy(options, routesFile?.groups, routes.all, granted);
  const answer = ((): Answer => {
    const nowhere = (verdict: Answer["verdict"], why: string): Answer => ({ route: null, verdict, why });
    if (site === undefined) return nowhere("unknown_host", `No application is at ${url.host}.`);
    const isRoot = options.rootPaths !== false && ROOT_PATHS.some((root) => root === url.pathname);
    const method = (asked.method ?? "GET").toUpperCase();
    const isOpen =
      route !== undefined && path !== undefined && openBecause({ route, method, path }) !== undefined;
    const isRootOurs = isRoot && (options.rootPaths === true || (email === undefined && !isOpen));
    if (placeOf(url.pathname) === "own" || isRootOurs)
      return nowhere("own", "This is one of Runegate's own pages.");
    if (route === undefined || path === undefined)
      return nowhere("not_found", "No application has this path.");
    if (email !== undefined && !policy.allows(email))
      return { route: route.name, verdict: "refuse", why: "They may not sign in: nothing names them." };
    const question = {
      ...{ route, path, originAllowed: true, preflight: false },
      who: email && somebody(email, policy.standingOf({ email })),
      method,
      client: { ip: "127.0.0.1" },
      upgrade: url.protocol.startsWith("ws"),
      closed: route.maintenance !== undefined,
      now: systemClock.now(),
    };
    const verdict = decide(question);
    return { route: route.name, verdict: verdict.verdict, why: explain(question, verdict) };
  })();
  io.out(answer.route === null ? answer.why : `${answer.route}: ${IN_WORDS[answer.verdict]}. ${answer.why}`);
  const allowed = answer.verdict === "allow" || answer.verdict === "own";
  return { code: allowed ? EXIT.done : EXIT.failed, data: { allowed, ...answer } };
}

const IN_WORDS: Readonly<Record<string, string>> = {
  allow: "allowed",
  challenge: "has to sign in",
  refuse: "refused",
};

/** What the running instance, or the store, says of them. */
async function grantedTo(email: Address, io: Io): Promise<Granted | undefined> {
  try {
    const all = await reach(io, (operator) => operator.grants());
    const theirs = all.filter((one) => one.email === email || one.email === `@${domainOf(email)}`);
    const read = theirs.map((one) => ({
      ...one,
      from: Date.parse(one.created_at),
      until: one.until === null ? null : Date.parse(one.until),
    }));
    const { given } = givenBy(read, systemClock.now());
    return { of: () => given, look: async () => {} };
  } catch (error) {
    if (!isUnreached(error)) throw error;
    io.err(`What was granted while it runs is not looked at: ${error.message}`);
    return undefined;
  }
}

/** Who has just signed in. */
function somebody(email: Address, standing: Standing): Principal {
  return { subject: { email }, ...standing, proof: { kind: "session", id: "" }, provenAt: systemClock.now() };
}

function urlIn(written: string): URL {
  const url = URL.parse(written);
  if (url !== null && /^(?:https?|wss?):$/.test(url.protocol)) return url;
  throw new UsageError(`${JSON.stringify(written)} is no URL such as https://app.example.org/lab.`);
}

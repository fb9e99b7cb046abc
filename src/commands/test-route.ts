import { createPolicy, type Granted } from "../access/policy.ts";
import { createRoutes } from "../access/routes.ts";
import { tryRequest, urlIn, VERDICT_WORDS } from "../access/trial.ts";
import { systemClock } from "../clock.ts";
import { loadAccess } from "../config/configuration.ts";
import { routesOf } from "../config/routes.ts";
import { EXIT } from "../exit.ts";
import { givenBy } from "../grants/book.ts";
import { type Address, domainOf } from "../identity/address.ts";
import type { Io } from "../process/io.ts";
import { type Outcome, UsageError } from "./command.ts";
import { addressIn } from "./link.ts";
import { isUnreached, reach } from "./operate.ts";

/** `runegate routes test`: what would become of a request, and why, in a sentence. */

type Asked = { readonly as?: string; readonly method?: string };

/** @throws {UsageError} if it is no URL, or no address. */
export async function testRoute(written: string, asked: Asked, io: Io): Promise<Outcome> {
  const url = urlIn(written);
  if (url === undefined)
    throw new UsageError(`${JSON.stringify(written)} is no URL such as https://app.example.org/lab.`);
  const email = asked.as === undefined ? undefined : addressIn(asked.as);
  const { options, routesFile } = loadAccess(io);
  const routes = createRoutes(routesOf(options, routesFile), options.baseUrl, options.tls !== "off");
  const granted = email === undefined || !options.dynamicUsers ? undefined : await grantedTo(email, io);
  const house = {
    ...{
      routes,
      policy: createPolicy(options, routesFile?.groups, routes.all, granted),
      rootPaths: options.rootPaths,
    },
    closedBecause: ({ maintenance }: { readonly maintenance: string | undefined }) => maintenance,
    now: systemClock.now(),
  };
  const answer = tryRequest(house, { url, email, method: asked.method ?? "GET" });
  const { route, verdict, why } = answer;
  io.out(route === null ? why : `${route}: ${VERDICT_WORDS[verdict]}. ${why}`);
  const allowed = verdict === "allow" || verdict === "own";
  return { code: allowed ? EXIT.done : EXIT.failed, data: { allowed, ...answer } };
}

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

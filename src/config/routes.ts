import { ADMINS } from "../access/people.ts";
import { createPolicy, listedIn, type Policy } from "../access/policy.ts";
import type { IdentityFact, Route, TargetTls } from "../access/route.ts";
import { ROUTES_TABLE, type RouteEntry } from "../access/routes-file.ts";
import { HOOKS } from "../hooks/table.ts";
import { isPrivate } from "../net/ip.ts";
import { isLoopbackHost } from "../net/loopback.ts";
import { PROVIDERS } from "../oidc-login/provider.ts";
import { readTextFile } from "../option/files.ts";
import { ConfigError, type Finding } from "../option/finding.ts";
import { type TableOf, table } from "../option/table.ts";
import { quote } from "../option/value-error.ts";
import { OPTIONS, type Options } from "./options.ts";
import { type Surroundings, SYSTEM } from "./surroundings.ts";
import { readTable } from "./table.ts";

/** Finding `routes.toml`, and the applications that it and the options make together. */

/** All that the file may have, of several rooms. */
export const ROUTES_FILE = table(
  { ...ROUTES_TABLE.keys, providers: PROVIDERS, hooks: HOOKS },
  (values, report) => {
    ROUTES_TABLE.check?.(values, report);
    const { groups, providers = [], hooks = [] } = values;
    hooks.forEach(({ name }, at) => {
      if (hooks.findIndex((one) => one.name === name) < at)
        report("error", `hooks[${at}].name`, `is that of another hook: ${name}`, "Choose another.");
    });
    providers.forEach(({ name, groups: mapped }, at) => {
      if (providers.findIndex((one) => one.name === name) < at)
        report("error", `providers[${at}].name`, `is that of another provider: ${name}`, "Choose another.");
      for (const [theirs, ours] of mapped ?? []) {
        if (groups === undefined || groups.has(ours) || ours === ADMINS) continue;
        report(
          "error",
          `providers[${at}].groups.${theirs}`,
          `names a group that is not there: ${quote(ours)}`,
          `Add a line ${ours} = [] below [groups].`,
        );
      }
    });
  },
  ROUTES_TABLE.unknown,
);

/** What a file says. */
export type RoutesFile = TableOf<typeof ROUTES_FILE.keys>;

export type LoadedRoutes = { readonly file: RoutesFile; readonly warnings: readonly Finding[] };

/**
 * Reads the configured file, or else the first of the default places that exists.
 * @returns undefined where there is none: then there is one application, the options'.
 * @throws {ConfigError} with everything that is wrong with the file.
 */
export function findRoutes(
  options: Pick<Options, "routes">,
  surroundings: Surroundings = SYSTEM,
): { readonly text: string; readonly path: string } | undefined {
  const { routes: configured } = options;
  for (const path of configured === undefined ? surroundings.routesFiles : [configured]) {
    const read = readTextFile(path);
    if (read.kind === "read") return { text: read.text, path };
    if (read.kind === "failed") throw problem(OPTIONS.routes.name, read.problem, read.remedy);
  }
  if (configured === undefined) return undefined;
  throw problem(
    OPTIONS.routes.name,
    `names a file that does not exist: ${configured}`,
    "Create it, or leave the option out. `runegate config --example routes` prints one to begin with.",
  );
}

/**
 * Parses the text of a `routes.toml`.
 * @param path for the findings.
 * @param options what the routes go by where they say nothing themselves.
 * @throws {ConfigError} with every problem there is.
 */
export function parseRoutes(text: string, path: string, options: RouteOptions): LoadedRoutes {
  const { values: file, warnings } = readTable(text, path, ROUTES_FILE);
  const routes = routesOf(options, file);
  const about = (at: number, what: string, remedy: string): Finding => ({
    option: `${path}: route ${routes[at]?.name}`,
    problem: what,
    remedy,
  });
  const problems: Finding[] = [];
  const remarks: Finding[] = [];
  if (file.routes.length + file.providers.length + file.hooks.length === 0) {
    problems.push({ option: path, problem: "has no routes", remedy: "Add one, beginning with [[routes]]." });
  }
  routes.forEach((route, at) => {
    const earlier = routes.slice(0, at);
    if (earlier.some(({ name }) => name === route.name)) {
      problems.push(about(at, "is there twice", "Give each a name of its own."));
    }
    const twin = earlier.find((one) => one.host === route.host && one.path === route.path);
    if (twin !== undefined) {
      const place = `${route.host}${route.path}`;
      problems.push(
        about(at, `has the host and the path of ${twin.name}: ${place}`, "Give it another path."),
      );
    }
    if (route.allow?.anyone === false && !namesAnybody(route)) {
      problems.push(about(at, "is open to nobody", `Add allow, or set ${OPTIONS.allowedEmails.name}.`));
    }
    if (file.routes[at]?.apiKeys === true && !options.apiKeys) {
      remarks.push(about(at, "takes API keys, and they are off", `Set ${OPTIONS.apiKeys.name}=true.`));
    }
    if (route.requestAccess && !options.dynamicUsers) {
      const remedy = `Set ${OPTIONS.dynamicUsers.name}=true.`;
      remarks.push(about(at, "has request_access, and nobody can be let in while it runs", remedy));
    } else if (route.requestAccess && route.approvers === undefined && nobodyIsAdmin(options, file)) {
      remarks.push(about(at, "has request_access, and nobody who decides about it", DECIDERS));
    }
    // The shorter one holds, and nobody gets in who should not: no reason not to start.
    if (route.idle !== undefined && route.idle > options.sessionIdle) {
      const remedy = `Shorten it, or set ${OPTIONS.sessionIdle.name} to more.`;
      remarks.push(
        about(at, `has an idle longer than ${OPTIONS.sessionIdle.name}, which ends sessions before`, remedy),
      );
    }
    if (route.impersonation !== "deny" && route.host?.startsWith("*.")) {
      const remedy = "Give it a host of its own, or leave impersonation out.";
      remarks.push(about(at, "has many hosts, and impersonation is for one", remedy));
    }
    if (route.tls?.verify === false) {
      if (route.targets.every(({ address }) => address.kind === "tcp" && isNear(address.hostname))) {
        remarks.push(
          about(at, "believes any certificate of its target", "Name its authority in tls_ca_file."),
        );
      } else {
        const remedy = "Name its authority in tls_ca_file.";
        problems.push(about(at, "would believe any certificate across the internet", remedy));
      }
    }
  });
  if (problems.length > 0) throw new ConfigError(problems, [...warnings, ...remarks]);
  return { file, warnings: [...warnings, ...remarks] };
}

const DECIDERS = `Add approvers, a group ${ADMINS}, or ${OPTIONS.admins.name}.`;

function nobodyIsAdmin({ admins }: RouteOptions, { groups, providers }: RoutesFile): boolean {
  const isMapped = providers.some((provider) =>
    [...(provider.groups ?? [])].some(([, ours]) => ours === ADMINS),
  );
  return admins.size === 0 && groups?.has(ADMINS) !== true && !isMapped;
}

function namesAnybody({ allow }: Route): boolean {
  if (allow === undefined || allow.everybody) return true;
  return allow.addresses.size + allow.domains.size + allow.groups.size + allow.services.size > 0;
}

function isNear(hostname: string): boolean {
  return isLoopbackHost(hostname) || isPrivate(hostname);
}

/** What routes go by where they say nothing themselves. */
export const ROUTE_OPTIONS = [
  "baseUrl",
  "target",
  "identityMode",
  "allowedOrigins",
  "hostHeader",
  "connectTimeout",
  "responseTimeout",
  "maxBody",
  "allowedEmails",
  "allowedDomains",
  "allowAnyEmail",
  "dynamicUsers",
  "admins",
  "signIn",
  "sessionIdle",
  "sessionBind",
  "apiKeys",
] as const satisfies readonly (keyof Options)[];
export type RouteOptions = Pick<Options, (typeof ROUTE_OPTIONS)[number]>;

/** The applications: those of the file or, if it has none, the one of the options, which is there by whatever name it is asked. */
export function routesOf(options: RouteOptions, file: RoutesFile | undefined): readonly Route[] {
  if (file === undefined || file.routes.length === 0) return [onlyRoute(options)];
  return file.routes.map((entry) => withServices(routeOf(entry, options), file));
}

/** Who may sign in: whom the options list, and whom a route names. */
export function policyOf(options: RouteOptions, file: RoutesFile | undefined): Policy {
  return createPolicy(options, file?.groups, routesOf(options, file));
}

/** A service account may use what names it, and what it names. */
function withServices(route: Route, { serviceAccounts }: RoutesFile): Route {
  const named = serviceAccounts.filter(({ routes }) => routes.includes(route.name)).map(({ name }) => name);
  if (named.length === 0 || route.allow === undefined) return route;
  return { ...route, allow: { ...route.allow, services: new Set([...route.allow.services, ...named]) } };
}

function routeOf(entry: RouteEntry, options: RouteOptions): Route {
  const { target, targets, external: _, identity, title, ...rest } = entry;
  const base = onlyRoute(options);
  const fallback = <T>(value: T | undefined, otherwise: T) => (value === undefined ? otherwise : value);
  return {
    ...rest,
    host: fallback(entry.host, new URL(options.baseUrl).hostname),
    targets: fallback(targets, target === undefined ? [] : [target]),
    allow: fallback(entry.allow, listedIn(options)),
    bind: fallback(entry.bind, base.bind),
    proofs: entry.apiKeys ? undefined : PEOPLE,
    identity: fallback(identity, base.identity),
    identityNames: entry.identityNames as ReadonlyMap<IdentityFact, string>,
    setHeaders: lowerCased(entry.setHeaders),
    removeHeaders: new Set(entry.removeHeaders),
    setResponseHeaders: lowerCased(entry.setResponseHeaders),
    removeResponseHeaders: new Set(entry.removeResponseHeaders),
    hostHeader: fallback(entry.hostHeader, base.hostHeader),
    connectTimeout: fallback(entry.connectTimeout, base.connectTimeout),
    responseTimeout: fallback(entry.responseTimeout, base.responseTimeout),
    maxBody: fallback(entry.maxBody, base.maxBody),
    tls: tlsOf(entry),
    title: fallback(title, entry.name),
  };
}

/** What a person proves in a browser. */
const PEOPLE: ReadonlySet<string> = new Set(["session", "impersonation"]);

function tlsOf(entry: RouteEntry): TargetTls | undefined {
  const { tlsCa: ca, tlsServerName: serverName, tlsVerify: verify } = entry;
  const { tlsClientCert: clientCert, tlsClientKey: clientKey } = entry;
  if (verify && [ca, serverName, clientCert].every((one) => one === undefined)) return undefined;
  return { ca, serverName, clientCert, clientKey, verify };
}

/** Of `Authorization_file` too, whose value has been read. */
function lowerCased(headers: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  return new Map([...headers].map(([name, value]) => [name.toLowerCase().replace(/_file$/, ""), value]));
}

function onlyRoute(options: RouteOptions): Route {
  return {
    name: "default",
    host: undefined,
    path: "/",
    stripPath: false,
    targets: [{ address: options.target, basePath: "" }],
    balance: "first",
    health: undefined,
    allow: undefined,
    deny: undefined,
    requestAccess: false,
    approvers: undefined,
    publicPaths: [],
    publicMethods: new Set(),
    methods: undefined,
    corsPreflight: false,
    maxAge: undefined,
    idle: undefined,
    bind: options.sessionBind,
    proofs: undefined,
    maintenance: undefined,
    impersonation: "deny",
    identity: options.identityMode,
    identityNames: new Map(),
    audience: undefined,
    setHeaders: new Map(),
    removeHeaders: new Set(),
    setResponseHeaders: new Map(),
    removeResponseHeaders: new Set(),
    hostHeader: options.hostHeader,
    webSocket: true,
    webSocketOrigins: options.allowedOrigins,
    connectTimeout: options.connectTimeout,
    responseTimeout: options.responseTimeout,
    maxBody: options.maxBody,
    tls: undefined,
    title: "Application",
    icon: undefined,
    hidden: false,
  };
}

function problem(option: string, what: string, remedy: string): ConfigError {
  return new ConfigError([{ option, problem: what, remedy }]);
}

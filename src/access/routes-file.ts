import { applicationPath, isPlain, placeOf } from "../edge/target.ts";
import { type Address, type Domain, parseAddress, parseDomain } from "../identity/address.ts";
import { explained } from "../identity/values.ts";
import { basedTarget, networks, originUrl } from "../net/endpoint.ts";
import { hostHeader, normalHost } from "../net/host.ts";
import { readTextFile } from "../option/files.ts";
import { listOf, plain, type TableOf, table, text } from "../option/table.ts";
import { quote, ValueError } from "../option/value-error.ts";
import { boolean, byteSize, choice, DAY, duration, HOUR, integer, MINUTE, SECOND } from "../option/values.ts";
import { binding } from "./binding.ts";
import { identityHeaderName } from "./identity-headers.ts";
import { ADMINS, type Group, NOBODY, type People } from "./people.ts";
import type { IdentityFact } from "./route.ts";

/** `routes.toml`: several applications, each with its own people. What the file leaves out, the options say. */

const HEALTH_KEYS = {
  path: { name: "path", parse: text(path), example: "/healthz", help: "What is asked for.", default: "/" },
  interval: {
    name: "interval",
    parse: plain(duration("s", SECOND, HOUR)),
    example: "10s",
    help: "How often.",
    default: "10s",
  },
  timeout: {
    name: "timeout",
    parse: plain(duration("s", 100, MINUTE)),
    example: "2s",
    help: "How long an answer may take.",
    default: "2s",
  },
  downAfter: {
    name: "down_after",
    parse: plain(integer(1, 100)),
    example: 3,
    help: "So many failures in a row until nothing is sent there.",
    default: 3,
  },
  upAfter: {
    name: "up_after",
    parse: plain(integer(1, 100)),
    example: 1,
    help: "So many good answers in a row until it is used again.",
    default: 1,
  },
  status: {
    name: "status",
    parse: text(statusRange),
    example: "200-399",
    help: "Which answers are good.",
    default: "200-399",
  },
} as const;

const ROUTE_KEYS = {
  name: {
    name: "name",
    parse: text(routeName),
    example: "grafana",
    help: "Its name in logs, metrics, the audit and tokens: `a-z`, `0-9`, `-`, up to 32 characters.",
  },
  host: {
    name: "host",
    parse: text(host),
    example: "grafana.example.org",
    help: "The public host, without a port; `*.example.org` is any one name in its place. By default that of the base URL.",
    optional: true,
  },
  path: {
    name: "path",
    parse: text(routePath),
    example: "/lab",
    help: "It has this path and all below it; the longest path that fits is taken.",
    default: "/",
  },
  target: {
    name: "target",
    parse: text(basedTarget),
    example: "http://10.0.0.2:3000",
    help: "Where it answers: `http://…`, `https://…` or `unix:/path`; a path at the end is put before those that are asked for.",
    optional: true,
  },
  targets: {
    name: "targets",
    parse: listOf(basedTarget),
    example: ["http://10.0.0.3:8888", "http://10.0.0.4:8888"],
    help: "Several, in place of `target`.",
    optional: true,
  },
  external: {
    name: "external",
    parse: plain(boolean),
    example: true,
    help: "Some other proxy passes requests on, and only asks here whether they may. Has no target.",
    default: false,
  },
  stripPath: {
    name: "strip_path",
    parse: plain(boolean),
    example: true,
    help: "Whether the application gets paths without `path`.",
    default: false,
  },
  allow: {
    name: "allow",
    parse: people("allow"),
    example: ["group:staff", "bob@partner.example"],
    help: "Who may: addresses, `@domain`, `group:name`, `service:name`, `anyone` (who can sign in), `public`. By default whom the environment lists.",
    optional: true,
  },
  deny: {
    name: "deny",
    parse: people("deny"),
    example: ["eve@example.org"],
    help: "Who may not, whatever `allow` says.",
    optional: true,
  },
  requestAccess: {
    name: "request_access",
    parse: plain(boolean),
    example: true,
    help: "Whether who has signed in and may not use it may ask for it (`RUNEGATE_DYNAMIC_USERS`).",
    default: false,
  },
  approvers: {
    name: "approvers",
    parse: people("approvers"),
    example: ["grace@example.org"],
    help: "Who decides about that: addresses and `group:name`s get a mail, `@domain`s do not. By default the administrators.",
    optional: true,
  },
  publicPaths: {
    name: "public_paths",
    parse: listOf(publicPath),
    example: ["/healthz", "/static/*"],
    help: "Open to whoever comes, as browsers see them: a path, or with `/*` what lies below it. No patterns.",
    default: [],
  },
  publicMethods: {
    name: "public_methods",
    parse: methods,
    example: ["GET", "HEAD"],
    help: "For which methods `public_paths` are open.",
    default: ["GET", "HEAD"],
  },
  methods: {
    name: "methods",
    parse: methods,
    example: ["GET", "HEAD", "POST"],
    help: "All others are answered with 405.",
    optional: true,
  },
  corsPreflight: {
    name: "cors_preflight",
    parse: plain(boolean),
    example: true,
    help: "Whether preflight requests of pages elsewhere pass, without a session and without identity.",
    default: false,
  },
  maxAge: {
    name: "max_age",
    parse: plain(duration("s", 5 * MINUTE, 365 * DAY)),
    example: "8h",
    help: "How long after signing in one has to do so again for this route.",
    optional: true,
  },
  idle: {
    name: "idle",
    parse: plain(duration("s", 5 * MINUTE, 365 * DAY)),
    example: "1h",
    help: "The same, once the session has not been used for so long, here or elsewhere, to within a minute. Shorter than `RUNEGATE_SESSION_IDLE`.",
    optional: true,
  },
  bind: {
    name: "bind",
    parse: text(binding),
    example: "network",
    help: "Where a session must come from to count here, as in `RUNEGATE_SESSION_BIND`. By default as the environment has it.",
    optional: true,
  },
  apiKeys: {
    name: "api_keys",
    parse: plain(boolean),
    example: true,
    help: "Whether programs may come with an API key (`RUNEGATE_API_KEYS`).",
    default: false,
  },
  identity: {
    name: "identity",
    parse: text(choice("headers", "jwt", "both", "none")),
    example: "headers",
    help: "How the application is told who is asking. By default as the environment has it.",
    optional: true,
  },
  identityNames: {
    name: "identity_names",
    entry: (value: unknown, name: string) => {
      identityFact(name);
      return text(identityHeaderName)(value);
    },
    example: { user: "X-WEBAUTH-USER" },
    help: "Further headers for `user`, `email`, `groups` or `name`. What clients send under these names is removed.",
  },
  setHeaders: {
    name: "set_headers",
    entry: requestHeader,
    example: { "X-Scope-OrgID": "main" },
    help: "Fixed headers for the application; `email`, `user` or `groups` in braces after a dollar sign stands for who is asking. `Authorization_file` names a file with a login that all share.",
  },
  removeHeaders: {
    name: "remove_headers",
    parse: listOf((written) => changeable(headerName(written))),
    example: ["Accept-Language"],
    help: "Not passed on to the application.",
    default: [],
  },
  setResponseHeaders: {
    name: "set_response_headers",
    entry: (value: unknown, name: string) => {
      changeable(headerName(name));
      return text(headerValue)(value);
    },
    example: { "X-Frame-Options": "DENY" },
    help: "Set in the application's answers.",
  },
  removeResponseHeaders: {
    name: "remove_response_headers",
    parse: listOf((written) => changeable(headerName(written))),
    example: ["X-Powered-By"],
    help: "Removed from the application's answers.",
    default: [],
  },
  hostHeader: {
    name: "host_header",
    parse: text(hostHeader),
    example: "target",
    help: "The `Host` that the application gets: `pass`, `target`, or a name.",
    optional: true,
  },
  webSocket: {
    name: "websocket",
    parse: plain(boolean),
    example: false,
    help: "Whether WebSockets may be opened.",
    default: true,
  },
  webSocketOrigins: {
    name: "websocket_origins",
    parse: (value: unknown) => (value === "*" ? ("*" as const) : new Set(listOf(originOf)(value))),
    example: ["https://dashboard.example.org"],
    help: "Origins whose pages may open WebSockets, or `*`. By default the route's own.",
    optional: true,
  },
  connectTimeout: {
    name: "connect_timeout",
    parse: plain(duration("s", 100, HOUR)),
    example: "5s",
    help: "How long to wait for a connection.",
    optional: true,
  },
  responseTimeout: {
    name: "response_timeout",
    parse: plain(duration("s", 100, DAY)),
    example: "60s",
    help: "How long to wait for the head of an answer. Bodies, streams and WebSockets take as long as they take.",
    optional: true,
  },
  maxBody: {
    name: "max_body",
    parse: plain(byteSize),
    example: "100MiB",
    help: "Largest request body, or `unlimited`.",
    optional: true,
  },
  tlsCa: {
    name: "tls_ca_file",
    parse: text(contentsOf),
    example: "/etc/runegate/config/internal-ca.pem",
    help: "Certificate authorities of the target, in place of the system's.",
    optional: true,
  },
  tlsServerName: {
    name: "tls_server_name",
    parse: text(plainHost),
    example: "grafana.internal",
    help: "The name in the target's certificate, where it is another than the one it is reached by.",
    optional: true,
  },
  tlsClientCert: {
    name: "tls_client_cert_file",
    parse: text(contentsOf),
    example: "/etc/runegate/config/client.pem",
    help: "Our certificate for the target.",
    optional: true,
  },
  tlsClientKey: {
    name: "tls_client_key_file",
    parse: text(contentsOf),
    example: "/etc/runegate/config/client.key",
    help: "Its key.",
    optional: true,
  },
  tlsVerify: {
    name: "tls_verify",
    parse: plain(boolean),
    example: false,
    help: "`false` believes any certificate, of a target in private address space only.",
    default: true,
  },
  balance: {
    name: "balance",
    parse: text(choice("sticky", "round_robin", "first")),
    example: "sticky",
    help: "Which of several targets is taken: `sticky` keeps a person's requests together, `round_robin` takes turns, `first` takes the first that is up.",
    default: "sticky",
  },
  health: {
    name: "health",
    table: table(HEALTH_KEYS, undefined, "error"),
    help: "Asks each target regularly whether it is up.",
    optional: true,
  },
  maintenance: {
    name: "maintenance",
    parse: text(pageText),
    example: "Back at noon.",
    help: "Closed for all but administrators, who go through; the others read this.",
    optional: true,
  },
  impersonation: {
    name: "impersonation",
    parse: text(choice("deny", "read_only", "allow")),
    example: "read_only",
    help: "Whether administrators may open it as somebody else for some minutes: `deny`, `read_only` (GET, HEAD and OPTIONS, no WebSockets), or `allow`.",
    default: "deny",
  },
  title: {
    name: "title",
    parse: text(pageText),
    example: "Grafana",
    help: "Its name on the page of applications. By default `name`.",
    optional: true,
  },
  icon: {
    name: "icon",
    parse: text(pageText),
    example: "📈",
    help: "A character or two beside it there.",
    optional: true,
  },
  hidden: {
    name: "hidden",
    parse: plain(boolean),
    example: true,
    help: "Whether it is left out there.",
    default: false,
  },
  audience: {
    name: "audience",
    parse: text(pageText),
    example: "https://grafana.example.org",
    help: "For whom tokens about who is asking are. By default its public origin, and its path.",
    optional: true,
  },
} as const;

/** The application is asked for `/x` by `/proxy/x`, so that nothing would ever fit. */
const NEVER_ASKED = [
  "is below /proxy, which is taken off before routes are looked for",
  "Choose another, or leave /proxy out.",
] as const;

const ROUTE = table(
  ROUTE_KEYS,
  (route, report) => {
    const places = [route.target !== undefined, route.targets !== undefined, route.external === true];
    const given = places.filter(Boolean).length;
    if (given === 0 && "target" in route && "targets" in route)
      report("error", "target", "is missing", "Add a target, several targets, or external = true.");
    if (given > 1)
      report("error", "target", "is said in more than one way", "Keep one of target, targets and external.");
    if (route.targets?.length === 0) report("error", "targets", "is empty", "Name one target at least.");
    if (route.stripPath && route.path === "/")
      report("error", "stripPath", "has no path to take off", "Give the route a path, or leave this out.");
    const isReached = (one: string) => route.external === true || applicationPath(one) === one;
    if (route.path !== undefined && !isReached(route.path)) report("error", "path", ...NEVER_ASKED);
    if (route.publicPaths?.every(isReached) === false) report("error", "publicPaths", ...NEVER_ASKED);
    if (route.tlsClientKey === undefined && route.tlsClientCert !== undefined && "tlsClientKey" in route)
      report("error", "tlsClientKey", "is missing beside the certificate", "Name the file of its key.");
    if (route.tlsClientCert === undefined && route.tlsClientKey !== undefined && "tlsClientCert" in route)
      report("error", "tlsClientCert", "is missing beside the key", "Name the file of its certificate.");
  },
  "error",
);

const SERVICE_ACCOUNT = table(
  {
    name: {
      name: "name",
      parse: text(accountName),
      example: "backup",
      help:
        "Applications know it as `service:` and this name, which has no address: `a-z`, `0-9`, `-`, up to 32 characters; or `oidc:` and the " +
        "`sub` of a token, with `RUNEGATE_OIDC_SUBJECT_CLAIM=sub`, whose holder then makes keys for it.",
    },
    routes: {
      name: "routes",
      parse: listOf(routeName),
      example: ["grafana"],
      help: "Names of the routes it may use, besides those that have `service:name` in `allow`.",
      default: [],
    },
    networks: {
      name: "networks",
      parse: (value: unknown) => networks(listOf(String)(value).join(",")),
      example: ["10.0.0.0/8"],
      help: "Where it may come from. By default from anywhere.",
      default: [],
    },
  },
  undefined,
  "error",
);

export const ROUTES_TABLE = table(
  {
    groups: {
      name: "groups",
      entry: group,
      example: { staff: ["grace@example.org", "@example.org"] },
      help: "Named lists of addresses, `@domain`s and `service:name`s. `admins` are the administrators.",
    },
    routes: {
      name: "routes",
      tables: ROUTE,
      defaults: "defaults",
      help: "An application each. `[defaults]` has keys for all of them.",
    },
    serviceAccounts: {
      name: "service_accounts",
      tables: SERVICE_ACCOUNT,
      help: "A program each, which comes with an API key that an administrator makes for it.",
    },
  },
  ({ groups, routes = [], serviceAccounts = [] }, report) => {
    checkAccounts(serviceAccounts, routes, (problem, remedy) =>
      report("error", "serviceAccounts", problem, remedy),
    );
    if (groups === undefined) return;
    for (const { name, allow, deny, approvers } of routes) {
      const unknown = [allow, deny, approvers]
        .flatMap((list) => [...(list?.groups ?? [])])
        .filter((one) => !groups.has(one) && one !== ADMINS);
      if (unknown[0] === undefined) continue;
      report(
        "error",
        "groups",
        `has no group ${quote(unknown[0])}, which the route ${name} names`,
        `Add a line ${unknown[0]} = ["somebody@example.org"] below [groups].`,
      );
    }
  },
  "error",
);

function checkAccounts(
  accounts: readonly TableOf<typeof SERVICE_ACCOUNT.keys>[],
  routes: readonly { readonly name: string }[],
  report: (problem: string, remedy: string) => void,
): void {
  const names = new Set<string>();
  for (const account of accounts) {
    if (names.has(account.name)) report(`has ${quote(account.name)} twice`, "Give each a name of its own.");
    names.add(account.name);
    const unknown = account.routes?.find((one) => !routes.some(({ name }) => name === one));
    if (unknown !== undefined) {
      const problem = `names the route ${quote(unknown)} in ${account.name}, and there is none`;
      report(problem, "Write the name of one of [[routes]].");
    }
  }
}

export type RouteEntry = TableOf<typeof ROUTES_TABLE.keys>["routes"][number];

function accountName(written: string): string {
  return /^oidc:[\x21-\x7e]{1,255}$/.test(written) ? written : routeName(written);
}

/** Of a route, or of what else has one in an address. */
export function routeName(written: string): string {
  if (/^[a-z0-9-]{1,32}$/.test(written)) return written;
  throw new ValueError(
    `is not a name: ${quote(written)}`,
    "Write small letters, digits and hyphens, up to 32 of them.",
  );
}

function host(written: string): string {
  return written.startsWith("*.") ? `*.${plainHost(written.slice(2))}` : plainHost(written);
}

function plainHost(written: string): string {
  const normal = normalHost(written);
  if (normal !== undefined && !/:\d+$/.test(normal)) return normal;
  throw new ValueError(
    `is not a host name: ${quote(written)}`,
    "Write a name such as app.example.org, without a scheme, and without a port, which is the base URL's.",
  );
}

/** A path in normal form, which could be one of an application's. */
function path(written: string): string {
  const plain = written.startsWith("/") && !/[?#\s]/.test(written) && isPlain(written);
  if (plain && URL.parse(`http://host${written}`)?.pathname === written) return written;
  throw new ValueError(
    `is not a path: ${quote(written)}`,
    "Write it as browsers send it, beginning with a slash, without a query or a fragment.",
  );
}

function routePath(written: string): string {
  const normal = path(written === "/" ? written : written.replace(/\/$/, ""));
  if (placeOf(normal) === "application") return normal;
  throw new ValueError(`is one of Runegate's own: ${quote(written)}`, "Choose another.");
}

function publicPath(written: string): string {
  const open = path(written);
  if (open.replace(/\/\*$/, "").includes("*")) {
    throw new ValueError(
      `has a * in it: ${quote(written)}`,
      "Only /* at the end stands for what lies below.",
    );
  }
  return open;
}

function methods(value: unknown): ReadonlySet<string> {
  return new Set(
    listOf((written) => {
      if (/^[A-Z]{1,32}$/.test(written)) return written;
      throw new ValueError(`is not a method: ${quote(written)}`, "Write it in capitals, such as GET.");
    })(value),
  );
}

export function groupName(written: string): string {
  if (/^[a-z0-9_-]{1,32}$/.test(written)) return written;
  throw new ValueError(
    "is not a name for a group",
    "Write small letters, digits, - and _, up to 32 of them.",
  );
}

function group(value: unknown, name: string): Group {
  groupName(name);
  const { addresses, domains, services } = people("group")(value);
  return { addresses, domains, services };
}

const NAMED = /^(group|service):([a-z0-9_-]{1,32}|(?<=^service:)oidc:[\x21-\x7e]{1,255})$/;

/** @param where which words it may hold besides addresses and domains. */
export function people(where: keyof typeof WHO): (value: unknown) => People {
  return (value) => {
    const addresses = new Set<Address>();
    const domains = new Set<Domain>();
    const named = { group: new Set<string>(), service: new Set<string>() };
    let [anyone, everybody] = [false, false];
    listOf((written) => {
      const [, kind, name = ""] = NAMED.exec(written) ?? [];
      // A group is not in another.
      if ((kind === "service" && where !== "approvers") || (kind === "group" && where !== "group"))
        named[kind].add(name);
      else if (where === "allow" && written === "anyone") anyone = true;
      else if (where === "allow" && written === "public") everybody = true;
      else if (written.startsWith("@"))
        domains.add(
          explained(parseDomain, written.slice(1), `has a domain that is none: ${quote(written)}`, ""),
        );
      else
        addresses.add(
          explained(parseAddress, written, `has an entry that is none: ${quote(written)}`, WHO[where]),
        );
    })(value);
    // A group may be one whose members an OpenID provider names.
    if (
      (where === "allow" || where === "approvers") &&
      addresses.size + domains.size + named.group.size + named.service.size === 0
    ) {
      if (!anyone && !everybody) throw new ValueError("names nobody", WHO[where]);
    }
    return { ...NOBODY, addresses, domains, groups: named.group, services: named.service, anyone, everybody };
  };
}

const WHO = {
  group: "Write addresses, @example.org for a whole domain, or service:name.",
  deny: "Write addresses, @example.org, group:name or service:name.",
  approvers: "Write addresses, @example.org or group:name.",
  allow: "Write addresses, @example.org, group:name, service:name, anyone or public.",
} as const;

function originOf(written: string): string {
  return originUrl(written, "Write an origin such as https://dashboard.example.org.").origin;
}

function identityFact(name: string): IdentityFact {
  return choice("user", "email", "groups", "name")(name);
}

function headerName(written: string): string {
  // RFC 9110 §5.6.2, without what gateway interfaces fold into one.
  if (/^[A-Za-z0-9-]{1,64}$/.test(written)) return written.toLowerCase();
  throw new ValueError(
    `is not the name of a header: ${quote(written)}`,
    "Write letters, digits and hyphens.",
  );
}

function headerValue(written: string): string {
  if (/^[\t\x20-\x7e]{0,4096}$/.test(written)) return written;
  throw new ValueError("is not a value for a header", "Write ASCII text on one line.");
}

/** They frame the message, or say whose it is. */
const FIXED =
  /^(?:host|connection|keep-alive|te|trailer|transfer-encoding|content-length|upgrade|expect|cookie|set-cookie|proxy-.*|x-runegate-.*|remote-.*|x-forwarded-.*|forwarded|x-real-ip)$/;

function changeable(name: string): string {
  if (!FIXED.test(name)) return name;
  throw new ValueError(`is not for a route to change: ${name}`, "Leave it out.");
}

/** `Authorization_file = "/path"`, or a header with its text. */
function requestHeader(value: unknown, written: string): string {
  const [, authorization] = /^(authorization)_file$/i.exec(written) ?? [];
  const name = changeable(headerName(authorization ?? written));
  if (authorization !== undefined) return headerValue(text(contentsOf)(value).trim());
  if (name === "authorization") {
    throw new ValueError(
      "would stand in a file that others read",
      "Write Authorization_file with the path of one.",
    );
  }
  const fixed = text(headerValue)(value);
  const unknown = /\$\{(?!(?:email|user|groups)\})[^}]*\}?/.exec(fixed);
  if (unknown === null) return fixed;
  throw new ValueError(
    `contains ${quote(unknown[0])}, which stands for nothing`,
    "Only email, user and groups can stand there.",
  );
}

/** Of a file that a key names. @throws {ValueError} */
export function contentsOf(written: string): string {
  const read = readTextFile(written);
  if (read.kind === "read") return read.text;
  if (read.kind === "failed") throw new ValueError(read.problem, read.remedy);
  throw new ValueError(
    `names a file that does not exist: ${quote(written)}`,
    "Create it, or write its path.",
  );
}

function statusRange(written: string): { readonly from: number; readonly to: number } {
  const [, from, to = from] = /^([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?$/.exec(written) ?? [];
  if (from !== undefined && Number(from) <= Number(to)) return { from: Number(from), to: Number(to) };
  throw new ValueError(`is not a range of statuses: ${quote(written)}`, "Write one such as 200-399.");
}

function pageText(written: string): string {
  if (written.trim() !== "" && written.length <= 500 && !/[\p{Cc}\u2028\u2029]/u.test(written))
    return written.trim();
  throw new ValueError(
    "is empty, too long, or has control characters in it",
    "Write a line of at most 500 characters.",
  );
}

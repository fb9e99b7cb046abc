import { people } from "../access/routes-file.ts";
import { isPrivate } from "../net/ip.ts";
import { isLoopbackHost } from "../net/loopback.ts";
import { readableByOthers, readTextFile } from "../option/files.ts";
import { type ListOfTables, listOf, plain, type TableOf, table, text } from "../option/table.ts";
import { quote, ValueError } from "../option/value-error.ts";
import { boolean, DAY, duration, MINUTE } from "../option/values.ts";

/** `[[clients]]` in `clients.toml`: applications that speak OpenID Connect themselves and sign people in with us. */

/** Keys are published for longer than this (`signing-keys.ts`). */
export const LONGEST_TOKEN = DAY;
export const LONGEST_REFRESH = 365 * DAY;

const CLIENT = table(
  {
    id: {
      name: "id",
      parse: text(clientId),
      example: "grafana",
      help: "Its `client_id`: letters, digits and `._-`, up to 64 characters.",
    },
    title: {
      name: "title",
      parse: text(title),
      example: "Grafana",
      help: "What pages call it. By default its id.",
      optional: true,
    },
    secret: {
      name: "secret_file",
      parse: text(secretIn),
      example: "/etc/runegate/clients/grafana",
      help: "A file with its secret, readable by the service alone. Without one it is a public client: PKCE is all that protects it.",
      optional: true,
    },
    redirectUris: {
      name: "redirect_uris",
      parse: listOf((written) => clientUri(written)),
      example: ["https://grafana.example.org/login/generic_oauth"],
      help: "Where sign-ins may come back to, each exactly as the application sends it. `http://` on loopback alone.",
      default: [],
    },
    allow: {
      name: "allow",
      parse: people("allow"),
      example: ["group:staff"],
      help: "Who may, of those who may sign in: as `allow` of a route. By default who may use the route of the same name.",
      optional: true,
    },
    postLogoutRedirectUris: {
      name: "post_logout_redirect_uris",
      parse: listOf((written) => clientUri(written)),
      example: ["https://grafana.example.org/"],
      help: "Where the browser may go after signing out.",
      default: [],
    },
    backchannelLogoutUri: {
      name: "backchannel_logout_uri",
      parse: text((written) => clientUri(written, isPrivate)),
      example: "https://grafana.example.org/oidc/logout",
      help:
        "Where it is told that a session has ended (OpenID Connect Back-Channel Logout), until it has heard. `http://` on " +
        "loopback or in private address space.",
      optional: true,
    },
    consent: {
      name: "consent",
      parse: text((written) => oneOf(written, ["none", "first"])),
      example: "first",
      help: "`first` asks people once what the application may learn of them; `none` does not ask.",
      default: "none",
    },
    tokenTtl: {
      name: "token_ttl",
      parse: plain(duration("s", MINUTE, LONGEST_TOKEN)),
      example: "10m",
      help: "How long its access tokens and ID tokens are good.",
      default: "10m",
    },
    refreshTtl: {
      name: "refresh_ttl",
      parse: plain(duration("s", MINUTE, LONGEST_REFRESH)),
      example: "7d",
      help: "How long a refresh token is good that is not used; none outlives the session.",
      default: "7d",
    },
    audience: {
      name: "audience",
      parse: text(word),
      example: "https://api.example.org",
      help: "The `aud` of its access tokens. By default its id.",
      optional: true,
    },
    algorithm: {
      name: "id_token_signed_response_alg",
      parse: text((written) => oneOf(written, ["RS256", "ES256"])),
      example: "ES256",
      help: "How its tokens are signed: `RS256` or `ES256`.",
      default: "RS256",
    },
    device: {
      name: "device",
      parse: plain(boolean),
      example: true,
      help: "Whether it may sign people in on another device (RFC 8628), as programs without a browser do.",
      default: false,
    },
  },
  (client, report) => {
    if (client.redirectUris?.length === 0 && client.device === false)
      report("error", "redirectUris", "is empty, so nobody can sign in", "Add one, or write device = true.");
  },
  "error",
);

export const CLIENTS_FILE = table(
  {
    clients: {
      name: "clients",
      tables: CLIENT,
      help: "An application each, that signs people in by OpenID Connect.",
    } as const satisfies ListOfTables,
  },
  ({ clients = [] }, report) => {
    clients.forEach(({ id }, at) => {
      if (clients.findIndex((one) => one.id === id) < at)
        report("error", `clients[${at}].id`, `is that of another client: ${id}`, "Choose another.");
    });
  },
  "error",
);

export type Client = TableOf<typeof CLIENT.keys>;

/** As people call it. */
export const clientTitle = ({ title: own, id }: Pick<Client, "title" | "id">): string => own ?? id;

function clientId(written: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(written)) return written;
  throw new ValueError(`is not an id: ${quote(written)}`, "Write letters, digits, dots and hyphens.");
}

function title(written: string): string {
  if (written.trim() !== "" && written.length <= 60 && !/[\p{Cc}\u2028\u2029]/u.test(written))
    return written.trim();
  throw new ValueError("is no title", "Write a line of at most 60 characters.");
}

function oneOf<const Word extends string>(written: string, words: readonly Word[]): Word {
  const found = words.find((one) => one === written);
  if (found !== undefined) return found;
  throw new ValueError(`is not one of its values: ${quote(written)}`, `Write ${words.join(" or ")}.`);
}

function word(written: string): string {
  if (/^[\x21-\x7e]{1,256}$/.test(written)) return written;
  throw new ValueError(`is not a name for a token: ${quote(written)}`, "Write a URL, or a word of ASCII.");
}

/** RFC 6749 §3.1.2: absolute, and without a fragment; compared as a text. */
function clientUri(written: string, isNear: (host: string) => boolean = () => false): string {
  const no = (problem: string, remedy: string) => new ValueError(`${problem}: ${quote(written)}`, remedy);
  const url = /^https?:\/\/[\x21-\x7e]+$/.test(written) ? URL.parse(written) : null;
  if (url === null || url.username !== "" || url.password !== "")
    throw no("is not an http(s) URL", "Write the whole of it, such as https://app.example.org/callback.");
  if (written.includes("*")) throw no("has a wildcard", "Write each URL out, exactly as it is sent.");
  if (written.includes("#")) throw no("has a fragment", "Leave out what follows the #.");
  const host = url.hostname.replace(/^\[|\]$/g, "");
  if (url.protocol === "http:" && !isLoopbackHost(host) && !isNear(host))
    throw no("would cross a network in clear", "Write https://, or http:// with a loopback address.");
  return written;
}

const LEAST_SECRET = 16;

function secretIn(path: string): string {
  const read = readTextFile(path);
  if (read.kind === "missing")
    throw new ValueError(`names a file that does not exist: ${quote(path)}`, "Create it, or write its path.");
  if (read.kind === "failed") throw new ValueError(read.problem, read.remedy);
  const exposed = readableByOthers(path, read.mode, read.uid);
  if (exposed !== undefined)
    throw new ValueError(`names a file that other users can read: ${quote(path)}`, exposed.remedy);
  const secret = read.text.replace(/[\r\n]+$/, "");
  if (secret.length >= LEAST_SECRET && !/[\r\n]/.test(secret)) return secret;
  throw new ValueError(
    `names a file that does not hold one line of ${LEAST_SECRET} characters or more: ${quote(path)}`,
    `Write one with: openssl rand -hex 32 > ${path}`,
  );
}

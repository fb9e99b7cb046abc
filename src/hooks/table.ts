import { contentsOf, routeName } from "../access/routes-file.ts";
import { directAddress } from "../net/endpoint.ts";
import { isPrivate } from "../net/ip.ts";
import { isLoopbackHost } from "../net/loopback.ts";
import { type ListOfTables, listOf, plain, type TableOf, table, text } from "../option/table.ts";
import { quote, ValueError } from "../option/value-error.ts";
import { choice, duration, SECOND } from "../option/values.ts";

/** `[[hooks]]` in `routes.toml`: programs that are told what happens, or asked whether it may. */

export const HOOK_EVENTS = [
  "login_requested",
  "sign_in",
  "sign_out",
  "access_requested",
  "new_device",
  "key_created",
] as const;
export type HookEvent = (typeof HOOK_EVENTS)[number];

/** What a hook can have a say in. */
const DECIDED: readonly HookEvent[] = ["login_requested", "sign_in"];

/** All hooks that are asked about one event, together. */
export const LONGEST_DECISION = 5 * SECOND;

const HOOK = table(
  {
    name: {
      name: "name",
      parse: text(routeName),
      example: "crm",
      help: "Its name in the audit and for `runegate hooks`: `a-z`, `0-9`, `-`, up to 32 characters.",
    },
    place: {
      name: "url",
      parse: text(hookPlace),
      example: "https://crm.internal/runegate",
      help: "Where it answers: `https://…`; `http://…` on this machine or in private address space; or `unix:/path`.",
    },
    events: {
      name: "events",
      parse: (value: unknown) => new Set(listOf(choice(...HOOK_EVENTS))(value)),
      example: ["sign_in", "sign_out"],
      help:
        "What it is told of: `login_requested`, `sign_in`, `sign_out`, `access_requested`, `new_device`, `key_created`. " +
        "With `decide`, the first two.",
    },
    mode: {
      name: "mode",
      parse: text(choice("notify", "decide")),
      example: "decide",
      help: "`notify` tells it, until it has heard; `decide` asks it whether to go on.",
      default: "notify",
    },
    secrets: {
      name: "secret_file",
      parse: text(secretsIn),
      example: "/etc/runegate/secrets/crm",
      help: "A file with the secret that signs: `whsec_` and 24 to 64 bytes in Base64. Of several lines, each signs.",
    },
    timeout: {
      name: "timeout",
      parse: plain(duration("s", 100, 15 * SECOND)),
      example: "2s",
      help: "How long an answer may take: by default `15s`, and with `decide` `2s`, of 5 s for all hooks together.",
      optional: true,
    },
    onError: {
      name: "on_error",
      parse: text(choice("deny", "allow")),
      example: "deny",
      help: "With `decide`: what holds where it gives no answer, or another than it should. By default `deny`.",
      optional: true,
    },
  },
  ({ mode, events, timeout, onError }, report) => {
    if (events?.size === 0) report("error", "events", "is empty", "Name one event at least.");
    if (mode === "notify" && onError !== undefined)
      report("error", "onError", "is for hooks that decide", 'Leave it out, or write mode = "decide".');
    if (mode !== "decide") return;
    const undecided = [...(events ?? [])].find((event) => !DECIDED.includes(event));
    if (undecided !== undefined)
      report(
        "error",
        "events",
        `names ${undecided}, which nobody decides`,
        "Leave it to a hook of mode notify.",
      );
    if (timeout !== undefined && timeout > LONGEST_DECISION)
      report("error", "timeout", "is longer than anybody would wait", "Write 5s or less.");
  },
  "error",
);

export const HOOKS = {
  name: "hooks",
  tables: HOOK,
  help: "A program each, that is told what happens or asked whether it may. Signed as by Standard Webhooks.",
} as const satisfies ListOfTables;

export type Hook = TableOf<typeof HOOK.keys>;

export type HookPlace =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "url"; readonly href: string };

/** As an operator may read it: what follows a question mark may be a password. */
export function placeText(place: HookPlace): string {
  return place.kind === "unix" ? `unix:${place.path}` : place.href.replace(/\?.*/, "");
}

const PLACE_REMEDY =
  "Write https://…, http:// with a loopback or private address, or unix:/path/to/socket; the secret goes into secret_file.";

function hookPlace(written: string): HookPlace {
  const shown = quote(written.replace(/\?.*/, "?…"));
  if (written.startsWith("unix:")) {
    const address = directAddress(written);
    if (address.kind === "unix") return address;
  }
  const url = /^https?:\/\/[^\s\\#]+$/i.test(written) ? URL.parse(written) : null;
  if (url === null || url.username !== "" || url.password !== "")
    throw new ValueError(`is not the URL of a hook: ${shown}`, PLACE_REMEDY);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  if (url.protocol === "https:" || isLoopbackHost(host) || isPrivate(host))
    return { kind: "url", href: url.href };
  throw new ValueError(`would cross a network in clear: ${shown}`, PLACE_REMEDY);
}

const [LEAST_SECRET, MOST_SECRET] = [24, 64];
const MOST_SECRETS = 5;

function secretsIn(path: string): readonly Uint8Array[] {
  const lines = contentsOf(path).split("\n");
  const secrets = lines.map((line) => line.trim()).filter((line) => line !== "");
  if (secrets.length > 0 && secrets.length <= MOST_SECRETS)
    return secrets.map((line) => secretOf(line, path));
  throw new ValueError(`names a file with ${secrets.length} secrets in it: ${quote(path)}`, SECRET_REMEDY);
}

const SECRET_REMEDY = "Write one with: runegate hooks secret";

/** As the file and receivers have it. */
export const writeSecret = (secret: Uint8Array) => `whsec_${Buffer.from(secret).toString("base64")}`;

/** Standard Webhooks, "signature scheme", symmetric. @throws {ValueError} which does not quote it */
function secretOf(line: string, path: string): Uint8Array {
  const [, base64 = ""] = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(line) ?? [];
  const secret = new Uint8Array(Buffer.from(base64, "base64"));
  if (secret.length >= LEAST_SECRET && secret.length <= MOST_SECRET) return secret;
  throw new ValueError(
    `has a line that is not whsec_ and ${LEAST_SECRET} to ${MOST_SECRET} bytes in Base64: ${quote(path)}`,
    SECRET_REMEDY,
  );
}

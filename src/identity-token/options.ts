import { identityHeaderName } from "../access/identity-headers.ts";
import { ROOT_PATHS } from "../edge/root-paths.ts";
import { placeOf } from "../edge/target.ts";
import { readTextFile } from "../option/files.ts";
import { type Declaration, type OptionsOf, unset } from "../option/option.ts";
import { quote, ValueError } from "../option/value-error.ts";
import { boolean, choice, DAY, duration, filePath, MINUTE } from "../option/values.ts";
import { jwtSecret } from "../secret/values.ts";
import { type PrivateJwk, privateKeys } from "./key-file.ts";

export type IdentityTokenOptions = OptionsOf<typeof IDENTITY_TOKEN_OPTIONS>;

/** Nothing of this is used until `RUNEGATE_IDENTITY_MODE` or a route says `jwt` or `both`. */
export const IDENTITY_TOKEN_OPTIONS = {
  downstreamJwtAlg: {
    name: "RUNEGATE_DOWNSTREAM_JWT_ALG",
    // What every library has; EdDSA by its older name, which RFC 9864 replaces and few know yet.
    parse: (text: string) => ALGORITHMS[choice("es256", "eddsa", "rs256", "hs256")(text)],
    default: "ES256",
    help:
      "How tokens for applications are signed: `ES256` or `EdDSA`, whose key comes from `RUNEGATE_SESSION_KEY` if it is not given; " +
      "`RS256` with a key that is given; `HS256` with `RUNEGATE_DOWNSTREAM_JWT_SECRET`.",
    words: ["ES256", "EdDSA", "RS256", "HS256"],
  },
  /** Milliseconds. */
  downstreamJwtTtl: {
    name: "RUNEGATE_DOWNSTREAM_JWT_TTL",
    parse: duration("s", MINUTE, DAY),
    default: "10m",
    help: "How long a token is good; a new one is made when half of that has passed. A plain number is seconds.",
  },
  downstreamJwtIssuer: {
    name: "RUNEGATE_DOWNSTREAM_JWT_ISS",
    parse: claim,
    default: unset("the base URL"),
    help: "The claim `iss`.",
  },
  downstreamJwtAudience: {
    name: "RUNEGATE_DOWNSTREAM_JWT_AUD",
    parse: claim,
    default: unset("the route's public origin, and its path"),
    help: "The claim `aud`, for routes that have no `audience` of their own.",
  },
  /** In lower case. */
  downstreamJwtHeader: {
    name: "RUNEGATE_DOWNSTREAM_JWT_HEADER",
    parse: identityHeaderName,
    default: "X-Runegate-JWT",
    help: "The header with the token. What clients send under this name is removed.",
  },
  downstreamJwtBearer: {
    name: "RUNEGATE_DOWNSTREAM_JWT_BEARER",
    parse: boolean,
    default: "false",
    help: "Whether the token follows the word `Bearer`, in the header `Authorization`.",
  },
  downstreamJwtKeyFile: {
    name: "RUNEGATE_DOWNSTREAM_JWT_PRIVATE_KEY_PATH",
    parse: keyFile,
    default: unset("made from `RUNEGATE_SESSION_KEY`"),
    help: "A file of private keys, PEM (PKCS#8) or a JWK set: the first signs, all are published.",
  },
  downstreamJwtKey: {
    name: "RUNEGATE_DOWNSTREAM_JWT_PRIVATE_KEY_BASE64",
    parse: (text: string) => privateKeys(Buffer.from(text, "base64").toString()),
    default: unset("made from `RUNEGATE_SESSION_KEY`"),
    help: "The same as a value: the contents of such a file in base64.",
    secret: true,
  },
  downstreamJwtSecret: {
    name: "RUNEGATE_DOWNSTREAM_JWT_SECRET",
    parse: jwtSecret,
    default: unset(""),
    help: "What tokens are signed with by `HS256`, and applications verify them with: at least 32 bytes.",
    secret: true,
  },
  downstreamJwks: {
    name: "RUNEGATE_DOWNSTREAM_JWKS_ENABLED",
    parse: boolean,
    default: unset("true where an application gets tokens"),
    help: "Whether everybody can have the public keys, at `/_runegate/jwks.json` of every host.",
  },
  downstreamJwksPath: {
    name: "RUNEGATE_DOWNSTREAM_JWKS_PATH",
    parse: rootPath,
    default: unset(""),
    help: "Another path for them, such as `/.well-known/jwks.json`. No application gets it then.",
  },
} satisfies Declaration;

const ALGORITHMS = { es256: "ES256", eddsa: "EdDSA", rs256: "RS256", hs256: "HS256" } as const;

export type KeyFile = {
  readonly path: string;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly keys: readonly PrivateJwk[];
};

function keyFile(text: string): KeyFile {
  const path = filePath(text);
  const read = readTextFile(path);
  if (read.kind === "read") return { path, mode: read.mode, uid: read.uid, keys: privateKeys(read.text) };
  if (read.kind === "failed") throw new ValueError(read.problem, read.remedy);
  throw new ValueError(`names a file that does not exist: ${quote(path)}`, "Create it, or write its path.");
}

function claim(text: string): string {
  if (/^[\x21-\x7e]{1,256}$/.test(text)) return text;
  throw new ValueError(`is not a name for a token: ${quote(text)}`, "Write a URL, or a word of ASCII.");
}

function rootPath(text: string): string {
  const plain = /^(?:\/(?!\.{1,2}(?:\/|$))[\w.-]+)+$/.test(text);
  if (plain && placeOf(text) === "application" && !ROOT_PATHS.some((path) => path === text)) return text;
  throw new ValueError(
    `is not a path of its own: ${quote(text)}`,
    "Write one such as /.well-known/jwks.json, of letters, digits, dots, hyphens and underscores.",
  );
}

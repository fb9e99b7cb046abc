import type { Address, Domain } from "../login/address.ts";
import type { LogFormat, LogLevels } from "../observe/log.ts";

/** The parsed forms of the options. All durations are milliseconds, whatever unit they are written in. */

export type ListenAddress =
  | { readonly kind: "tcp"; readonly hostname: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

/**
 * Where the application answers. `origin` has no trailing slash and is what request paths are appended to; `hostname`
 * has no brackets around an IPv6 address.
 */
export type TargetAddress =
  | {
      readonly kind: "tcp";
      readonly origin: string;
      readonly hostname: string;
      readonly port: number;
      readonly tls: boolean;
    }
  | { readonly kind: "unix"; readonly path: string };

/** One network: `[address bytes, prefix length]` in the form `ipaddr.js` matches. */
export type Network = { readonly text: string; readonly bytes: readonly number[]; readonly prefix: number };

export type LinkConfirm = "auto" | "always" | "never";

/** `auto`: Runegate's for visitors, the application's for users. */
export type RootPathsOption = boolean | "auto";

/** The `Host` that the application gets: the browser's, that of the target, or a fixed `name` (or `name:port`). */
export type HostHeader = "pass" | "target" | { readonly name: string };

export type StoreLocation =
  | { readonly kind: "memory" }
  /** `path` is absolute, or relative to the working directory. */
  | { readonly kind: "sqlite"; readonly path: string }
  /** `url` as given, with what it takes to sign in: never to be shown. `shown` may be. */
  | { readonly kind: "valkey"; readonly url: string; readonly shown: string };

export type Options = {
  readonly production: boolean;
  readonly listen: ListenAddress;
  /** Of a unix socket to listen on: a name or a number, and permission bits. */
  readonly listenGroup: string | undefined;
  readonly listenMode: number;
  readonly target: TargetAddress;
  /** Public origin, no trailing slash. */
  readonly baseUrl: string;
  readonly jwtSecret: Uint8Array;
  readonly jwtSecretPrevious: Uint8Array | undefined;
  readonly sessionKey: Uint8Array;
  readonly sessionKeyPrevious: Uint8Array | undefined;
  readonly secureCookie: boolean;
  readonly cookieDomain: string | undefined;
  readonly sessionCookieName: string;
  readonly sessionTtl: number;
  readonly sessionIdle: number;
  readonly magicLinkExpiry: number;
  readonly linkConfirm: LinkConfirm;
  readonly landingPath: string;
  readonly rootPaths: RootPathsOption;
  readonly hostHeader: HostHeader;
  readonly allowedEmails: ReadonlySet<Address>;
  readonly allowedDomains: ReadonlySet<Domain>;
  readonly allowAnyEmail: boolean;
  readonly trustedProxies: readonly Network[];
  readonly rateLimitEnabled: boolean;
  /** Requests per minute and client. */
  readonly loginRateLimit: number;
  readonly emailCooldown: number;
  /** Attempts per minute and client. */
  readonly tokenRateLimit: number;
  /** Mails per hour in all; 0 is no limit. */
  readonly mailCeiling: number;
  readonly identityHeaders: boolean;
  /** `"*"` turns the check off for WebSockets only. */
  readonly allowedOrigins: "*" | ReadonlySet<string>;
  readonly streamResponses: boolean;
  readonly connectTimeout: number;
  readonly responseTimeout: number;
  /** Bytes; undefined is unlimited. */
  readonly maxBody: number | undefined;
  readonly store: StoreLocation;
  readonly workers: number;
  readonly debugEndpoints: boolean;
  readonly logFormat: LogFormat;
  readonly logLevels: LogLevels;
  readonly requestLogs: boolean;
  /** As configured; undefined means the two default places are tried. */
  readonly emailConfig: string | undefined;
  /** Where the command line reaches the running instance; undefined if it shall not. Its directory may not exist yet. */
  readonly controlSocket: string | undefined;
};

export type TlsMode = "starttls" | "implicit" | "none";

/** `email.toml`, checked. */
export type EmailConfig = {
  readonly path: string;
  readonly host: string;
  readonly port: number;
  readonly tls: TlsMode;
  readonly user: string | undefined;
  readonly pass: string | undefined;
  /** As given: `address` or `Name <address>`. */
  readonly from: { readonly name: string | undefined; readonly address: Address };
  readonly replyTo: Address | undefined;
  readonly subject: string;
  readonly bodyTemplate: string;
  readonly htmlTemplate: string | undefined;
};

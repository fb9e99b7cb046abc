import type { RootPathsOption } from "../edge/root-paths.ts";
import type { Address, Domain } from "../identity/address.ts";
import type { LinkConfirm } from "../login/link-confirm.ts";
import type { ListenAddress, TargetAddress } from "../net/endpoint.ts";
import type { Network } from "../net/ip.ts";
import type { LogFormat, LogLevels } from "../observe/logger.ts";
import type { HostHeader } from "../proxy/upstream-name.ts";
import type { StoreLocation } from "../store/location.ts";

/** The parsed forms of the options. All durations are milliseconds, whatever unit they are written in. */

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
  /** Absolute path of the directory with the operator's logo and style sheet. */
  readonly brand: string | undefined;
  readonly identityHeaders: boolean;
  /** `"*"` turns the check off for WebSockets only. */
  readonly allowedOrigins: "*" | ReadonlySet<string>;
  readonly streamResponses: boolean;
  readonly connectTimeout: number;
  readonly responseTimeout: number;
  /** Bytes; undefined is unlimited. */
  readonly maxBody: number | undefined;
  /** Bytes. */
  readonly maxMessage: number;
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

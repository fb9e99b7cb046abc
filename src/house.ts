import type { Elysia } from "elysia";
import type { ApiAuthenticator, Authenticator } from "./access/admit.ts";
import type { Policy } from "./access/policy.ts";
import type { Routes } from "./access/routes.ts";
import type { AccountSection } from "./account/section.ts";
import type { AdminScreen } from "./admin/screen.ts";
import type { Closures } from "./applications/closures.ts";
import type { AuditTrail } from "./audit/trail.ts";
import type { Fetch } from "./bearer/provider-keys.ts";
import type { Clock, Random } from "./clock.ts";
import type { Options } from "./config/options.ts";
import type { DeviceCookie } from "./devices/cookie.ts";
import type { Devices } from "./devices/devices.ts";
import type { Probes } from "./doctor/probes.ts";
import type { LookOf } from "./edge/arrival.ts";
import type { Client } from "./edge/client.ts";
import type { OwnCookie } from "./edge/cookies.ts";
import type { PostGuard } from "./edge/origin.ts";
import type { OwnPaths } from "./edge/own.ts";
import type { OpenOwnSocket } from "./edge/own-socket.ts";
import type { RootPaths } from "./edge/root-paths.ts";
import type { SignIn } from "./edge/sign-in.ts";
import type { GrantBook } from "./grants/book.ts";
import type { PeopleService } from "./grants/people.ts";
import type { AccessRequests } from "./grants/requests.ts";
import type { BindingCookie } from "./hand-off/cookie.ts";
import type { Hooks } from "./hooks/hooks.ts";
import type { Address } from "./identity/address.ts";
import type { IdentityKeys } from "./identity-token/keys.ts";
import type { IdentityTokens } from "./identity-token/token.ts";
import type { ActingCookie } from "./impersonation/cookie.ts";
import type { Impersonations } from "./impersonation/service.ts";
import type { KeptPostDesk } from "./kept-post/desk.ts";
import type { KeyProof } from "./keys/authenticator.ts";
import type { ApiKeys } from "./keys/service.ts";
import type { LanguageChoice } from "./language/choice.ts";
import type { Limiter } from "./limits/limiter.ts";
import type { BeforeAsk } from "./login/before-ask.ts";
import type { LoginCookie } from "./login/cookie.ts";
import type { LoginService } from "./login/service.ts";
import type { WayIn } from "./login/way-in.ts";
import type { Mailbox } from "./mail/mailbox.ts";
import type { Mailer } from "./mail/mailer.ts";
import type { Outbox } from "./mail/outbox.ts";
import type { EmailConfig } from "./mail/settings.ts";
import type { Undeliverable } from "./mail/undeliverable.ts";
import type { Metrics } from "./metrics/metrics.ts";
import type { Audit, AuditFirst, AuditListener } from "./observe/audit.ts";
import type { LoggerFor } from "./observe/logger.ts";
import type { Provider } from "./oidc-login/provider.ts";
import type { Look } from "./pages/look.ts";
import type { Client as OidcClient } from "./provider/client.ts";
import type { TokenRelay } from "./provider/relay.ts";
import type { Keys } from "./secret/keys.ts";
import type { SessionCookie } from "./session/cookie.ts";
import type { Sessions } from "./session/session.ts";
import type { Store } from "./store/store.ts";
import type { Tunnels } from "./tunnel/open.ts";

/** Everything that rooms may use: what they are given from outside, and each other's services. A room picks what it needs. */
export type House = {
  readonly options: Options;
  /** Undefined in development without an `email.toml`: mail then goes to the mailbox. */
  readonly email: EmailConfig | undefined;
  readonly stores: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly fetch: Fetch;
  readonly loggers: LoggerFor;
  readonly audit: Audit;
  readonly auditFirst: AuditFirst;
  /** Listen before the house starts. */
  readonly auditEvents: { listen(listener: AuditListener): void };
  /** What is counted and measured. Rooms declare their own when they are made. */
  readonly metrics: Metrics;
  readonly auditTrail: AuditTrail;
  readonly keys: Keys;
  readonly policy: Policy;
  readonly grants: GrantBook;
  readonly people: PeopleService;
  readonly accessRequests: AccessRequests;
  readonly routes: Routes;
  /** That people may sign in with. */
  readonly providers: readonly Provider[];
  /** That sign people in with us. */
  readonly clients: readonly OidcClient[];
  readonly closures: Closures;
  readonly identityKeys: IdentityKeys;
  readonly identityToken: IdentityTokens["identityToken"];
  readonly forgetIdentity: IdentityTokens["forgetIdentity"];
  readonly limiter: Limiter;
  /**
   * How much is used, from 0 to 1, of the limit that is used most: of this client's login requests, of the queue of those who ask,
   * and of an hour's mails, if each request had one. Nothing of an address. @param coming requests of the client about to be counted.
   * @throws {StoreUnavailable}
   */
  pressure(client: Client, coming: 0 | 1): Promise<number>;
  readonly lookOf: LookOf;
  /** How a mail is to look to somebody that no request of theirs has caused. @throws {StoreUnavailable} */
  readonly lookTo: (email: string) => Promise<Look>;
  readonly languages: LanguageChoice;
  readonly apiKeys: ApiKeys;
  readonly keyProof: KeyProof;
  /** Whether an `Authorization` is a credential of Runegate's own, which applications never see. */
  readonly isOwnCredential: (authorization: string) => boolean;
  readonly guardPost: PostGuard;
  readonly sessions: Sessions;
  readonly sessionCookie: SessionCookie;
  readonly login: LoginService;
  readonly loginCookie: LoginCookie;
  readonly bindingCookie: BindingCookie;
  readonly devices: Devices;
  readonly deviceCookie: DeviceCookie;
  readonly impersonations: Impersonations;
  readonly actingCookie: ActingCookie;
  readonly signIn: SignIn;
  readonly keptPosts: KeptPostDesk;
  readonly outbox: Outbox;
  /** Sends at once what is not to wait in the outbox. */
  readonly mailer: Mailer;
  readonly hooks: Hooks;
  readonly tunnels: Tunnels;
  readonly undeliverable: Undeliverable;
  readonly probes: Probes;
  /** The development mailbox to show, if mail goes there. */
  readonly mailbox: Pick<Mailbox, "mails"> | undefined;
};

export type Renewal = {
  /** What they are, for people. */
  readonly what: string;
  readonly renewed: number;
  /** How many cannot be, and go on under the key before. */
  readonly left: number;
  /** When the last of these ends by itself, milliseconds since the Unix epoch. */
  readonly leftUntil?: number | undefined;
};

/** `retire`: another process takes over. `stop`: this one ends as soon as nothing is under way; `stay`: neither, any more. */
export type Leave = "stay" | "retire" | "stop";

/** What a room adds to the house. One that is switched off adds nothing but its name. */
export type Room = {
  readonly name: string;
  /** What it answers, below the reserved prefix and at the root. */
  readonly paths?: OwnPaths;
  /** WebSockets that end with it, by their whole path. */
  readonly sockets?: ReadonlyMap<string, OpenOwnSocket>;
  /** Its part of the management API, declared when that is first asked for: it takes some milliseconds. */
  api?(): Promise<Elysia>;
  readonly rootPaths?: RootPaths;
  /** Paths at the root that it has whatever `RUNEGATE_ROOT_PATHS` says: the operator chose them, or a standard. */
  readonly chosenPaths?: RootPaths;
  /** Which of its own paths one at the root stands for, by the operator's choice. Asked with every request. */
  ownPathOf?(path: string): string | undefined;
  /** What it answers below these paths it answers by whatever host it is asked, known or not. */
  readonly anyHost?: readonly string[];
  readonly authenticators?: readonly Authenticator[];
  /** What proves who one is to the management API alone, asked before all others. */
  readonly apiAuthenticators?: readonly ApiAuthenticator[];
  /** Cut out of what the application receives, and not for it to set. */
  readonly cookies?: readonly OwnCookie[];
  /** What it has applications get with requests, for calling others. */
  readonly relay?: TokenRelay | undefined;
  /** Its part of the page of one's account. */
  readonly account?: AccountSection;
  /** Its screen of the admin pages, or its part of another room's. */
  admin?(): Promise<AdminScreen>;
  /** Its part of the login page. */
  readonly wayIn?: WayIn;
  /** What it asks of whoever asks for a mail. */
  readonly beforeAsk?: BeforeAsk;
  /**
   * Ends what it has that lets somebody in as this address: whoever reads its mail said that a sign-in was not theirs.
   * @throws {StoreUnavailable}
   */
  disown?(email: Address): Promise<void>;
  /** Learns what requests are decided by, before the first of them, and goes on learning it. Never rejects. */
  prepare?(): Promise<void>;
  /**
   * Seals under the present session key what it keeps under the one before, also where it is switched off.
   * @throws {StoreUnavailable}
   */
  renewSeals?(): Promise<Renewal>;
  start?(): void;
  /** Whether whoever is connected for long is to go to another process. */
  leave?(how: Leave): void;
  /** Another one takes its place in this process: what it does by itself ends, and what is under way goes on. */
  replaced?(): void;
  stop?(): Promise<void>;
};

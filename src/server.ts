import type { Server } from "bun";
import { Elysia } from "elysia";
import type { Application } from "./access/application.ts";
import { createPolicy, type Policy } from "./access/policy.ts";
import { type Clock, type Pause, type Random, systemPause } from "./clock.ts";
import type { Options } from "./config/types.ts";
import { debugRoutes } from "./debug/routes.ts";
import { createDoor, type Door, whenBroken } from "./door.ts";
import { failure, NOT_FOUND } from "./edge/answer.ts";
import { assetRoutes } from "./edge/assets.ts";
import { BodyError } from "./edge/body.ts";
import { createClientReader } from "./edge/client.ts";
import { createCookieReader } from "./edge/cookies.ts";
import { createPostGuard } from "./edge/origin.ts";
import { arrivalOf, type OwnRoutes } from "./edge/own.ts";
import { CLAIM_ALL, type Claim } from "./edge/root-paths.ts";
import { OWN_PREFIX } from "./edge/target.ts";
import { healthRoutes } from "./health/routes.ts";
import { createLimiter } from "./limits/limiter.ts";
import { limitRoutes } from "./limits/routes.ts";
import { createAskQueue } from "./login/ask-queue.ts";
import { loginCookieName } from "./login/cookie.ts";
import { createKnownAddresses } from "./login/known.ts";
import { safeNext } from "./login/next.ts";
import { loginRoutes } from "./login/routes.ts";
import { createLoginService, type LoginService } from "./login/service.ts";
import { createTickets } from "./login/ticket.ts";
import { createCeiling } from "./mail/ceiling.ts";
import type { Mailbox } from "./mail/mailbox.ts";
import type { Mailer } from "./mail/mailer.ts";
import { DEFAULT_TEMPLATE } from "./mail/message.ts";
import { createOutbox, type Outbox } from "./mail/outbox.ts";
import { mailboxRoutes, mayReadMailbox } from "./mail/routes.ts";
import { createSeal } from "./mail/seal.ts";
import type { EmailConfig } from "./mail/settings.ts";
import { createWaitingMails } from "./mail/waiting.ts";
import type { ListenAddress } from "./net/endpoint.ts";
import { type Audit, createFoldingAudit } from "./observe/audit.ts";
import type { LoggerFor } from "./observe/logger.ts";
import { createRequestLog } from "./observe/request-log.ts";
import { createForward } from "./proxy/forward.ts";
import { warnOfOwnPaths } from "./proxy/redirects.ts";
import { createTunnel, type Tunnel, type TunnelData } from "./proxy/tunnel.ts";
import { createUpstream } from "./proxy/upstream.ts";
import { upstreamName } from "./proxy/upstream-name.ts";
import { deriveKeys } from "./secret/keys.ts";
import { createSessionCookie } from "./session/cookie.ts";
import { createLiveConnections, type LiveConnections } from "./session/live.ts";
import { sessionRoutes } from "./session/routes.ts";
import { createSessions, isSessionCookie, type Sessions } from "./session/session.ts";
import type { Store } from "./store/store.ts";

/** The composition root: options → stores → services → rooms → one handler for `Bun.serve`. */

export type GatewaySettings = {
  readonly options: Options;
  /** Undefined in development without an `email.toml`: mail then goes to the mailbox. */
  readonly email: EmailConfig | undefined;
  readonly mailer: Mailer;
  /** The development mailbox to show, if mail goes there. */
  readonly mailbox: Pick<Mailbox, "mails"> | undefined;
  readonly stores: Store;
  readonly clock: Clock;
  readonly random: Random;
  /** How login requests wait for their turn, and for being turned away. */
  readonly pause?: Pause;
  readonly loggers: LoggerFor;
  /** What is open at the gateway whose place this one takes, if it takes one. */
  readonly live?: LiveConnections;
  readonly idleSeconds?: number;
};

export type Gateway = {
  readonly door: Door;
  readonly tunnel: Tunnel;
  readonly sessions: Sessions;
  readonly policy: Policy;
  readonly login: LoginService;
  readonly outbox: Outbox;
  readonly live: LiveConnections;
  readonly audit: Audit;
  readonly idleSeconds: number;
  start(): void;
  stop(): Promise<void>;
};

export function createGateway(settings: GatewaySettings): Gateway {
  const { options, stores, clock, random, loggers, email, idleSeconds = IDLE_SECONDS } = settings;
  const keys = deriveKeys(options);
  const policy = createPolicy(options);
  const loginCookie = loginCookieName(options.secureCookie);
  const { audit, flush } = createFoldingAudit(loggers("audit"), clock);
  const limiter = createLimiter(options, stores.limits);
  const sessions = createSessions({
    sessionTtl: options.sessionTtl,
    sessionIdle: options.sessionIdle,
    keys,
    store: stores,
    policy,
    audit,
    log: loggers("session"),
    clock,
    random,
  });
  const live = settings.live ?? createLiveConnections(sessions, clock, loggers("session"));
  const mailLog = loggers("mail");
  const outbox = createOutbox({
    store: createWaitingMails(stores, mailLog),
    limits: stores.limits,
    ceiling: createCeiling({ ...options, limits: stores.limits, clock, log: mailLog }),
    seal: createSeal(keys.queuedMail, random),
    mailer: settings.mailer,
    clock,
    random,
    log: mailLog,
    from: email === undefined ? "localhost" : email.from.address.slice(email.from.address.indexOf("@") + 1),
    async onGivenUp(entry, reason, refused) {
      audit({ event: "mail_given_up", email: entry.to, reason });
      // Whoever waits for a mail that will not come may ask again at once (CONTRACT section 5). Not where the recipient was
      // refused: that a second request is answered otherwise than for an address that may not sign in would tell the two
      // apart, and which mailboxes there are. Nor where the cooldown is over, and one of a later request may have begun.
      const over = clock.now() >= entry.queuedAt + options.emailCooldown;
      if (entry.cooldownKey !== undefined && !refused && !over) await limiter.release(entry.cooldownKey);
    },
  });
  const login = createLoginService({
    baseUrl: options.baseUrl,
    authPath: `${OWN_PREFIX}/auth`,
    magicLinkExpiry: options.magicLinkExpiry,
    codeKey: keys.loginCode,
    template: email ?? DEFAULT_TEMPLATE,
    tickets: createTickets(keys, { audience: options.baseUrl, clock }),
    store: stores,
    sessions,
    limiter,
    queue: createAskQueue(settings.pause ?? systemPause),
    policy,
    known: createKnownAddresses(options.allowedEmails, stores, clock),
    outbox,
    audit,
    clock,
    random,
  });
  const application: Application = {
    name: "default",
    target: options.target,
    policy,
    identityHeaders: options.identityHeaders,
    allowedOrigins: options.allowedOrigins,
  };
  const upstream = createUpstream({
    target: options.target,
    name: upstreamName(options),
    connectTimeout: options.connectTimeout,
    responseTimeout: options.responseTimeout,
    clock,
  });
  const proxyLog = loggers("proxy");
  const forward = createForward({
    application,
    upstream,
    live,
    streamResponses: options.streamResponses,
    maxBody: options.maxBody,
    ownCookies: new Set([options.sessionCookieName, loginCookie]),
    log: proxyLog,
  });
  const tunnel = createTunnel({ application, upstream, live, log: proxyLog });

  const rootPaths = new Map<string, Claim>();
  const sessionCookie = createSessionCookie(options);
  // `*` lets any page open WebSockets, never post to Runegate's own paths.
  const { allowedOrigins } = options;
  const guardPost = createPostGuard(
    allowedOrigins === "*" ? new Set([options.baseUrl]) : allowedOrigins,
    audit,
  );
  const rooms: OwnRoutes[] = [
    loginRoutes({
      ...options,
      service: login,
      sessions,
      sessionCookie,
      limiter,
      safeNext: (input) =>
        safeNext(input, options.landingPath, (to) => rootPaths.get(to.path)?.(to) === true),
      guardPost,
      showsMailbox: settings.mailbox === undefined ? () => false : mayReadMailbox,
      audit,
      clock,
    }),
    sessionRoutes({ ...options, sessions, sessionCookie, guardPost, audit }),
    healthRoutes(stores),
    limitRoutes(options),
    assetRoutes(),
    ...(options.debugEndpoints
      ? [debugRoutes({ sessions, sessionCookieName: options.sessionCookieName })]
      : []),
    ...(settings.mailbox === undefined ? [] : [mailboxRoutes(settings.mailbox, clock)]),
  ];
  for (const room of rooms) {
    for (const [path, claim] of options.rootPaths === false ? [] : room.rootPaths) {
      rootPaths.set(path, options.rootPaths === true ? CLAIM_ALL : claim);
    }
  }

  const door = createDoor({
    rooms: furnish(rooms, loggers),
    rootPaths,
    application,
    forward: options.rootPaths === true ? warnOfOwnPaths(forward, rootPaths, proxyLog) : forward,
    tunnel,
    sessions,
    live,
    readClient: createClientReader(options.trustedProxies, options.listen.kind),
    readCookies: createCookieReader(options.sessionCookieName, loginCookie, isSessionCookie),
    baseUrl: options.baseUrl,
    landingPath: options.landingPath,
    idleSeconds,
    clock,
    audit,
    requestLog: options.requestLogs
      ? createRequestLog(loggers("request"), options.logFormat)
      : () => undefined,
    log: loggers("edge"),
  });

  return {
    door,
    tunnel,
    sessions,
    policy,
    login,
    outbox,
    live,
    audit,
    idleSeconds,
    start() {
      outbox.start();
      // A store that is away now is asked again with the first record that needs it.
      sessions.adopt().catch(() => {});
      if (settings.live !== undefined) live.follow(sessions, loggers("session"));
      live.start();
    },
    async stop() {
      live.stop();
      upstream.stop();
      await outbox.stop();
      flush();
    },
  };
}

/** The rooms as one Elysia application, with one place for what they do not answer or cannot. */
function furnish(rooms: readonly OwnRoutes[], loggers: LoggerFor): Elysia {
  const log = loggers("edge");
  const app = new Elysia({ name: "runegate" }).onError(({ code, error, request }) => {
    const arrival = arrivalOf(request);
    if (code === "NOT_FOUND") return failure(arrival, NOT_FOUND);
    if (error instanceof BodyError) {
      return failure(arrival, {
        status: error.status,
        error: error.code,
        title: "This request cannot be understood",
        message: error.message,
        ...(error.status === 408 || error.status === 413 ? { headers: [["Connection", "close"]] } : {}),
      });
    }
    return whenBroken(arrival, error, log);
  });
  for (const room of rooms) app.use(room.app);
  return app as unknown as Elysia;
}

/**
 * A request head, and a body for one of Runegate's own paths, must be there by then, however it trickles; and an idle
 * connection is kept this long, which is longer than proxies in front of us keep theirs, so that they never send
 * on one that is just being closed. What goes to the application has no limit (`door.ts`).
 */
const IDLE_SECONDS = 75;

/**
 * Binds the gateway to its address.
 * @param shared whether other processes may listen there too, each getting some of the connections.
 * @throws if the address is in use or may not be bound.
 */
export function listen(gateway: Gateway, address: ListenAddress, shared = false): Server<TunnelData> {
  return Bun.serve<TunnelData>({
    ...(address.kind === "unix"
      ? { unix: address.path }
      : { hostname: address.hostname, port: address.port }),
    ...handlersOf(gateway),
    idleTimeout: gateway.idleSeconds,
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    development: false,
    // Said either way: it is on by default when `development` is off.
    reusePort: shared,
  } as Bun.Serve.Options<TunnelData>);
}

/** What `Bun.serve` calls, and what a reload replaces. */
export function handlersOf(gateway: Gateway) {
  return {
    fetch: (request: Request, server: Server<TunnelData>) => gateway.door(request, server),
    websocket: gateway.tunnel.handler,
    // What breaks behind the handler's back, such as a small body before its head has gone. Bun's own page would do, but
    // for its words.
    error: () =>
      Response.json({ error: "upstream_unreachable", message: "Try again in a moment." }, { status: 502 }),
  };
}

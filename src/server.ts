import type { Server } from "bun";
import type { Elysia } from "elysia";
import { createAdmit } from "./access/admit.ts";
import { mayGoOn } from "./access/decision.ts";
import { createLiveConnections, type LiveConnections, type MayGoOn } from "./access/live.ts";
import type { Route } from "./access/route.ts";
import { accountRoom } from "./account/routes.ts";
import { adminRoom } from "./admin/routes.ts";
import { withCors } from "./api/cors.ts";
import { apiRoom } from "./api/routes.ts";
import { applicationsRoom } from "./applications/routes.ts";
import { approvalRoom } from "./approval/routes.ts";
import { auditRoom } from "./audit/routes.ts";
import { bearerRoom } from "./bearer/routes.ts";
import { brandRoom } from "./brand/routes.ts";
import { captchaRoom } from "./captcha/routes.ts";
import { type Pair, served } from "./certificates/pair.ts";
import type { Options } from "./config/options.ts";
import { debugRoom } from "./debug/routes.ts";
import { deviceRoom } from "./devices/routes.ts";
import { doctorRoom } from "./doctor/routes.ts";
import { createDoor, type Door } from "./door.ts";
import { assetRoom } from "./edge/assets.ts";
import { createClientReader } from "./edge/client.ts";
import { createCookieReader } from "./edge/cookies.ts";
import { withHsts } from "./edge/hsts.ts";
import { type AnswerOwn, answerByElysia, answerFrom } from "./edge/own.ts";
import { withOwnSockets } from "./edge/own-socket.ts";
import { CLAIM_ALL, type RootPaths } from "./edge/root-paths.ts";
import { API_PREFIX, isBelow } from "./edge/target.ts";
import { createForwardAuth } from "./forward-auth/forward-auth.ts";
import { grantRoom, requestRoom } from "./grants/routes.ts";
import { handOffRoom } from "./hand-off/routes.ts";
import { healthRoom } from "./health/routes.ts";
import { hookRoom } from "./hooks/routes.ts";
import type { House, Leave, Room } from "./house.ts";
import { identityTokenRoom } from "./identity-token/routes.ts";
import { impersonationRoom } from "./impersonation/routes.ts";
import { createInline } from "./inline/inline.ts";
import { keptPostRoom } from "./kept-post/routes.ts";
import { keyRoom } from "./keys/routes.ts";
import { keepingLanguage, languageRoom } from "./language/routes.ts";
import { atFirstUse } from "./late.ts";
import { limitRoom } from "./limits/routes.ts";
import { logoutRoom } from "./login/logout.ts";
import { loginRoom } from "./login/routes.ts";
import { bounceRoom } from "./mail/bounces/routes.ts";
import { mailboxRoom, mailRoom } from "./mail/routes.ts";
import { createRequestCounts } from "./metrics/requests.ts";
import { metricsRoom } from "./metrics/room.ts";
import type { ListenAddress } from "./net/endpoint.ts";
import type { LoggerFor } from "./observe/logger.ts";
import { createRequestLog } from "./observe/request-log.ts";
import { oidcRoom } from "./oidc-login/routes.ts";
import { passkeyRoom } from "./passkeys/routes.ts";
import { providerRoom } from "./provider/routes.ts";
import { type Application, createApplication, measureTargets } from "./proxy/application.ts";
import { warnOfOwnPaths } from "./proxy/redirects.ts";
import { relaying } from "./proxy/relaying.ts";
import { createTunnel, type Tunnel, type TunnelData } from "./proxy/tunnel.ts";
import { rotationRoom } from "./rotation/routes.ts";
import { createServices, type ServiceSettings } from "./services.ts";
import { sessionRoom } from "./session/routes.ts";
import { tunnelRoom } from "./tunnel/routes.ts";

/** The house, made into one handler for `Bun.serve`. */

/** The product's table of contents: a capability is one line. */
function roomsOf(house: House): readonly Room[] {
  const rooms: readonly Room[] = [
    apiRoom(house),
    bearerRoom(house),
    // What it recognizes decides alone, so it is asked first.
    keyRoom(house),
    impersonationRoom(house),
    sessionRoom(house),
    applicationsRoom(house),
    grantRoom(house),
    requestRoom(house),
    loginRoom(house, () => rooms),
    logoutRoom(house),
    handOffRoom(house),
    keptPostRoom(house),
    healthRoom(house),
    identityTokenRoom(house),
    limitRoom(house),
    assetRoom(),
    brandRoom(house),
    languageRoom(house, () => rooms),
    debugRoom(house),
    doctorRoom(house),
    mailRoom(house),
    bounceRoom(house),
    mailboxRoom(house),
    deviceRoom(house, () => rooms),
    passkeyRoom(house),
    oidcRoom(house),
    providerRoom(house),
    approvalRoom(house),
    auditRoom(house),
    captchaRoom(house),
    hookRoom(house),
    tunnelRoom(house),
    accountRoom(house, () => rooms),
    rotationRoom(house, () => rooms),
    adminRoom(house, () => rooms),
    metricsRoom(house),
  ];
  return rooms;
}

export type GatewaySettings = ServiceSettings & {
  /** What is open at the gateway whose place this one takes, if it takes one. */
  readonly live?: LiveConnections | undefined;
  readonly idleSeconds?: number;
};

export type Gateway = House & {
  readonly door: Door;
  /** What answers below the reserved prefix, for those who come another way than through the door. */
  readonly answer: AnswerOwn;
  readonly tunnel: Tunnel;
  readonly live: LiveConnections;
  readonly idleSeconds: number;
  /** To be waited for before the first request. Never rejects. */
  prepare(): Promise<void>;
  /** Writes what the audit has not written yet, and the end of its chain. */
  closeAudit(): Promise<void>;
  /** Mail and hooks. Of two gateways on one store, the one that took the other's place sends. */
  readonly senders: {
    start(): void;
    /** Takes up nothing more. @param withinMs what is under way is waited for no longer. */
    stop(withinMs?: number): Promise<void>;
  };
  start(): void;
  /** As `Room.leave`, for all of them. */
  leave(how: Leave): void;
  /** Another one takes its place in this process. Requests under way have their deadlines, and what is open is the next one's. */
  replaced(): Promise<void>;
  /** @param withinMs mail and hooks that are under way are waited for no longer. */
  stop(withinMs?: number): Promise<void>;
};

/** The rooms' parts of the management API as one. Loaded with the first request for it, and Elysia with that. */
async function apiOf(rooms: readonly Room[], loggers: LoggerFor): Promise<Elysia> {
  const { joinApi } = await import("./api/join.ts");
  return joinApi(await Promise.all(rooms.flatMap((room) => room.api?.() ?? [])), loggers("edge"));
}

/** The management API without a door: for where no instance runs. */
export function createApi(house: House): Promise<Elysia> {
  return apiOf(roomsOf(house), house.loggers);
}

export function createGateway(settings: GatewaySettings): Gateway {
  const house = createServices(settings);
  const { options, clock, loggers, audit, sessions, outbox, hooks } = house;
  const { idleSeconds = IDLE_SECONDS } = settings;
  const rooms = roomsOf(house);
  const answer = keepingLanguage(house, answerBy(rooms, options, loggers));
  const authenticators = rooms.flatMap((room) => room.authenticators ?? []);
  const cookies = rooms.flatMap((room) => room.cookies ?? []);
  const rootPaths = rootPathsOf(rooms, options.rootPaths);
  const mayStay: MayGoOn = (principal, name) => {
    const route = house.routes.all.find((one) => one.name === name);
    const closed = route !== undefined && house.closures.textOf(route) !== undefined;
    return mayGoOn(route, principal, closed, clock.now());
  };
  const live = settings.live ?? createLiveConnections(authenticators, mayStay, clock, loggers("session"));
  const admit = createAdmit(authenticators);
  const apiAuthenticators = rooms.flatMap((room) => room.apiAuthenticators ?? []);
  const admitToApi = createAdmit([...apiAuthenticators, ...authenticators]);
  const log = loggers("proxy");
  const ownCookies = new Set(cookies.map(({ name }) => name));
  const warnOf =
    options.rootPaths === true ? (one: Application) => warnOfOwnPaths(one, rootPaths, log) : undefined;
  const counts = createRequestCounts(house.metrics);
  const relay = rooms.find((room) => room.relay)?.relay;
  const applications = new Map<Route, Application>();
  for (const route of house.routes.all) {
    const application = createApplication(route, {
      ...options,
      ...house,
      live,
      ownCookies,
      counts,
      relay,
      log,
    });
    if (application === undefined) continue;
    const relayed = relay?.of(route);
    const whole = relayed === undefined ? application : relaying(application, relayed);
    applications.set(route, warnOf?.(whole) ?? whole);
  }
  measureTargets([...applications.values()], house.metrics);
  const tunnel = createTunnel({ ...options, live, clock, log });

  const requestLog = options.requestLogs
    ? createRequestLog(loggers("request"), options.logFormat)
    : () => undefined;
  const readClientOf = ({ kind }: ListenAddress) =>
    createClientReader(options.trustedProxies, kind, kind === "tcp" && options.tls !== "off");

  const door = createDoor({
    rooms: answer,
    rootPaths,
    sockets: new Map(rooms.flatMap((room) => [...(room.sockets ?? [])])),
    routes: house.routes,
    admit,
    admitToApi,
    forwardAuth: createForwardAuth({
      ...options,
      isOwnCredential: house.isOwnCredential,
      identityToken: house.identityToken,
      ...{ routes: house.routes, admit, clock, audit, requestLog, counts },
      closedBecause: house.closures.textOf,
      mayAsk: house.accessRequests.mayAsk,
      impersonated: house.impersonations.note,
      log: loggers("edge"),
    }),
    lookOf: house.lookOf,
    prepare: house.languages.prepare,
    probes: house.probes,
    ownPathOf: rooms.find((room) => room.ownPathOf)?.ownPathOf,
    anyHost: rooms.flatMap((room) => room.anyHost ?? []),
    inline: (requests) =>
      createInline({
        ...options,
        ...requests,
        signIn: house.signIn,
        keptPosts: house.keptPosts,
        admit,
        applications,
        closedBecause: house.closures.textOf,
        mayAsk: house.accessRequests.mayAsk,
        tunnel,
        live,
        clock,
        idleSeconds,
        audit,
        log: loggers("edge"),
      }),
    readClient: readClientOf(options.listen),
    readCheckClient:
      options.checkListen === undefined
        ? readClientOf(options.listen)
        : createClientReader(options.trustedProxies, options.checkListen.kind),
    checksElsewhere: options.checkListen !== undefined,
    readCookies: createCookieReader(cookies),
    clock,
    impersonated: house.impersonations.note,
    requestLog,
    counts,
    log: loggers("edge"),
  });

  const senders: Gateway["senders"] = {
    start() {
      outbox.start();
      hooks.start();
    },
    async stop(withinMs = Number.POSITIVE_INFINITY) {
      const endsAt = clock.monotonic() + withinMs;
      // First: what they decide queues mail.
      await hooks.stop(withinMs);
      await outbox.stop(Math.max(0, endsAt - clock.monotonic()));
    },
  };

  return {
    ...house,
    door,
    answer,
    tunnel,
    live,
    idleSeconds,
    async prepare() {
      await Promise.all(rooms.map((room) => room.prepare?.()));
    },
    senders,
    start() {
      senders.start();
      // A store that is away now is asked again with the first record that needs it.
      sessions.adopt().catch(() => {});
      if (settings.live !== undefined) live.follow(authenticators, mayStay, loggers("session"));
      live.whenEnded(house.forgetIdentity);
      live.start();
      for (const application of applications.values()) application.start();
      for (const room of rooms) room.start?.();
    },
    leave(how) {
      for (const room of rooms) room.leave?.(how);
    },
    async replaced() {
      for (const application of applications.values()) application.replaced();
      for (const room of rooms) room.replaced?.();
      await senders.stop();
    },
    async stop(withinMs) {
      live.stop();
      for (const application of applications.values()) application.stop();
      await Promise.all(rooms.map((room) => room.stop?.()));
      await senders.stop(withinMs);
      await house.closeAudit();
    },
  };
}

function rootPathsOf(rooms: readonly Room[], option: boolean | "auto"): RootPaths {
  const all = new Map(rooms.flatMap(({ chosenPaths = [] }) => [...chosenPaths]));
  if (option === false) return all;
  for (const { rootPaths = new Map() } of rooms) {
    for (const [path, claim] of rootPaths) all.set(path, option === true ? CLAIM_ALL : claim);
  }
  return all;
}

function answerBy(
  rooms: readonly Room[],
  { apiOrigins }: Pick<Options, "apiOrigins">,
  loggers: LoggerFor,
): AnswerOwn {
  const answer = answerFrom(new Map(rooms.flatMap(({ paths }) => [...(paths ?? [])])));
  const api = atFirstUse(() => apiOf(rooms, loggers));
  const answerApi = withCors(apiOrigins, async (arrival) => answerByElysia(await api(), arrival));
  return (arrival) => (isBelow(arrival.target.path, API_PREFIX) ? answerApi(arrival) : answer(arrival));
}

/**
 * A request head, and a body for one of Runegate's own paths, must be there by then, however it trickles; and an idle
 * connection is kept this long, which is longer than proxies in front of us keep theirs, so that they never send
 * on one that is just being closed. What goes to the application has no limit (`inline/inline.ts`).
 */
const IDLE_SECONDS = 75;

/** What is answered at an address: all there is, or the checks of edges alone. */
export type Answering = "all" | "checks";

/**
 * Binds the gateway to one of its addresses.
 * @param tls certificates to speak TLS with, if it does.
 * @param shared whether other processes may listen there too, each getting some of the connections.
 * @throws if the address is in use or may not be bound.
 */
export function listen(
  gateway: Gateway,
  address: ListenAddress,
  shared = false,
  answering: Answering = "all",
  tls: readonly Pair[] = [],
): Server<TunnelData> {
  return Bun.serve<TunnelData>({
    ...(address.kind === "unix"
      ? { unix: address.path }
      : { hostname: address.hostname, port: address.port }),
    ...handlersOf(gateway, answering),
    ...(tls.length === 0 ? {} : { tls: served(tls), http2: gateway.options.http2 }),
    idleTimeout: gateway.idleSeconds,
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    development: false,
    // Said either way: it is on by default when `development` is off.
    reusePort: shared,
  } as Bun.Serve.Options<TunnelData>);
}

/** What `Bun.serve` calls, and what a reload replaces. */
export function handlersOf({ door, tunnel, options }: Gateway, answering: Answering) {
  const fetch = answering === "all" ? door.enter : door.check;
  return {
    fetch: options.tls === "off" || options.hsts === "" ? fetch : withHsts(fetch, options.hsts),
    websocket: withOwnSockets(tunnel.handler),
    // What breaks behind the handler's back, such as a small body before its head has gone. Bun's own page would do, but
    // for its words.
    error: () =>
      Response.json({ error: "upstream_unreachable", message: "Try again in a moment." }, { status: 502 }),
  };
}

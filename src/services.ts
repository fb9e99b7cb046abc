import { hostname } from "node:os";
import { isBinding } from "./access/binding.ts";
import { createPolicy } from "./access/policy.ts";
import { createRoutes } from "./access/routes.ts";
import { createClosures } from "./applications/closures.ts";
import { createAuditTrail } from "./audit/trail.ts";
import type { Fetch } from "./bearer/provider-keys.ts";
import { readBrand } from "./brand/files.ts";
import { createLookOf } from "./brand/look.ts";
import { type Clock, type Pause, type Random, systemPause } from "./clock.ts";
import type { Options } from "./config/options.ts";
import { type RoutesFile, routesOf } from "./config/routes.ts";
import { createDeviceCookie } from "./devices/cookie.ts";
import { createDevices } from "./devices/devices.ts";
import { createProbes } from "./doctor/probes.ts";
import { createPostGuard } from "./edge/origin.ts";
import { createGrantBook } from "./grants/book.ts";
import { createPeople } from "./grants/people.ts";
import { createRequestBook } from "./grants/request.ts";
import { createAccessRequests } from "./grants/requests.ts";
import { createSignIn } from "./hand-off/begin.ts";
import { createBindingCookie } from "./hand-off/cookie.ts";
import { createHooks } from "./hooks/open.ts";
import type { House } from "./house.ts";
import { createIdentityKeys } from "./identity-token/keys.ts";
import { createIdentityTokens } from "./identity-token/token.ts";
import { createActingCookie } from "./impersonation/cookie.ts";
import { viewNotice } from "./impersonation/notice.ts";
import { createImpersonations } from "./impersonation/service.ts";
import { createKeptPostDesk } from "./kept-post/desk.ts";
import { createKeyProof } from "./keys/authenticator.ts";
import { isOwnCredential } from "./keys/presented.ts";
import { createApiKeys } from "./keys/service.ts";
import { createLanguageChoice } from "./language/choice.ts";
import { createLimiter } from "./limits/limiter.ts";
import { createLoginCookie } from "./login/cookie.ts";
import { createLoginService } from "./login/service.ts";
import { aboutMail, MAIL_GIVEN_UP, MAIL_QUEUED, MAIL_REFUSED, MAIL_SENT } from "./mail/audit.ts";
import { createCeiling } from "./mail/ceiling.ts";
import { sendingLogo } from "./mail/logo.ts";
import type { Mailbox } from "./mail/mailbox.ts";
import type { Mailer } from "./mail/mailer.ts";
import { createOutbox } from "./mail/outbox.ts";
import { createSeal } from "./mail/seal.ts";
import type { EmailConfig } from "./mail/settings.ts";
import { createUndeliverable } from "./mail/undeliverable.ts";
import { createWaitingMails } from "./mail/waiting.ts";
import { countLimited } from "./metrics/limits.ts";
import { createMetrics, createProcessMetrics, type ProcessMetrics } from "./metrics/metrics.ts";
import { timeStore } from "./metrics/store.ts";
import { createFoldingAudit } from "./observe/audit.ts";
import type { LoggerFor } from "./observe/logger.ts";
import type { Client } from "./provider/client.ts";
import { createKeys } from "./secret/keys.ts";
import { createTickets } from "./secret/ticket.ts";
import { createBindings } from "./session/binding.ts";
import { createSessionCookie } from "./session/cookie.ts";
import { endedMail } from "./session/ended-mail.ts";
import { createSessions } from "./session/session.ts";
import type { Store } from "./store/store.ts";
import { createTunnels } from "./tunnel/open.ts";

/** Options and a store, made into services: where the gateway and the command line both start. Nothing runs yet. */

export type ServiceSettings = {
  readonly options: Options;
  readonly email: EmailConfig | undefined;
  /** Without it there is one application, the options'. */
  readonly routesFile?: RoutesFile | undefined;
  /** Applications that sign people in with us. */
  readonly clients?: readonly Client[];
  readonly mailer: Mailer;
  readonly mailbox: Pick<Mailbox, "mails"> | undefined;
  readonly stores: Store;
  readonly clock: Clock;
  readonly random: Random;
  /** How servers of others are asked. */
  readonly fetch?: Fetch;
  readonly loggers: LoggerFor;
  /** What the process has counted so far, and goes on counting; by default it begins here. */
  readonly measured?: ProcessMetrics | undefined;
  /** How login requests wait for their turn, and for being turned away. */
  readonly pause?: Pause;
};

/** Events of the audit. */
const MOST_IN_MEMORY = 10_000;
/** Milliseconds; a store that is away then keeps no process from ending. */
const AUDIT_PATIENCE = 1_500;

export function createServices(settings: ServiceSettings): House & { closeAudit(): Promise<void> } {
  const { options, email, mailer, mailbox, clock, random, loggers } = settings;
  const metrics = createMetrics(settings.measured ?? createProcessMetrics(clock));
  const stores =
    options.metricsListen === undefined ? settings.stores : timeStore(settings.stores, metrics, clock);
  const keys = createKeys(options);
  const routes = createRoutes(routesOf(options, settings.routesFile), options.baseUrl, options.tls !== "off");
  const accounts = new Map(settings.routesFile?.serviceAccounts.map((one) => [one.name, one]));
  const { groups } = settings.routesFile ?? {};
  const grants = createGrantBook(options.dynamicUsers, {
    ...{ keys, clock, store: stores, log: loggers("edge") },
  });
  const policy = createPolicy(options, groups, routes.all, options.dynamicUsers ? grants : undefined);
  const auditLog = loggers("audit");
  const auditTrail = createAuditTrail({
    ...{
      store: stores,
      keep: options.auditKeep,
      most: options.store.kind === "memory" ? MOST_IN_MEMORY : undefined,
    },
    ...{ machine: hostname(), clock, random, log: auditLog },
    // It tells of itself by what tells it of everything.
    audit: (...event) => audit(...event),
    auditFirst: (...event) => auditFirst(...event),
  });
  const { audit, auditFirst, listen, flush } = createFoldingAudit(auditLog, clock, auditTrail);
  const pause = settings.pause ?? systemPause;
  const hooks = createHooks({
    hooks: settings.routesFile?.hooks ?? [],
    fetch: settings.fetch ?? fetch,
    log: loggers("hooks"),
    ...{ stores, keys, routes, audit, auditEvents: { listen }, clock, random, pause },
  });
  const identityKeys = createIdentityKeys(options, keys, clock);
  const limiter = countLimited(createLimiter(options, stores.limits), metrics);
  const languages = createLanguageChoice(options, options.secureCookie);
  const actingCookie = createActingCookie(keys, options.secureCookie);
  const lookOf = createLookOf(options, routes, languages, (shown) => actingCookie.read(shown).length > 0);
  const lookTo = async (email: string) => ({
    ...lookOf({ request: new Request(options.baseUrl) }),
    language: await languages.usual(await devices.languageOf(email)),
  });
  const isBound = [options.sessionBind, ...routes.all.map(({ bind }) => bind)].some(isBinding);
  const sessions = createSessions({
    ...options,
    keys,
    bindings: createBindings({
      ...{ isUsed: isBound, limits: stores.limits, audit },
      tellOwner: async (record, from) =>
        void (await outbox.queue(endedMail(await lookTo(record.email), record, from, clock))),
    }),
    leastRest: routes.all.reduce<number | undefined>(
      (least, { idle }) => (idle === undefined || (least !== undefined && least < idle) ? least : idle),
      undefined,
    ),
    store: stores,
    policy,
    audit,
    log: loggers("session"),
    clock,
    random,
  });
  const mailLog = loggers("mail");
  const outbox = createOutbox({
    store: createWaitingMails(stores, mailLog),
    limits: stores.limits,
    ceiling: createCeiling({ ...options, limits: stores.limits, clock, log: mailLog }),
    seal: createSeal(keys, random, sessions.adopts),
    mailer: sendingLogo(mailer, readBrand(options.brand).mailLogo),
    clock,
    random,
    log: mailLog,
    from: email === undefined ? "localhost" : email.from.address.slice(email.from.address.indexOf("@") + 1),
    onQueued: (entry) => audit(MAIL_QUEUED, aboutMail(entry)),
    onSent: (entry, { by, words }) => audit(MAIL_SENT, { ...aboutMail(entry), by, reason: words }),
    async onGivenUp(entry, reason, why) {
      if (why === "refused") audit(MAIL_REFUSED, { ...aboutMail(entry), reason });
      else audit(MAIL_GIVEN_UP, { ...aboutMail(entry), reason, actor: undefined });
      // Whoever waits for a mail that will not come may ask again at once (CONTRACT section 5). Not where the recipient was
      // refused: that a second request is answered otherwise than for an address that may not sign in would tell the two
      // apart, and which mailboxes there are. Nor where the cooldown is over, and one of a later request may have begun.
      const over = clock.now() >= entry.queuedAt + options.emailCooldown;
      if (entry.cooldownKey !== undefined && why === "late" && !over)
        await limiter.release(entry.cooldownKey);
    },
  });
  const tickets = createTickets(keys, { audience: options.baseUrl, clock });
  const sessionCookie = createSessionCookie(options);
  const bindingCookie = createBindingCookie(options.secureCookie);
  const deviceCookie = createDeviceCookie(options.secureCookie);
  const devices = createDevices({
    ...options,
    ...{ cookie: deviceCookie, keys, store: stores, policy, outbox, hooks, languages, audit, clock, random },
    log: loggers("session"),
  });
  const apiKeys = createApiKeys({
    ...{ ...options, secrets: keys, store: stores, policy, routes: routes.all, accounts },
    ...{ holds: sessions.holds, hooks, auditFirst, log: loggers("keys"), clock, random },
  });
  const login = createLoginService({
    ...options,
    keys,
    template: email,
    store: stores,
    sessions,
    limiter,
    policy,
    outbox,
    hooks,
    audit,
    auditFirst,
    clock,
    random,
    pause,
  });
  const requests = createRequestBook(stores, keys);
  const impersonations = createImpersonations({
    ...options,
    ...{ store: stores, keys, routes, policy, sessions, sessionCookie, cookie: actingCookie },
    ...{ audit, auditFirst, clock, random, log: loggers("session") },
    async tell(one, { title }) {
      if (options.impersonationNotify !== "mail") return;
      await outbox.queue(viewNotice(await lookTo(one.email), one, title));
    },
  });
  const signIn = createSignIn({ routes, tickets, bindingCookie, sessionCookie, clock, random });
  // `*` lets any page open WebSockets, never post to Runegate's own paths.
  const mayPost = options.allowedOrigins === "*" ? new Set([options.baseUrl]) : options.allowedOrigins;
  return {
    providers: settings.routesFile?.providers ?? [],
    clients: settings.clients ?? [],
    ...{ options, email, stores, clock, random, loggers, audit, auditFirst, keys, policy, routes, limiter },
    pressure: async (client, coming) => Math.max(login.crowd(), await limiter.askShare(client, coming)),
    fetch: settings.fetch ?? fetch,
    apiKeys,
    keyProof: createKeyProof(apiKeys, limiter, audit),
    isOwnCredential: (authorization) => options.apiKeys && isOwnCredential(authorization),
    identityKeys,
    ...{ lookOf, lookTo, languages },
    ...createIdentityTokens({ ...options, secrets: keys, keys: identityKeys, clock, random }),
    guardPost: createPostGuard(mayPost, audit),
    grants,
    people: createPeople({
      ...{ book: grants, options, policy, routes, groups: new Set(groups?.keys()), sessions, apiKeys, login },
      ...{ requests, outbox, lookTo, audit, auditFirst, clock, random },
    }),
    accessRequests: createAccessRequests({
      ...{ requests, book: grants, options, policy, routes, limiter },
      ...{ limits: stores.limits, outbox, lookTo, audit, auditFirst, clock, log: loggers("edge") },
    }),
    closures: createClosures(stores, clock, loggers("edge")),
    sessions,
    sessionCookie,
    login,
    loginCookie: createLoginCookie(options.secureCookie),
    bindingCookie,
    devices,
    deviceCookie,
    impersonations,
    actingCookie,
    signIn,
    keptPosts: createKeptPostDesk({ options, store: stores, keys, signIn, clock, random }),
    ...{ outbox, mailer },
    hooks,
    tunnels: createTunnels(options, { store: stores, clock }),
    undeliverable: createUndeliverable(stores, clock, policy.allows),
    probes: createProbes({ store: stores, clock, random, log: loggers("edge") }),
    mailbox,
    auditEvents: { listen },
    metrics,
    auditTrail,
    async closeAudit() {
      flush();
      await Promise.race([auditTrail.close(), systemPause(AUDIT_PATIENCE)]);
    },
  };
}

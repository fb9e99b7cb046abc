import type { Configuration } from "../config/configuration.ts";
import { OPTIONS, type Options } from "../config/options.ts";

/**
 * What a reload goes on with: what a process has opened stays as it is until it is started anew, and secrets drawn at random
 * are not drawn again.
 */
export function keepStarted(
  before: Configuration,
  next: Configuration,
  log: { warn(message: string): void },
): Configuration {
  const {
    listen,
    checkListen,
    metricsListen,
    listenMode,
    listenGroup,
    httpListen,
    tls,
    tlsCert,
    tlsKey,
    tlsDirectory,
    acmeDirectory,
    acmeCa,
    acmeEmail,
    acmeEabId,
    acmeEabKey,
    acmeDnsHook,
    acmeDnsWait,
    acmeWildcards,
    http2,
    store,
    storeSchema,
    controlSocket,
    workers,
    jwtSecret,
    sessionKey,
  } = before.options;
  const started = {
    ...{ listen, checkListen, metricsListen, listenMode, listenGroup, httpListen, tls, http2 },
    ...{ tlsCert, tlsKey, tlsDirectory },
    ...{ acmeDirectory, acmeCa, acmeEmail, acmeEabId, acmeEabKey },
    ...{ acmeDnsHook, acmeDnsWait, acmeWildcards },
    ...{ store, storeSchema },
    controlSocket,
    ...(workers === 1 || next.options.workers === 1 ? { workers } : {}),
  };
  for (const [key, value] of Object.entries(started)) {
    if (Bun.deepEquals(value, next.options[key as keyof Options])) continue;
    log.warn(`${OPTIONS[key as keyof typeof started].name} has changed, which takes a restart`);
  }
  // Drawn again at every start when they are not configured, which would sign everybody out.
  const secrets = {
    ...(next.sources.jwtSecret.given ? {} : { jwtSecret }),
    ...(next.sources.sessionKey.given ? {} : { sessionKey }),
  };
  return { ...next, options: { ...next.options, ...started, ...secrets } };
}

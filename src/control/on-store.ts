import { systemClock, systemRandom } from "../clock.ts";
import type { Access } from "../config/configuration.ts";
import { answerByElysia } from "../edge/own.ts";
import { misconfigured } from "../mail/mailer.ts";
import { createLoggers } from "../observe/log.ts";
import type { LoggerFor } from "../observe/logger.ts";
import { quietLoggers } from "../observe/quiet.ts";
import { createApi } from "../server.ts";
import { createServices } from "../services.ts";
import type { StoreLocation } from "../store/location.ts";
import { createMemoryStore } from "../store/memory.ts";
import { openStore } from "../store/open.ts";
import type { Store } from "../store/store.ts";
import { createOperator, type Operator } from "./client.ts";
import { serveOperator } from "./serve.ts";

const NOT_RUNNING = misconfigured(
  "No instance runs here that would send it.",
  "Start it; or runegate send-email, which sends a test mail by itself.",
);

/**
 * The management API of an instance that does not run, on its store.
 * @param location where that is.
 * @param write of a line. What is audited goes to the operator's terminal: the instance's log is not here.
 */
export async function withStore<T>(
  access: Access,
  location: StoreLocation,
  write: (line: string) => void,
  work: (operator: Operator) => Promise<T>,
): Promise<T> {
  const { options } = access;
  const loggers = createLoggers({
    format: options.logFormat,
    levels: options.logLevels,
    write,
    now: systemClock.now,
    color: false,
  });
  const stores = await openStore(location, {
    schema: options.storeSchema,
    clock: systemClock,
    log: loggers("store"),
  });
  let services: ReturnType<typeof createServices> | undefined;
  try {
    services = servicesOn(stores, access, loggers);
    if (services.grants.isOpen) await services.grants.look();
    const api = await createApi(services);
    const serve = serveOperator((arrival) => answerByElysia(api, arrival));
    return await work(createOperator((url, init) => serve(requestOf(url, init))));
  } finally {
    await services?.closeAudit();
    await stores.close();
  }
}

/** Loads all that the API takes, by making one that is not used. */
export async function loadApi(access: Access): Promise<void> {
  const stores = createMemoryStore({ clock: systemClock });
  await createApi(servicesOn(stores, access, quietLoggers()));
}

function servicesOn(stores: Store, { options, routesFile, clients }: Access, loggers: LoggerFor) {
  return createServices({
    ...{ options, routesFile, clients, stores, loggers },
    ...{ email: undefined, mailbox: undefined, mailer: { send: () => Promise.reject(NOT_RUNNING) } },
    ...{ clock: systemClock, random: systemRandom },
  });
}

/** With its length, which is what says that there is a body: nothing else adds that where none is sent over a connection. */
function requestOf(url: string, init: RequestInit): Request {
  const request = new Request(url, init);
  if (typeof init.body === "string") request.headers.set("Content-Length", `${Buffer.byteLength(init.body)}`);
  return request;
}

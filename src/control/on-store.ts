import { systemClock, systemRandom } from "../clock.ts";
import type { Access } from "../config/configuration.ts";
import { answerByElysia } from "../edge/own.ts";
import { createLoggers } from "../observe/log.ts";
import { createApi } from "../server.ts";
import { createServices } from "../services.ts";
import type { StoreLocation } from "../store/location.ts";
import { openStore } from "../store/open.ts";
import { createOperator, type Operator } from "./client.ts";
import { serveOperator } from "./serve.ts";

/**
 * The management API of an instance that does not run, on its store.
 * @param location where that is.
 * @param write of a line. What is audited goes to the operator's terminal: the instance's log is not here.
 */
export async function withStore<T>(
  { options, routesFile }: Access,
  location: StoreLocation,
  write: (line: string) => void,
  work: (operator: Operator) => Promise<T>,
): Promise<T> {
  const loggers = createLoggers({
    format: options.logFormat,
    levels: options.logLevels,
    write,
    now: systemClock.now,
    color: false,
  });
  const stores = await openStore(location, { clock: systemClock, log: loggers("store") });
  let services: ReturnType<typeof createServices> | undefined;
  try {
    services = createServices({
      options,
      routesFile,
      email: undefined,
      mailer: { send: () => Promise.reject(new Error("no mail is sent from here")) },
      mailbox: undefined,
      stores,
      clock: systemClock,
      random: systemRandom,
      loggers,
    });
    const api = createApi(services);
    const serve = serveOperator((arrival) => answerByElysia(api, arrival));
    return await work(createOperator((url, init) => serve(new Request(url, init))));
  } finally {
    await services?.closeAudit();
    await stores.close();
  }
}

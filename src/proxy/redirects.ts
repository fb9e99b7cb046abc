import type { RootPaths } from "../edge/root-paths.ts";
import type { Logger } from "../observe/logger.ts";
import type { Application } from "./application.ts";
import type { Forward } from "./forward.ts";

/**
 * For `RUNEGATE_ROOT_PATHS=true`: says once that the application sends its users to a path that it will not get. With most
 * applications that is a redirect without an end, of which nothing else in the log tells the cause.
 */
export function warnOfOwnPaths(application: Application, rootPaths: RootPaths, log: Logger): Application {
  let warned = false;
  const forward: Forward = async (arrival, ...rest) => {
    const response = await application.forward(arrival, ...rest);
    if (warned || response.status < 300 || response.status > 399) return response;
    const here = new URL(`http://${arrival.client.host}${arrival.target.path}`);
    const location = URL.parse(response.headers.get("location") ?? "", here.href);
    if (location?.host !== here.host || !rootPaths.has(location.pathname)) return response;
    warned = true;
    log.warn("the application redirects to a path that Runegate answers itself", {
      path: location.pathname,
      remedy: "RUNEGATE_ROOT_PATHS=auto",
      id: arrival.id,
    });
    return response;
  };
  return { ...application, forward };
}

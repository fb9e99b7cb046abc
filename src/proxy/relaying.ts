import type { RouteRelay } from "../provider/relay.ts";
import type { Application } from "./application.ts";

/** The same application, whose requests wait for a token where none is at hand. */
export function relaying(application: Application, { prepare }: RouteRelay): Application {
  return {
    ...application,
    async forward(arrival, principal, ...rest) {
      await prepare(principal);
      return application.forward(arrival, principal, ...rest);
    },
    async shakeHands(arrival, principal, ...rest) {
      await prepare(principal);
      return application.shakeHands(arrival, principal, ...rest);
    },
  };
}

import type { Configuration } from "../config/configuration.ts";
import type { LoggerFor } from "../observe/log.ts";
import type { Gateway } from "../server.ts";
import type { Compose } from "./parts.ts";
import type { Places } from "./steering.ts";
import type { Holder } from "./take-out.ts";

/** What answers at the address: this process alone (`alone.ts`), or workers that it watches over (`workers.ts`). */
export type Fleet = {
  /** For what the command line asks: in this process, whether or not it listens. */
  readonly gateway: Gateway;
  readonly places: Places<Holder>;
  readonly holders: readonly Holder[];
  /** @returns whether the kernel took it. */
  steer(places: readonly number[] | "all", through?: Holder): Promise<boolean>;
  /**
   * Goes on with another configuration, without refusing a connection. Where that fails, with the one there is.
   * @param compose of the code that is to serve, which under `bun --hot` is newer than this.
   * @throws with the reason
   */
  reload(configuration: Configuration, compose: Compose, loggers: LoggerFor): Promise<void>;
  /** Does something while no socket is opened or closed from here. */
  undisturbed<T>(work: () => Promise<T>): Promise<T>;
  /** Whether something answers. */
  healthy(): boolean;
  /**
   * Closes the address and lets requests finish. Called again, it may give them less time.
   * @param withinMs what is under way after that is cut.
   */
  stop(withinMs: number): Promise<void>;
};

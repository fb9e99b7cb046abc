import { systemClock } from "../clock.ts";
import type { Options } from "../config/options.ts";
import { type Copies, createLoggers } from "../observe/log.ts";
import type { Logger, LoggerFor } from "../observe/logger.ts";
import { createSink, type SinkState } from "../observe/sink.ts";
import { isTerminal } from "./terminal.ts";

/** The log of a process that serves: on standard output, and in other places where there are some. */

/** As metrics call standard output, beside the sinks. */
export const STDOUT_NAME = "stdout";

export type Log = {
  readonly loggers: LoggerFor;
  /** The same log by other options, through the same buffer: lines stay in order and none is left behind. */
  by(options: Options): Log;
  flush(): void;
  /** Of standard output. */
  state(): SinkState;
};

/**
 * @param shared whether other processes write to the same output.
 * @param openOutlet makes what takes lines for other places, which may log about that.
 */
export function openLog<Outlet extends Required<Copies>>(
  first: Options,
  shared: boolean,
  openOutlet: (log: () => Logger) => Outlet,
): { readonly log: Log; readonly outlet: Outlet } {
  let newest: LoggerFor;
  const sink = createSink({
    fd: 1,
    shared,
    onDropped: (lines) => newest("main").warn("log lines were dropped: nobody reads them", { lines }),
  });
  const outlet = openOutlet(() => newest("main"));
  function by(options: Options): Log {
    const loggers = createLoggers({
      format: options.logFormat,
      levels: options.logLevels,
      write: sink.write,
      now: systemClock.now,
      color: isTerminal(1) && process.env.NO_COLOR === undefined,
      copies: {
        log: options.logSinks.length > 0 ? outlet.log : undefined,
        audit: options.auditSinks.length > 0 ? outlet.audit : undefined,
      },
    });
    newest = loggers;
    return { loggers, by, flush: sink.flush, state: sink.state };
  }
  return { log: by(first), outlet };
}

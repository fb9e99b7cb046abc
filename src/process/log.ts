import { systemClock } from "../clock.ts";
import type { Options } from "../config/options.ts";
import { createLoggers } from "../observe/log.ts";
import type { LoggerFor } from "../observe/logger.ts";
import { createSink, type SinkState } from "../observe/sink.ts";
import { isTerminal } from "./terminal.ts";

/** The log of a process that serves, on standard output. */

export type Log = {
  readonly loggers: LoggerFor;
  /** The same log by other options, through the same buffer: lines stay in order and none is left behind. */
  by(options: Options): Log;
  flush(): void;
  /** Of standard output. */
  state(): SinkState;
};

/** @param shared whether other processes write to the same output. */
export function openLog(first: Options, shared = false): Log {
  let newest: LoggerFor;
  const sink = createSink({
    fd: 1,
    shared,
    onDropped: (lines) => newest("main").warn("log lines were dropped: nobody reads them", { lines }),
  });
  function by(options: Options): Log {
    const loggers = createLoggers({
      format: options.logFormat,
      levels: options.logLevels,
      write: sink.write,
      now: systemClock.now,
      color: isTerminal(1) && process.env.NO_COLOR === undefined,
    });
    newest = loggers;
    return { loggers, by, flush: sink.flush, state: sink.state };
  }
  return by(first);
}

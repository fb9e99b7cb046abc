import type { Logger } from "../../src/observe/logger.ts";

/** For what wants a log where nobody looks at it. */
export const SILENT: Logger = {
  enabled: () => false,
  error() {},
  warn() {},
  info() {},
  debug() {},
  trace() {},
};

import { createLoggers } from "./log.ts";
import type { LoggerFor } from "./logger.ts";

/** Loggers that write nothing, for what is made to be asked once and says by its answer what went wrong. */
export function quietLoggers(): LoggerFor {
  return createLoggers({
    format: "console",
    levels: { default: "off", modules: {} },
    write() {},
    now: () => 0,
    color: false,
  });
}

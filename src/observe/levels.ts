import { quote, ValueError } from "../option/value-error.ts";
import { list } from "../option/values.ts";
import { LEVELS, type Level, type LogLevels } from "./logger.ts";

/** Naming the whole program is naming the default, as in the `RUST_LOG` of other programs. */
const WHOLE_PROGRAM = "runegate";
/**
 * `level` or `module=level,…`. Modules that do not exist are kept and never asked for, so a `RUST_LOG` shared with
 * other programs does no harm. `runegate=level` outranks a plain `level`, which there speaks of everything else too.
 */
export function logLevels(text: string): LogLevels {
  let plain: Level | "off" | undefined;
  const modules: [string, Level | "off"][] = [];
  for (const item of list((word) => word)(text)) {
    const equals = item.lastIndexOf("=");
    if (equals === -1) plain = logLevel(item);
    else modules.push([item.slice(0, equals).toLowerCase(), logLevel(item.slice(equals + 1))]);
  }
  const whole = modules.findLast(([module]) => module === WHOLE_PROGRAM)?.[1];
  return {
    default: whole ?? plain ?? "info",
    modules: Object.fromEntries(modules.filter(([module]) => module !== WHOLE_PROGRAM)),
  };
}

function logLevel(text: string): Level | "off" {
  const word = text.toLowerCase();
  const found = [...LEVELS, "off" as const].find((level) => level === word);
  if (found !== undefined) return found;
  throw new ValueError(
    `is not a level: ${quote(text)}`,
    `Write one of ${LEVELS.join(", ")}, off, or module=level pairs separated by commas.`,
  );
}

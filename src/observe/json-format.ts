import { createLineTime } from "./line-time.ts";
import type { Fields, LineFormat } from "./logger.ts";
import { escapeUnsafe } from "./unsafe-characters.ts";

const RESERVED = new Set(["time", "level", "module", "message"]);

/**
 * One JSON object a line: `time` (ISO 8601, UTC), `level`, `module`, `message`, then the fields. A field that is named
 * like one of the four gets an underscore at its end.
 */
export function createJsonFormat(): LineFormat {
  // As `Date.prototype.toISOString`.
  const time = createLineTime((second) => new Date(second).toISOString().slice(0, 19));
  const isoTime = (at: number) => `${time(at)}Z`;

  return (level, module) => {
    const head = `","level":"${level}","module":${JSON.stringify(module)},"message":`;

    return (time, message, fields) => {
      const rest = fields === undefined ? "{}" : JSON.stringify(withoutReserved(fields));
      const comma = rest === "{}" ? "" : ",";
      // JSON's own escapes leave the C1 characters and Unicode's line separators as they are.
      return escapeUnsafe(
        `{"time":"${isoTime(time)}${head}${JSON.stringify(message)}${comma}${rest.slice(1)}`,
      );
    };
  };
}

function withoutReserved(fields: Fields): Fields {
  return "time" in fields || "level" in fields || "module" in fields || "message" in fields
    ? renamed(fields)
    : fields;
}

function renamed(fields: Fields): Fields {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [RESERVED.has(key) ? `${key}_` : key, value]),
  );
}

import type { Clock } from "../../clock.ts";
import { jsonOf, type Kind, type Records } from "../records.ts";
import { markKey } from "./keys.ts";
import { MARGIN_MS, type Run } from "./script.ts";

/**
 * Records of a kind that comes once: one key each, set if it is not there, `expiry LF the record as JSON`. It outlives its record
 * by a day, so that a wall clock that is set back makes nothing new.
 */
export function createValkeyMarks<T extends object>(
  kind: Kind<T>,
  run: Run,
  clock: Clock,
): Pick<Records<T>, "add" | "get"> {
  return {
    async add(id, record, expiresAt) {
      const left = expiresAt - clock.now();
      if (left <= 0) return false;
      const value = `${expiresAt}\n${jsonOf(record)}`;
      const ttl = String(Math.ceil(left) + MARGIN_MS);
      return (await run("SET", [markKey(kind.name, id), value, "NX", "PX", ttl])) === "OK";
    },

    async get(id) {
      const value = (await run("GET", [markKey(kind.name, id)])) as string | null;
      if (value === null) return undefined;
      // The version before this one wrote no value.
      const [, expires = String(Number.MAX_SAFE_INTEGER), body = "{}"] = /^(\d+)\n(.*)$/s.exec(value) ?? [];
      const expiresAt = Number(expires);
      return expiresAt > clock.now()
        ? { id, version: 0, expiresAt, record: JSON.parse(body) as T }
        : undefined;
    },
  };
}

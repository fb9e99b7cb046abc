import { Elysia, ValidationError } from "elysia";
import { badRequest, failure, NOT_FOUND, whenBroken } from "../edge/answer.ts";
import { printable } from "../edge/body.ts";
import { arrivalOf } from "../edge/own.ts";
import type { Logger } from "../observe/logger.ts";

/** The rooms' parts as one, with one place for what they do not answer or cannot. */
export function joinApi(parts: readonly Elysia[], log: Logger): Elysia {
  // What a schema does not name is refused, not dropped; and `/sessions/` with a name forgotten is not all sessions.
  const whole = new Elysia({ name: "runegate/api", normalize: false, strictPath: true });
  whole.onError(({ code, error, request }) => {
    const arrival = arrivalOf(request);
    if (code === "NOT_FOUND") return failure(arrival, NOT_FOUND);
    return whenBroken(arrival, reasonOf(code === "PARSE" ? error.cause : error), log);
  });
  for (const part of parts) whole.use(part);
  return whole;
}

/** Elysia's own errors quote the schema and all that was sent or, if it does not fit what was promised, answered. */
function reasonOf(error: unknown): unknown {
  if (!(error instanceof ValidationError)) return error;
  const { path = "", message = "is wrong" } = error.valueError ?? {};
  if (error.type === "response") return new Error(`an answer does not fit its schema: ${path}: ${message}`);
  return badRequest(
    `${path === "" ? `The ${error.type}` : `"${printable(path.slice(1))}"`} is not as it should be.`,
  );
}

import { type Failure, NOT_ALLOWED } from "../edge/answer.ts";
import { ACTING_PATH } from "../pages/paths.ts";
import { FORGET_ACTING } from "./cookie.ts";

/** What an administrator is told who acts as somebody else. They are the only ones to read it, so it is in English alone. */

export function readOnly(email: string): Failure {
  return {
    ...NOT_ALLOWED,
    error: "read_only",
    title: "Changes are off",
    message: `You are viewing as ${email}; changes are off. Nothing was sent.`,
    action: { href: ACTING_PATH, label: "See until when, or end it" },
  };
}

/**
 * What was asked for is not done in the operator's own name either: it was meant in another's.
 * @param method 409 for what may have been about to change something (RFC 9110 §15.5.10).
 */
export function impersonationEnded(method: string): Failure {
  const isReading = method === "GET" || method === "HEAD";
  return {
    status: isReading ? 403 : 409,
    error: "impersonation_ended",
    title: "You are yourself again",
    message: isReading
      ? "Your time as somebody else is over. From here on, you use this as yourself."
      : "Your time as somebody else is over. What you sent was not passed on.",
    headers: [["Set-Cookie", FORGET_ACTING]],
    action: { href: isReading ? "" : "/", label: "Go on as yourself" },
  };
}

import { ADMINS } from "../access/people.ts";
import { groupName } from "../access/routes-file.ts";
import { NO_GROUPS } from "../identity/principal.ts";
import { ValueError } from "../option/value-error.ts";
import { DAY } from "../option/values.ts";

/** What a hook that decides has said. */
export type Decision =
  | { readonly isAllowed: true; readonly groups: ReadonlySet<string>; readonly maxAge: number | undefined }
  | { readonly isAllowed: false; readonly message: string | undefined };

/** Bytes of an answer, which has no need of more. */
export const MOST_ANSWER = 16 * 1024;
/** Characters that somebody is told. */
const MOST_MESSAGE = 200;
const MOST_GROUPS = 50;
const LONGEST_SECONDS = (365 * DAY) / 1000;

/** @returns undefined for whatever is neither yes nor no. */
export function readDecision(status: number, text: string): Decision | undefined {
  const answer = status === 200 ? objectIn(text) : undefined;
  if (answer?.decision === "deny") return { isAllowed: false, message: messageIn(answer.message) };
  if (answer?.decision !== "allow") return undefined;
  const groups = groupsIn(answer.groups);
  const { max_age: seconds } = answer;
  if (groups === undefined || !isLifetime(seconds)) return undefined;
  return { isAllowed: true, groups, maxAge: seconds && seconds * 1000 };
}

function objectIn(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** One line, without what cannot be seen. A no is one however it is put, so the rest is cut off. */
function messageIn(value: unknown): string | undefined {
  if (typeof value !== "string") return undefined;
  const line = value
    .replace(/[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\s]+/gu, " ")
    .trim();
  return [...line].slice(0, MOST_MESSAGE).join("") || undefined;
}

/** Undefined for what is no list of names: of a name with a comma in it, two would be made. */
function groupsIn(value: unknown): ReadonlySet<string> | undefined {
  if (value === undefined) return NO_GROUPS;
  if (!Array.isArray(value) || value.length > MOST_GROUPS || !value.every(isGroup)) return undefined;
  // Who is an administrator is said in configuration alone.
  return new Set(value.filter((name) => name !== ADMINS));
}

function isGroup(value: unknown): value is string {
  try {
    return typeof value === "string" && groupName(value) === value;
  } catch (error) {
    if (error instanceof ValueError) return false;
    throw error;
  }
}

function isLifetime(value: unknown): value is number | undefined {
  if (value === undefined) return true;
  return Number.isSafeInteger(value) && Number(value) > 0 && Number(value) <= LONGEST_SECONDS;
}

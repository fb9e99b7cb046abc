import { said, type Text } from "../pages/language.ts";

/** Why something is not done with a key. */
export type KeyRefusal = {
  readonly refused: "not_found" | "too_many_keys" | "bad_request" | "not_allowed";
  /** What to do, for whoever asked. */
  readonly message: Text;
};

export function refusal(refused: KeyRefusal["refused"], message: Text): KeyRefusal {
  return { refused, message };
}

export function bad(message: Text): KeyRefusal {
  return refusal("bad_request", message);
}

/** In the words of rusty-valkey-forward-auth. */
export const NOT_FOUND = refusal("not_found", "token not found");
export const ENDED = bad(said("keyRefused.ended"));
export const ADMINS_ONLY = refusal("not_allowed", said("keyRefused.admins"));

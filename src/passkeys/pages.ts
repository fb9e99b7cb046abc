import passkeySource from "../../static/passkey.html" with { type: "text" };
import signInSource from "../../static/passkey-sign-in.html" with { type: "text" };
import passkeysSource from "../../static/passkeys.html" with { type: "text" };
import { assetPath } from "../pages/assets.ts";
import { said, say } from "../pages/language.ts";
import type { Look } from "../pages/look.ts";
import { timeAt } from "../pages/pages.ts";
import { concat, type Html, template } from "../pages/template.ts";
import type { Seen } from "../store/records.ts";
import { MOST_PASSKEYS, type Passkey } from "./record.ts";

/** What the login page and the page of the account show of passkeys. */

const signIn = template(signInSource, ["next", "passkeyScript"]);
const list = template(passkeysSource, ["passkeys", "again", "full", "mayAdd", "device", "passkeyScript"]);
const row = template(passkeySource, ["id", "name", "place", "since", "used"]);

const passkeyScript = assetPath("passkeys.js");

/** On the login page; shown by script, where there are passkeys. */
export function signInPart({ language }: Look, next: string): Html {
  return signIn(language, { next, passkeyScript });
}

/**
 * On the page of the account.
 * @param shown.again where to sign in again, for whoever did so too long ago to add one
 * @param shown.device what one is called that gets no name
 */
export function passkeysPart(
  { language }: Look,
  shown: { passkeys: readonly Seen<Passkey>[]; again: string | undefined; device: string },
): Html {
  const isFull = shown.passkeys.length >= MOST_PASSKEYS;
  const rows = shown.passkeys.map(({ id, record: { name, synced, createdAt, usedAt } }) =>
    row(language, {
      id,
      name,
      place: say(language, said(synced ? "passkeys.synced" : "passkeys.single")),
      since: timeAt(language, createdAt),
      used: usedAt === 0 ? undefined : timeAt(language, usedAt),
    }),
  );
  return list(language, {
    passkeys: concat(rows),
    again: isFull ? undefined : shown.again,
    full: isFull ? "yes" : undefined,
    mayAdd: isFull || shown.again !== undefined ? undefined : "yes",
    device: shown.device,
    passkeyScript,
  });
}

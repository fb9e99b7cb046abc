import { OPTIONS } from "../config/options.ts";
import type { SecretOptions } from "../secret/options.ts";

/** Each secret of Runegate's own, with the one that goes on being accepted. */
const PAIRS = [
  ["jwtSecret", "jwtSecretPrevious"],
  ["sessionKey", "sessionKeyPrevious"],
] as const;

/** Which secrets are other ones by now, for the audit; undefined where none is. */
export function changedSecrets(before: SecretOptions, after: SecretOptions): string | undefined {
  const changes = PAIRS.flatMap(([key, previous]) => {
    if (Bun.deepEquals(before[key], after[key])) return [];
    const goesOn = Bun.deepEquals(before[key], after[previous]);
    return `${OPTIONS[key].name}${goesOn ? "" : " (the one before is no longer accepted)"}`;
  });
  return changes.length === 0 ? undefined : changes.join(", ");
}

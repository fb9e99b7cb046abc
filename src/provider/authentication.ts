import type { Arrival } from "../edge/arrival.ts";
import type { House } from "../house.ts";
import { sameSecret } from "../secret/compare.ts";
import { OAuthError, type Parameters } from "./answers.ts";
import { CLIENT_REFUSED } from "./audit.ts";
import type { Client } from "./client.ts";

/** Which client asks (RFC 6749 §2.3, §3.2.1): by its secret, or, where it has none, by its id alone. */
export function createAuthentication(
  { limiter, audit }: Pick<House, "limiter" | "audit">,
  clientOf: (id: string) => Client | undefined,
) {
  /** @throws {OAuthError} @throws {StoreUnavailable} */
  return async (arrival: Arrival, sent: Parameters): Promise<Client> => {
    const { client: from } = arrival;
    const shown = shownBy(arrival.headers.authorization, sent);
    const client = clientOf(shown.id);
    if (!(await limiter.mayTryClient(from, client?.id ?? "")))
      throw new OAuthError("invalid_client", "Too many wrong secrets. Try again in a minute.", 429, [
        ["Retry-After", "60"],
      ]);
    // One comparison for whoever asks, so that the time says nothing of which clients there are.
    const isRight = sameSecret(hashOf(shown.secret ?? ""), hashOf(client?.secret ?? ""));
    const isPublic = client !== undefined && client.secret === undefined && shown.secret === undefined;
    if (client !== undefined && (isPublic || (client.secret !== undefined && isRight))) return client;
    await limiter.failedClient(from, client?.id ?? "");
    audit(CLIENT_REFUSED, { client: from.ip, by: client?.id, reason: "invalid_client", subject: undefined });
    throw new OAuthError("invalid_client", "There is no client of this id and secret.", 401, CHALLENGE);
  };
}

const CHALLENGE = [["WWW-Authenticate", 'Basic realm="runegate"']] as const;

/** Of the same length, whatever was sent. */
const hashOf = (secret: string) => new Bun.CryptoHasher("sha256").update(secret).digest("hex");

/** @throws {OAuthError} */
function shownBy(authorization: string | undefined, sent: Parameters): { id: string; secret?: string } {
  const { client_id: id = "", client_secret: secret } = sent;
  if (authorization === undefined) return { id, ...(secret === undefined ? {} : { secret }) };
  const [, base64 = ""] = /^basic +([A-Za-z0-9+/]+={0,2}) *$/i.exec(authorization) ?? [];
  const text = Buffer.from(base64, "base64").toString();
  const at = text.indexOf(":");
  const [basicId, basicSecret] = [decoded(text.slice(0, at)), decoded(text.slice(at + 1))];
  if (at < 0 || basicId === undefined || basicSecret === undefined)
    throw new OAuthError("invalid_client", "The Authorization header is not understood.", 401, CHALLENGE);
  if (secret !== undefined) throw new OAuthError("invalid_request", "The secret is there in two ways.");
  if (id !== "" && id !== basicId) throw new OAuthError("invalid_request", "client_id is there twice.");
  return { id: basicId, ...(basicSecret === "" ? {} : { secret: basicSecret }) };
}

/** RFC 6749 §2.3.1: as in a form, before they become Basic. */
function decoded(half: string): string | undefined {
  try {
    return decodeURIComponent(half.replaceAll("+", " "));
  } catch {
    return undefined;
  }
}

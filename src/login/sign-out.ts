import type { ExtraHeaders } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import type { House } from "../house.ts";
import type { Address } from "../identity/address.ts";
import { LOGGED_OUT } from "../session/audit.ts";

/** What ends when a browser is signed out, whoever asked for it. */
export function createSignOut({
  sessions,
  sessionCookie,
  loginCookie,
  keptPosts,
  impersonations,
  hooks,
  audit,
}: Pick<
  House,
  "sessions" | "sessionCookie" | "loginCookie" | "keptPosts" | "impersonations" | "hooks" | "audit"
>) {
  /**
   * @returns what the browser is to forget, and what else has ended, for an administrator who acted as somebody else.
   * @throws {StoreUnavailable}
   */
  return async (arrival: Arrival): Promise<{ headers: ExtraHeaders; note: string | undefined }> => {
    // All of them: whoever signs out means to be signed out, whichever cookie was planted beside theirs.
    let note: string | undefined;
    for (const { record } of await sessions.findAll(sessionCookie.read(arrival), arrival.origin)) {
      const { id: login, email, method } = record;
      // First: once it has ended, nobody would come to say so.
      await hooks.tell("sign_out", { email, method, login, client: arrival.client, request: arrival.id });
      const as = await impersonations.of(record.email as Address, record.id);
      if (as !== undefined && (await impersonations.end(as, "signed out")))
        note = `You are no longer viewing as ${as.email} either.`;
      await sessions.end(record.id);
      audit(LOGGED_OUT, { subject: record.email, session: record.id });
    }
    const lines = [...sessionCookie.expire(), loginCookie.line("", 0)];
    const own = lines.map((line) => ["Set-Cookie", line] as const);
    return { headers: [...own, ...(await keptPosts.forget(arrival))], note };
  };
}

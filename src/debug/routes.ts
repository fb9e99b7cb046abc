import { failure, json, SIGN_IN } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { type OwnHandler, type OwnRoute, ownRoutes } from "../edge/own.ts";
import { CLAIM_ALL, type RootPath } from "../edge/root-paths.ts";
import type { House, Room } from "../house.ts";
import { said } from "../pages/language.ts";

/** For whoever sets Runegate up: what arrived and what was made of it. Names, lengths and verdicts, never a value. */
export function debugRoom({
  options,
  sessions,
  sessionCookie,
}: Pick<House, "options" | "sessions" | "sessionCookie">): Room {
  if (!options.debugEndpoints) return { name: "debug" };

  async function session(arrival: Arrival): Promise<Response> {
    const { cookies, client } = arrival;
    const values = sessionCookie.read(arrival);
    const found = await sessions.find(values, arrival);
    return json({
      authenticated: found !== undefined,
      email: found?.record.email ?? null,
      cookie_present: values.length > 0,
      cookie_length: values[0]?.length ?? 0,
      cookie_ambiguous: cookies.ambiguous,
      client: client.ip,
      peer_trusted: client.peerTrusted,
      proto: client.proto,
      host: client.host,
    });
  }

  function cookies({ request, cookies: own }: Arrival): Response {
    const header = request.headers.get("cookie") ?? "";
    const received = header
      .split(";")
      .filter((pair) => pair.trim() !== "")
      .map((pair) => {
        const equals = pair.indexOf("=");
        // A cookie without a name is sent as its value alone, without an equals sign.
        return {
          name: pair.slice(0, Math.max(0, equals)).trim(),
          length: pair.slice(equals + 1).trim().length,
        };
      });
    return json({ session_cookie_name: sessionCookie.name, ambiguous: own.ambiguous, received });
  }

  async function guarded(arrival: Arrival): Promise<Response> {
    const found = await sessions.find(sessionCookie.read(arrival), arrival);
    if (found !== undefined) return json({ message: "You are signed in.", email: found.record.email });
    return failure(arrival, {
      status: 401,
      error: "unauthenticated",
      title: said("notSignedIn.title"),
      message: said("notSignedIn.message"),
      action: SIGN_IN,
    });
  }

  return ownRoutes("debug", [
    route("/debug/session", session),
    route("/debug/cookies", cookies),
    route("/debug/protected", guarded),
  ]);
}

/** They are asked with a session, to see what it is worth, so having one does not make them the application's. */
function route(path: RootPath, handler: OwnHandler): OwnRoute {
  return { path, also: [path], claim: CLAIM_ALL, handlers: { GET: handler } };
}

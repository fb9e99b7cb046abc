import { LOGIN_PATH } from "../pages/paths.ts";
import type { Failure } from "./answer.ts";

/** What somebody who is not signed in is told, with the way to sign in. */

export function unauthenticated(baseUrl: string): Failure {
  return {
    status: 401,
    error: "unauthenticated",
    title: "Not signed in",
    // Applications show it to their users as it is.
    message: "Your session has ended. Reload this page to sign in.",
    fields: { login_url: baseUrl + LOGIN_PATH },
    // RFC 9110 §11.6.1 demands a challenge with every 401; this scheme only says where to go.
    headers: [["WWW-Authenticate", `Runegate realm="${baseUrl}"`]],
  };
}

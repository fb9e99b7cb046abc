import { type Parameters, parametersIn } from "./answers.ts";
import { type Client, clientTitle } from "./client.ts";

/** What an application asks for at `/authorize` (OpenID Connect Core §3.1.2.1), understood. */

export type AuthorizeRequest = {
  readonly client: Client;
  readonly redirectUri: string;
  readonly state: string | undefined;
  /** Those that we know, in the order of `SCOPES`, with blanks between. */
  readonly scope: string;
  readonly nonce: string;
  /** PKCE, S256. Empty where none is used. */
  readonly challenge: string;
  readonly prompt: ReadonlySet<string>;
  /** Milliseconds. */
  readonly maxAge: number | undefined;
  readonly loginHint: string | undefined;
  readonly idTokenHint: string | undefined;
  /** Milliseconds since the Unix epoch: whoever signed in before is to sign in again. Ours, in the address that a sign-in comes back to. */
  readonly since: number | undefined;
};

export type Understood =
  | { readonly request: AuthorizeRequest }
  /** For a page of ours: where it would go is not known to be the client's. */
  | { readonly refused: "unknown_client" | "wrong_redirect_uri" | "twice" }
  /** To be told to the client, by way of the browser. */
  | RequestError;

export type RequestError = {
  readonly error: string;
  readonly description: string;
  readonly redirectUri: string;
  readonly state: string | undefined;
  readonly client: Client;
};

export const SCOPES = ["openid", "email", "profile", "groups", "offline_access"] as const;
/** Ours, beside those of the standard. */
export const SINCE = "runegate_since";

const PROMPTS = ["none", "login", "consent", "select_account"];
const CHALLENGE = /^[A-Za-z0-9_-]{43}$/;
const LONGEST_TEXT = 1024;

export function understand(search: string, clientOf: (id: string) => Client | undefined): Understood {
  const { parameters, twice } = parametersIn(search);
  // Which of two was meant decides where the answer goes.
  if (twice === "client_id" || twice === "redirect_uri") return { refused: "twice" };
  const client = clientOf(parameters.client_id ?? "");
  if (client === undefined) return { refused: "unknown_client" };
  const redirectUri = client.redirectUris.find((one) => one === parameters.redirect_uri);
  if (redirectUri === undefined) return { refused: "wrong_redirect_uri" };
  const state = twice === "state" ? undefined : parameters.state;
  const no = (error: string, description: string): RequestError => ({
    ...{ error, description, redirectUri, state, client },
  });
  if (twice !== undefined) return no("invalid_request", "A parameter is there twice.");
  return read(parameters, client, redirectUri, no);
}

function read(
  sent: Parameters,
  client: Client,
  redirectUri: string,
  no: (error: string, description: string) => RequestError,
): Understood {
  if (sent.request !== undefined)
    return no("request_not_supported", "Send parameters, not a request object.");
  if (sent.request_uri !== undefined)
    return no("request_uri_not_supported", "Send parameters, not the address of a request object.");
  if (sent.registration !== undefined)
    return no("registration_not_supported", "Clients are declared in clients.toml.");
  if (sent.response_type === undefined) return no("invalid_request", "response_type is missing.");
  if (sent.response_type !== "code") return no("unsupported_response_type", "Only code is supported.");
  if (sent.response_mode !== undefined && sent.response_mode !== "query")
    return no("invalid_request", "Of response_mode, only query is supported.");
  const asked = new Set(sent.scope?.split(" "));
  if (!asked.has("openid")) return no("invalid_scope", "The scope openid is missing.");
  const { code_challenge: challenge = "", code_challenge_method: method } = sent;
  // RFC 7636 §4.3: without a method it would be plain.
  if ((challenge !== "" || method !== undefined) && method !== "S256")
    return no("invalid_request", "Of code_challenge_method, only S256 is supported.");
  if (method !== undefined && !CHALLENGE.test(challenge))
    return no("invalid_request", "code_challenge is missing, or no SHA-256 in base64url.");
  if (challenge === "" && client.secret === undefined)
    return no("invalid_request", `PKCE is required: ${clientTitle(client)} has no secret.`);
  const prompt = new Set(sent.prompt?.split(" ").filter((one) => PROMPTS.includes(one)));
  if (prompt.has("none") && prompt.size > 1)
    return no("invalid_request", "prompt has none together with something else.");
  if (sent.max_age !== undefined && !/^\d{1,9}$/.test(sent.max_age))
    return no("invalid_request", "max_age is no number of seconds.");
  const { nonce = "" } = sent;
  if (nonce.length > LONGEST_TEXT) return no("invalid_request", "nonce is too long.");
  const request: AuthorizeRequest = {
    ...{ client, redirectUri, state: sent.state, nonce, challenge, prompt },
    scope: SCOPES.filter((one) => asked.has(one)).join(" "),
    maxAge: sent.max_age === undefined ? undefined : Number(sent.max_age) * 1000,
    loginHint: sent.login_hint,
    idTokenHint: sent.id_token_hint,
    since: /^\d{1,15}$/.test(sent[SINCE] ?? "") ? Number(sent[SINCE]) : undefined,
  };
  return { request };
}

/**
 * Where the browser goes with the answer (RFC 6749 §4.1.2). Every one says whose it is (RFC 9207).
 * @param redirectUri one of the client's.
 */
export function answerHref(
  redirectUri: string,
  issuer: string,
  parameters: Readonly<Record<string, string | undefined>>,
): string {
  const sent = Object.entries({ ...parameters, iss: issuer }).filter((one): one is [string, string] => {
    return one[1] !== undefined;
  });
  return `${redirectUri}${redirectUri.includes("?") ? "&" : "?"}${new URLSearchParams(sent)}`;
}

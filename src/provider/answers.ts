import { type ExtraHeaders, json, Refusal } from "../edge/answer.ts";
import { readBody } from "../edge/body.ts";

/** How programs are answered (RFC 6749 §5), and what they send is read. */

/** An error by its name in the standard. Its description is for whoever sets up a client, and holds nothing that was sent. */
export class OAuthError extends Error {
  readonly error: string;
  readonly status: number;
  readonly headers: ExtraHeaders;
  constructor(error: string, description: string, status = 400, headers: ExtraHeaders = []) {
    super(description);
    this.error = error;
    this.status = status;
    this.headers = headers;
  }
}

const CORS: ExtraHeaders = [
  ["Access-Control-Allow-Origin", "*"],
  ["Cross-Origin-Resource-Policy", "cross-origin"],
];
/** RFC 6749 §5.1, besides `Cache-Control`, which all our answers have. */
const NOT_KEPT: ExtraHeaders = [["Pragma", "no-cache"]];

export const tokenJson = (body: object): Response => json(body, 200, [...NOT_KEPT, ...CORS]);

/** For pages of browsers too: what is asked for here takes a token, not a cookie. */
export function oauthAnswer(error: unknown): Response {
  if (!(error instanceof OAuthError)) throw error;
  const body = { error: error.error, error_description: error.message };
  return json(body, error.status, [...NOT_KEPT, ...CORS, ...error.headers]);
}

const FORM = "application/x-www-form-urlencoded";
const MOST_BYTES = 64 * 1024;

export type Parameters = Readonly<Record<string, string>>;

/** RFC 6749 §3.1: each at most once; one without a value is as if it were not there. */
export function parametersIn(text: string): {
  /** Of one that is there twice, the first. */
  readonly parameters: Parameters;
  readonly twice: string | undefined;
} {
  const parameters: Record<string, string> = Object.create(null);
  let twice: string | undefined;
  for (const [name, value] of new URLSearchParams(text)) {
    if (name in parameters) twice ??= name;
    else parameters[name] = value;
  }
  for (const name of Object.keys(parameters)) if (parameters[name] === "") delete parameters[name];
  return { parameters, twice };
}

/** @throws {OAuthError} */
export async function readParameters(request: Request): Promise<Parameters> {
  const type = request.headers.get("content-type")?.split(";", 1)[0]?.trim().toLowerCase();
  if (type !== FORM) throw new OAuthError("invalid_request", `Send a form (${FORM}).`);
  let text: string;
  try {
    text = await readBody(request, MOST_BYTES);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw new OAuthError("invalid_request", error.message, error.failure.status);
  }
  const { parameters, twice } = parametersIn(text);
  if (twice !== undefined) throw new OAuthError("invalid_request", "A parameter is there twice.");
  return parameters;
}

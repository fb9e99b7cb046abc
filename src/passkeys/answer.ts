import { badRequest } from "../edge/answer.ts";

/** What browsers send of an authenticator's answer (WebAuthn §5.1.8), as far as it is looked at. All base64url. */

export type Attestation = {
  readonly id: string;
  readonly clientDataJSON: string;
  readonly attestationObject: string;
};

export type Assertion = {
  readonly id: string;
  readonly clientDataJSON: string;
  readonly authenticatorData: string;
  readonly signature: string;
  /** Empty where the authenticator did not say. */
  readonly userHandle: string;
};

/** The body of a request that brings one. */
export type Sent<Answer> = {
  readonly ticket: string;
  readonly answer: Answer;
  /** Other fields, which are text or not there. */
  text(name: string): string | undefined;
};

/** Why an answer is not accepted: for audit and log, never for the visitor. */
export type AnswerProblem =
  | "malformed"
  | "wrong_type"
  | "wrong_challenge"
  | "wrong_origin"
  | "cross_origin"
  | "wrong_rp_id"
  | "wrong_signature"
  | "attestation"
  /** What the library did not take for another reason, which the message says: no verified user, for one. */
  | "unacceptable";

export class AnswerError extends Error {
  readonly problem: AnswerProblem;
  constructor(problem: AnswerProblem, message: string = problem) {
    super(message);
    this.problem = problem;
  }
}

type Json = Readonly<Record<string, unknown>>;

/** A credential's id has up to 1,023 bytes (WebAuthn §4, "Credential ID"). */
const MAX_ID = 1364;

/** @throws {Refusal} */
export function readAttestation(body: unknown): Sent<Attestation> {
  return readSent(body, (id, response) => ({
    id,
    clientDataJSON: base64url(response, "clientDataJSON"),
    attestationObject: base64url(response, "attestationObject"),
  }));
}

/** @throws {Refusal} */
export function readAssertion(body: unknown): Sent<Assertion> {
  return readSent(body, (id, response) => ({
    id,
    clientDataJSON: base64url(response, "clientDataJSON"),
    authenticatorData: base64url(response, "authenticatorData"),
    signature: base64url(response, "signature"),
    userHandle: response.userHandle === undefined ? "" : base64url(response, "userHandle"),
  }));
}

function readSent<Answer>(body: unknown, read: (id: string, response: Json) => Answer): Sent<Answer> {
  const sent = object(body, "The request body");
  const credential = object(sent.credential, '"credential"');
  const id = base64url(credential, "id");
  if (id === "" || id.length > MAX_ID) throw badRequest('"id" is not as it should be.');
  const { ticket } = sent;
  if (typeof ticket !== "string") throw badRequest('"ticket" is not as it should be.');
  return {
    ticket,
    answer: read(id, object(credential.response, '"response"')),
    text(name) {
      const value = sent[name];
      return typeof value === "string" ? value : undefined;
    },
  };
}

function object(value: unknown, name: string): Json {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Json;
  throw badRequest(`${name} must be a JSON object.`);
}

function base64url(from: Json, name: string): string {
  const value = from[name];
  // The same bytes have one text only: Node reads over characters and bits that do not belong there.
  if (typeof value === "string" && Buffer.from(value, "base64url").toString("base64url") === value)
    return value;
  throw badRequest(`"${name}" is not as it should be.`);
}

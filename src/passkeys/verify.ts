import { verifyAuthenticationResponse, verifyRegistrationResponse } from "@simplewebauthn/server";
import {
  decodeAttestationObject,
  decodeCredentialPublicKey,
  parseAuthenticatorData,
} from "@simplewebauthn/server/helpers";
import { messageOf } from "../observe/message-of.ts";
import { AnswerError, type Assertion, type Attestation } from "./answer.ts";
import { ALGORITHMS, algorithmOf, checkKey, ES256 } from "./key.ts";
import type { Passkey } from "./record.ts";

/**
 * Whether an authenticator's answer is what it should be (WebAuthn §7.1, §7.2), by a library that is loaded together with this
 * file, when the first answer comes.
 */

export type Expected = {
  readonly challenge: string;
  /** Of the host that was asked, which is where the page must have been. */
  readonly origin: string;
  readonly rpId: string;
};

/** @throws {AnswerError} */
export async function verifyAttestation(
  { id, ...response }: Attestation,
  expected: Expected,
): Promise<Pick<Passkey, "publicKey" | "counter" | "synced"> & { readonly id: string }> {
  checkClientData(response.clientDataJSON, "webauthn.create", expected);
  checkObject(response.attestationObject);
  const { registrationInfo } = await libraryOf(() =>
    verifyRegistrationResponse({
      response: { id, rawId: id, type: "public-key", clientExtensionResults: {}, response },
      expectedChallenge: expected.challenge,
      expectedOrigin: expected.origin,
      expectedRPID: expected.rpId,
      requireUserVerification: true,
      supportedAlgorithmIDs: [...ALGORITHMS],
    }),
  );
  if (registrationInfo === undefined) throw new AnswerError("wrong_signature");
  const { credential, credentialDeviceType } = registrationInfo;
  // Under another name than its own it would never be found again.
  if (credential.id !== id) throw new AnswerError("malformed");
  return {
    id,
    publicKey: Buffer.from(credential.publicKey).toString("base64url"),
    counter: credential.counter,
    synced: credentialDeviceType === "multiDevice",
  };
}

/**
 * @returns the counter, which is for the caller to judge: before the signature is verified, anybody could say any.
 * @throws {AnswerError}
 */
export async function verifyAssertion(
  { id, userHandle, ...response }: Assertion,
  { user, publicKey }: Pick<Passkey, "user" | "publicKey">,
  expected: Expected,
): Promise<number> {
  checkClientData(response.clientDataJSON, "webauthn.get", expected);
  // Said by every authenticator that was asked for no passkey in particular (WebAuthn §7.2, step 6).
  if (userHandle !== user) throw new AnswerError("unacceptable", "the passkey is of another user");
  const key = new Uint8Array(Buffer.from(publicKey, "base64url"));
  checkSignatureForm(Buffer.from(response.signature, "base64url"), key);
  const { verified, authenticationInfo } = await libraryOf(() =>
    verifyAuthenticationResponse({
      response: { id, rawId: id, type: "public-key", clientExtensionResults: {}, response },
      expectedChallenge: expected.challenge,
      expectedOrigin: expected.origin,
      expectedRPID: expected.rpId,
      requireUserVerification: true,
      credential: { id, publicKey: key, counter: 0 },
    }),
  );
  if (!verified) throw new AnswerError("wrong_signature");
  return authenticationInfo.newCounter;
}

/** Asked before the library is, which has one word for all of these and lets some frames pass (WebAuthn §5.8.1). */
function checkClientData(sent: string, type: string, expected: Expected): void {
  const data = parse(() => JSON.parse(Buffer.from(sent, "base64url").toString()));
  if (typeof data !== "object" || data === null) throw new AnswerError("malformed");
  const said = data as Readonly<Record<string, unknown>>;
  if (said.type !== type) throw new AnswerError("wrong_type");
  if (said.challenge !== expected.challenge) throw new AnswerError("wrong_challenge");
  if (said.origin !== expected.origin) throw new AnswerError("wrong_origin");
  if ((said.crossOrigin ?? false) !== false || said.topOrigin !== undefined)
    throw new AnswerError("cross_origin");
}

/** Asked before the library is, for what it may not be given. */
function checkObject(sent: string): void {
  const object = parse(() => decodeAttestationObject(new Uint8Array(Buffer.from(sent, "base64url"))));
  checkFormat(object);
  parse(() => {
    const { credentialPublicKey } = parseAuthenticatorData(object.get("authData"));
    // The library says what is wrong with one that has none.
    if (credentialPublicKey !== undefined) checkKey(coseOf(credentialPublicKey));
  });
}

/**
 * We ask for no attestation, and browsers leave that which an authenticator signs with the passkey itself (WebAuthn §5.1.3). Any
 * other is not looked at: to judge its certificates, the library would fetch from addresses that stand in them.
 */
function checkFormat(object: ReturnType<typeof decodeAttestationObject>): void {
  const format = parse(() => object.get("fmt"));
  const isSelf = format === "packed" && parse(() => object.get("attStmt").get("x5c")) === undefined;
  if (format !== "none" && !isSelf) throw new AnswerError("attestation");
}

/** An ECDSA signature is two numbers in DER (RFC 3279 §2.2.3) and nothing else: the library reads over what follows. */
function checkSignatureForm(signature: Buffer, key: Uint8Array<ArrayBuffer>): void {
  if (parse(() => algorithmOf(coseOf(key))) !== ES256) return;
  const { length } = signature;
  const second = 4 + (signature[3] ?? 0);
  const isWhole = signature[1] === length - 2 && second + 2 + (signature[second + 1] ?? 0) === length;
  if (!isWhole || signature[0] !== 0x30 || signature[2] !== 2 || signature[second] !== 2)
    throw new AnswerError("malformed");
}

/** The library's type names each label; here it is a map. */
function coseOf(key: Uint8Array<ArrayBuffer>) {
  return decodeCredentialPublicKey(key) as { get(label: number): unknown };
}

function parse<T>(read: () => T): T {
  try {
    return read();
  } catch {
    throw new AnswerError("malformed");
  }
}

async function libraryOf<T>(verify: () => Promise<T>): Promise<T> {
  try {
    return await verify();
  } catch (error) {
    const isRpId = error instanceof Error && error.name === "UnexpectedRPIDHash";
    throw new AnswerError(isRpId ? "wrong_rp_id" : "unacceptable", messageOf(error));
  }
}

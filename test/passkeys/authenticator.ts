import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";

/**
 * An authenticator in software (WebAuthn §6), with the browser's part of a ceremony: for what a real one cannot be brought to do.
 */

export type Algorithm = "ES256" | "EdDSA" | "RS256";

/** What of an answer is to be other than it should. */
export type Twist = {
  readonly origin?: string;
  readonly type?: string;
  readonly challenge?: string;
  readonly rpId?: string;
  readonly crossOrigin?: boolean;
  readonly topOrigin?: string;
  /** Bits of authenticator data: 1 user present, 4 user verified, 8 and 16 backed up, 64 attested credential data. */
  readonly flags?: number;
  readonly counter?: number;
  readonly userHandle?: string | undefined;
  readonly id?: string;
  readonly fmt?: string;
  readonly attStmt?: Cbor;
  /** The public key that it says it has made. */
  readonly key?: Cbor;
};

export type CreationOptions = {
  readonly challenge: string;
  readonly rp: { readonly id: string };
  readonly user: { readonly id: string };
};
export type RequestOptions = { readonly challenge: string; readonly rpId: string };

export type CredentialJson = {
  readonly id: string;
  readonly rawId: string;
  readonly type: string;
  readonly response: Readonly<Record<string, unknown>>;
};

export type SoftAuthenticator = {
  readonly id: string;
  create(options: CreationOptions, origin: string, twist?: Twist): CredentialJson;
  get(options: RequestOptions, origin: string, twist?: Twist): CredentialJson;
};

const PRESENT = 1;
const VERIFIED = 4;
const ATTESTED = 64;

export function createAuthenticator(
  algorithm: Algorithm = "ES256",
  credentialId = randomBytes(16),
): SoftAuthenticator {
  const { publicKey, privateKey } = pairOf(algorithm);
  const id = credentialId.toString("base64url");
  let counter = 0;
  let user = "";

  function clientData(type: string, challenge: string, origin: string, twist: Twist): Buffer {
    const { crossOrigin = false, topOrigin } = twist;
    return Buffer.from(
      JSON.stringify({
        type: twist.type ?? type,
        challenge: twist.challenge ?? challenge,
        origin: twist.origin ?? origin,
        crossOrigin,
        ...(topOrigin === undefined ? {} : { topOrigin }),
      }),
    );
  }

  function authenticatorData(rpId: string, flags: number, twist: Twist, attested = Buffer.alloc(0)): Buffer {
    counter = twist.counter ?? counter + 1;
    const count = Buffer.alloc(4);
    count.writeUInt32BE(counter);
    return Buffer.concat([sha256(twist.rpId ?? rpId), Buffer.of(twist.flags ?? flags), count, attested]);
  }

  return {
    id,

    create(options, origin, twist = {}) {
      user = options.user.id;
      const length = Buffer.alloc(2);
      length.writeUInt16BE(credentialId.length);
      const attested = Buffer.concat([
        Buffer.alloc(16),
        length,
        credentialId,
        cbor(twist.key ?? coseOf(algorithm, publicKey)),
      ]);
      const authData = authenticatorData(options.rp.id, PRESENT | VERIFIED | ATTESTED, twist, attested);
      const { fmt = "none", attStmt = new Map() } = twist;
      return {
        ...{ id: twist.id ?? id, rawId: twist.id ?? id, type: "public-key" },
        response: {
          clientDataJSON: text(clientData("webauthn.create", options.challenge, origin, twist)),
          attestationObject: text(
            cbor(
              new Map<Cbor, Cbor>([
                ["fmt", fmt],
                ["attStmt", attStmt],
                ["authData", authData],
              ]),
            ),
          ),
        },
      };
    },

    get(options, origin, twist = {}) {
      const data = clientData("webauthn.get", options.challenge, origin, twist);
      const authData = authenticatorData(options.rpId, PRESENT | VERIFIED, twist);
      const signature = sign(hashOf(algorithm), Buffer.concat([authData, sha256(data)]), privateKey);
      const userHandle = "userHandle" in twist ? twist.userHandle : user;
      return {
        ...{ id: twist.id ?? id, rawId: twist.id ?? id, type: "public-key" },
        response: {
          clientDataJSON: text(data),
          authenticatorData: text(authData),
          signature: text(signature),
          ...(userHandle === undefined ? {} : { userHandle }),
        },
      };
    },
  };
}

const text = (bytes: Buffer) => bytes.toString("base64url");
const sha256 = (what: string | Buffer) => createHash("sha256").update(what).digest();
const hashOf = (algorithm: Algorithm) => (algorithm === "EdDSA" ? undefined : "sha256");

function pairOf(algorithm: Algorithm): { publicKey: KeyObject; privateKey: KeyObject } {
  if (algorithm === "ES256") return generateKeyPairSync("ec", { namedCurve: "P-256" });
  return algorithm === "EdDSA"
    ? generateKeyPairSync("ed25519")
    : generateKeyPairSync("rsa", { modulusLength: 2048 });
}

/** RFC 9053 §7: key type, algorithm, and what each type has. */
function coseOf(algorithm: Algorithm, key: KeyObject): Map<Cbor, Cbor> {
  const { x = "", y = "", n = "", e = "" } = key.export({ format: "jwk" });
  const bytes = (part: string) => Buffer.from(part, "base64url");
  if (algorithm === "ES256") {
    return new Map<Cbor, Cbor>([
      [1, 2],
      [3, -7],
      [-1, 1],
      [-2, bytes(x)],
      [-3, bytes(y)],
    ]);
  }
  if (algorithm === "EdDSA")
    return new Map<Cbor, Cbor>([
      [1, 1],
      [3, -8],
      [-1, 6],
      [-2, bytes(x)],
    ]);
  return new Map<Cbor, Cbor>([
    [1, 3],
    [3, -257],
    [-1, bytes(n)],
    [-2, bytes(e)],
  ]);
}

export type Cbor = number | string | Buffer | Cbor[] | Map<Cbor, Cbor>;

/** RFC 8949, as much of it as is needed. */
export function cbor(value: Cbor): Buffer {
  if (typeof value === "number") return value < 0 ? head(1, -1 - value) : head(0, value);
  if (typeof value === "string")
    return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
  if (Buffer.isBuffer(value)) return Buffer.concat([head(2, value.length), value]);
  if (Array.isArray(value)) return Buffer.concat([head(4, value.length), ...value.map(cbor)]);
  return Buffer.concat([
    head(5, value.size),
    ...[...value].flatMap(([key, item]) => [cbor(key), cbor(item)]),
  ]);
}

function head(major: number, count: number): Buffer {
  if (count < 24) return Buffer.of((major << 5) | count);
  if (count < 256) return Buffer.of((major << 5) | 24, count);
  const long = Buffer.alloc(3);
  long[0] = (major << 5) | 25;
  long.writeUInt16BE(count, 1);
  return long;
}

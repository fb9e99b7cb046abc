import type { Tab } from "./tab.ts";

/** An authenticator that DevTools stands in for, in a tab: a device's own, which has recognized its owner. */
export type Authenticator = {
  credentials(): Promise<Credential[]>;
  /** Puts a passkey back, or one that nobody made here. */
  add(credential: Credential): Promise<void>;
  /** Forgets all it has. */
  clear(): Promise<void>;
  /** Whether it recognizes whoever is in front of it from now on. */
  recognize(is: boolean): Promise<void>;
  remove(): Promise<void>;
};

/** As DevTools has it: a passkey with its private key, base64. */
export type Credential = {
  readonly credentialId: string;
  readonly isResidentCredential: boolean;
  readonly rpId: string;
  readonly privateKey: string;
  readonly userHandle: string;
  readonly signCount: number;
};

export async function plugInto(tab: Tab): Promise<Authenticator> {
  const send = (method: string, parameters: Readonly<Record<string, unknown>> = {}) =>
    tab.devtools(`WebAuthn.${method}`, parameters);
  await send("enable", { enableUI: false });
  const { authenticatorId } = (await send("addVirtualAuthenticator", {
    options: {
      protocol: "ctap2",
      transport: "internal",
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  })) as { authenticatorId: string };
  return {
    async credentials() {
      return ((await send("getCredentials", { authenticatorId })) as { credentials: Credential[] })
        .credentials;
    },
    async add(credential) {
      await send("addCredential", { authenticatorId, credential });
    },
    async clear() {
      await send("clearCredentials", { authenticatorId });
    },
    async recognize(isUserVerified) {
      await send("setUserVerified", { authenticatorId, isUserVerified });
    },
    async remove() {
      await send("removeVirtualAuthenticator", { authenticatorId });
    },
  };
}

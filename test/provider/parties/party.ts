import type { RunningProcess } from "../../support/process.ts";
import type { Page, Person } from "./person.ts";

/** An application that speaks OpenID Connect: a real one, in a process of its own. */
export type Party = {
  readonly name: string;
  /** What is declared of it at the provider. @param origin where people find it. */
  client(origin: string): Omit<Client, "id">;
  start(place: Place): Promise<RunningParty>;
  /** What it does of all that can be held. */
  readonly does: {
    /** Says in which groups somebody is. */
    readonly groups: boolean;
    /** What ties a code to the login that it is for: a challenge (RFC 7636), a nonce in the ID token, or nothing. */
    readonly code: "pkce" | "nonce" | "free";
    /** Looks at whose answer it is (RFC 9207). */
    readonly issuer: boolean;
    /** Asks for new tokens with a refresh token, when it is told to. */
    readonly refresh: boolean;
    /** Takes what comes before the @ for somebody's name, which another may have already. */
    readonly names?: "short";
    /** `rp`: signs out at the provider too. */
    readonly logout: "rp" | "own";
    /**
     * What becomes of somebody whose session ends at the provider: it is told; it gets no new tokens; it asks the provider at
     * use; it does not hear of it.
     */
    readonly ends: "backchannel" | "refresh" | "asks" | "never";
  };
};

/** As `clients.toml` says it. */
export type Client = {
  readonly id: string;
  /** Undefined for a public client. */
  readonly secret: string | undefined;
  readonly redirectUris: readonly string[];
  readonly postLogoutRedirectUris?: readonly string[];
  readonly backchannelLogoutUri?: string;
  /** How its ID tokens are signed, where not by RS256. */
  readonly algorithm?: "RS256" | "ES256";
  /** May sign people in on another device. */
  readonly device?: true;
};

export type Place = {
  readonly port: number;
  /** `http://localhost:port`, another site than the provider's. */
  readonly origin: string;
  readonly issuer: string;
  readonly client: Client;
  /** For whatever it writes. */
  readonly directory: string;
};

export type RunningParty = {
  readonly process: RunningProcess;
  /** From the party to a page of the provider, or back to the party where nobody has to be asked. */
  enter(person: Person): Promise<Page>;
  /** Shown the page that a login ended on, for one that keeps what stands in its URL. */
  arrived?(person: Person, page: Page): void;
  /** As if the browser had lost what `arrived` kept. */
  lost?(person: Person): void;
  /** Whom it takes the person for: undefined for nobody. */
  who(person: Person): Promise<Who | undefined>;
  leave(person: Person): Promise<Page>;
  /** Makes it ask for new tokens, and gives whether it got them. */
  refresh?(person: Person): Promise<boolean>;
};

export type Who = { readonly email: string; readonly groups?: readonly string[] };

import { folded, type IdentityHeader, identityHeaders, tellsByToken } from "../access/identity-headers.ts";
import type { Route } from "../access/route.ts";
import type { House } from "../house.ts";
import type { Principal } from "../identity/principal.ts";
import type { TokenRelay } from "../provider/relay.ts";

/** How one application is told who is asking; nothing where it is open to whoever comes. */
export type Telling = {
  headers(principal: Principal | undefined): readonly IdentityHeader[];
  /** The value of the header with the token. Costs a look in a map. */
  token(principal: Principal | undefined): string | undefined;
  readonly tokenHeader: string;
  /** An access token for calling others in their name; undefined for an application that gets none. */
  readonly relayed: ((principal: Principal | undefined) => string | undefined) | undefined;
  /** What clients send under these names is removed, besides what is removed for every application. Folded. */
  readonly reserved: ReadonlySet<string>;
  /** Whether an `Authorization` is between the visitor and Runegate alone. */
  readonly isOwnCredential: (authorization: string) => boolean;
};

/** For an application that is asked by nobody. */
export const NOTHING_TOLD: Telling = {
  headers: () => [],
  token: () => undefined,
  tokenHeader: "x-runegate-jwt",
  relayed: undefined,
  reserved: new Set(),
  isOwnCredential: () => false,
};

export type TellingSettings = Pick<House, "identityToken" | "isOwnCredential"> &
  Pick<House["options"], "downstreamJwtHeader" | "downstreamJwtBearer"> & {
    readonly relay?: TokenRelay | undefined;
  };

export function createTelling(route: Route, settings: TellingSettings): Telling {
  const { identityToken, downstreamJwtHeader: tokenHeader, downstreamJwtBearer: bearer } = settings;
  const getsToken = tellsByToken(route);
  // Where it gets no token, `Authorization` is between the browser and the application.
  const own = getsToken || tokenHeader !== "authorization" ? [tokenHeader] : [];
  return {
    headers: (principal) => (principal === undefined ? [] : identityHeaders(principal, route)),
    token(principal) {
      if (!getsToken || principal === undefined) return undefined;
      const token = identityToken(principal, route);
      return bearer && token !== undefined ? `Bearer ${token}` : token;
    },
    tokenHeader,
    relayed: settings.relay?.of(route)?.token,
    reserved: new Set([...route.identityNames.values(), ...own].map(folded)),
    isOwnCredential: settings.isOwnCredential,
  };
}
